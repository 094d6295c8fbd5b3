"""The playbook of Tryton: what it renders to, where its passwords are, and its versions."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tfheal.core.release import Blueprint, releases
from tfheal.edge.files import WorkspaceFiles
from tfheal.edge.templates import JinjaTemplates
from tfheal.model.playbook import Playbook
from tfheal.model.release import SECRET_TOKEN, Release
from tfheal.model.resources import File, Firewall, Postgres, resource_id

_PROJECT = Path(__file__).parents[2]
_FOLDER = _PROJECT / "playbooks/tryton"
_SLICES = "".join(f'[slices.s{n}]\nowner = "lab"\naddress = "fd00::{n}"\n' for n in (1, 2, 3))
_REQUIREMENT = re.compile(r"([a-z0-9-]+)==(\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)")
Deployed = tuple[Playbook, dict[str, Release]]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """Return the playbook and the releases of the example by slice, on slices that `lab up` would have added."""
    root = tmp_path_factory.mktemp("example")
    (root / "apps").mkdir()
    for name in ("tfheal.toml", "apps/crm.yaml"):
        (root / name).write_bytes((_PROJECT / "examples/tryton" / name).read_bytes())
    (root / "inventory.toml").write_text("[owners.lab]\n" + _SLICES)
    workspace = WorkspaceFiles(root).load()
    folder = workspace.playbooks["tryton"]
    versions = dict.fromkeys(folder.playbook.secrets, 1)
    made = releases(Blueprint(workspace.apps["crm"], folder, workspace.inventory, versions, JinjaTemplates().render))
    return folder.playbook, {release.slice: release for release in made}


def test_every_version_is_locked_to_exact_packages_of_one_series(example: Deployed) -> None:
    """A lock holds exact versions with hashes, of wheels only; the server's is the version, every module is of 7.0."""
    versions = example[0].versions
    assert len(versions) >= 2
    for version, path in versions.items():
        text = (_FOLDER / path).read_text()
        body = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
        locked = {match[1]: match[2] for match in _REQUIREMENT.finditer(body)}
        assert _REQUIREMENT.sub("", body).split() == ["--only-binary", ":all:"]
        assert locked["trytond"] == version
        assert {"trytond-party", "trytond-sale-opportunity", "psycopg2-binary"} < set(locked)
        assert all(number.startswith("7.0.") for name, number in locked.items() if name.startswith("trytond"))


def test_passwords_are_in_files_of_their_own(example: Deployed) -> None:
    """No unit, command or check of the web servers holds one; the slice of the database is told none but its own."""
    web, db = example[1]["s2"], example[1]["s1"]
    holders = {resource_id(each) for each in web.resources if SECRET_TOKEN.search(each.model_dump_json())}
    names = ("trytond.conf", "admin-password", "health-password")
    assert holders == {f"file:/opt/tfheal/crm/web/config/{name}" for name in names}
    files = [each for each in web.resources if isinstance(each, File) and resource_id(each) in holders]
    assert {(each.mode, each.owner, each.group) for each in files} == {("0640", "root", "tf-crm-web")}
    assert not any(SECRET_TOKEN.search(check.model_dump_json()) for check in (*web.checks, *db.checks))
    assert db.secrets() == {("database_password", 1)}


def test_the_database_is_open_to_the_web_servers_alone(example: Deployed) -> None:
    """The firewall and the access rules name the addresses of the web servers, and nobody else's."""
    db = example[1]["s1"]
    (firewall,) = (each for each in db.resources if isinstance(each, Firewall))
    (database,) = (each for each in db.resources if isinstance(each, Postgres))
    assert [(allow.port, allow.peers) for allow in firewall.allow] == [(5432, ("fd00::2 fd00::3",))]
    assert database.peers == ("fd00::2 fd00::3",)
    assert db.unit == "postgresql@17-main.service"


def test_what_is_rendered_is_sound(example: Deployed) -> None:
    """Scripts parse as POSIX sh, the program as Python, and the address of the database has its brackets and its TLS."""
    for release in example[1].values():
        for check in release.checks:
            subprocess.run(["sh", "-n"], input=(check.command or "").encode(), check=True)
    files = {
        each.path.rpartition("/")[2]: each.content or ""
        for each in example[1]["s2"].resources
        if isinstance(each, File)
    }
    ast.parse(files["database.py"])
    assert "@[fd00::1]:5432/?sslmode=require&channel_binding=require" in files["trytond.conf"]
