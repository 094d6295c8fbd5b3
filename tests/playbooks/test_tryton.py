"""The playbook of Tryton: what it renders to, where its passwords are, and its versions."""

import ast
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tfheal.core.release import Blueprint, releases
from tfheal.edge.files import WorkspaceFiles
from tfheal.edge.templates import JinjaTemplates
from tfheal.model.playbook import Playbook
from tfheal.model.release import SECRET_TOKEN, Release
from tfheal.model.resources import Archive, File, Firewall, Postgres, resource_id

_PROJECT = Path(__file__).parents[2]
_FOLDER = _PROJECT / "playbooks/tryton"
_SLICES = "".join(f'[slices.s{n}]\nowner = "lab"\naddress = "fd00::{n}"\n' for n in (1, 2, 3))
_REQUIREMENT = re.compile(r"([a-z0-9-]+)==(\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)")
_DIGEST = "8fMVNQRIS3XNsc6gAOqWRDEoI09km9Ol5J49QfkUo8E"  # of the password "secret"
Deployed = tuple[Playbook, dict[str, Release]]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """Return the playbook and the releases of the example by slice, on slices that `lab up` would have added."""
    return _made(tmp_path_factory.mktemp("example"))


def _made(root: Path, version: str = "7.0.59") -> Deployed:
    (root / "apps").mkdir()
    for name in ("tfheal.toml", "apps/crm.yaml"):
        text = (_PROJECT / "examples/tryton" / name).read_text()
        (root / name).write_text(text.replace("7.0.59", version))
    (root / "inventory.toml").write_text("[owners.lab]\n" + _SLICES)
    workspace = WorkspaceFiles(root).load()
    folder = workspace.playbooks["tryton"]
    versions = dict.fromkeys(folder.playbook.secrets, 1)
    made = releases(Blueprint(workspace.apps["crm"], folder, workspace.inventory, versions, JinjaTemplates().render))
    return folder.playbook, {release.slice: release for release in made}


def test_every_version_is_locked_to_exact_packages_of_one_series(example: Deployed) -> None:
    """A lock holds exact versions with hashes, of wheels only; the server's is the version, every module is of its series."""
    versions = example[0].versions
    assert {version.rpartition(".")[0] for version in versions} == {"7.0", "8.0"}
    for version, path in versions.items():
        text = (_FOLDER / path).read_text()
        body = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
        locked = {match[1]: match[2] for match in _REQUIREMENT.finditer(body)}
        assert _REQUIREMENT.sub("", body).split() == ["--only-binary", ":all:"]
        assert locked["trytond"] == version
        series, _, _ = version.rpartition(".")
        driver = {"7.0": {"psycopg2-binary", "passlib"}, "8.0": {"psycopg-binary", "psycopg-pool", "argon2-cffi"}}[
            series
        ]
        assert {"trytond-party", "trytond-sale-opportunity", *driver} < set(locked)
        assert all(number.startswith(f"{series}.") for name, number in locked.items() if name.startswith("trytond"))


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
    ast.parse(files["server.py"])
    assert "@[fd00::1]:5432/?sslmode=require&channel_binding=require" in files["trytond.conf"]


def test_each_series_is_asked_and_served_in_its_own_way(example: Deployed, tmp_path: Path) -> None:
    """8.0 has another driver, another place for calls, and looks for the libraries of its client elsewhere."""
    older, newer = example[1]["s2"], _made(tmp_path, "8.0.12")[1]["s2"]

    def said(release: Release) -> str:
        return "\n".join(each.content or "" for each in release.resources if isinstance(each, File))

    def into(release: Release) -> set[str]:
        (archive,) = (each for each in release.resources if isinstance(each, Archive))
        return {part.into.partition("/")[0] for part in archive.parts}

    assert ("psycopg2" in said(older), "psycopg2" in said(newer)) == (True, False)
    assert (into(older), into(newer)) == ({"", "bower_components"}, {"", "node_modules"})
    asks = ["\n".join(check.command or "" for check in one.checks) for one in (older, newer)]
    assert ["/rpc/" in one for one in asks] == [False, True]
    assert ['"8.0"' in one for one in asks] == [False, True]
    assert [one.migrate and one.migrate.series for one in (older, newer)] == ["7.0", "8.0"]
    for one in newer.resources:
        if isinstance(one, File) and one.path.endswith(".py"):
            ast.parse(one.content or "")


def test_an_older_password_is_known_to_a_newer_server(tmp_path: Path) -> None:
    """A hash as passlib writes it, checked as the server of 8.0 does it; another password is none, and another hash is not taken for one."""
    release = _made(tmp_path, "8.0.12")[1]["s2"]
    text = next(
        one.content or "" for one in release.resources if isinstance(one, File) and one.path.endswith("server.py")
    )
    body = ast.parse(text)
    kept = [one for one in body.body if isinstance(one, (ast.ClassDef, ast.Assign, ast.Import))]
    names: dict[str, Any] = {}
    plain = [one for one in kept if not (isinstance(one, ast.Assign) and ast.unparse(one).startswith("LOADED"))]
    exec(compile(ast.Module(plain, []), "server.py", "exec"), names)  # noqa: S102 - our own text
    known = names["Scrypt"]()
    hashed = "$scrypt$ln=4,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$" + _DIGEST
    assert (known.identify(hashed), known.verify("secret", hashed), known.verify("Secret", hashed)) == (
        True,
        True,
        False,
    )
    assert not known.identify("$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA")
