"""The playbook of copyparty: what it renders to, that it cannot start on half a configuration, and its versions."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from running_lab import RunningLab

from tfheal.core.release import Blueprint, releases
from tfheal.edge.files import WorkspaceFiles
from tfheal.edge.templates import JinjaTemplates
from tfheal.model.app import AppSpec
from tfheal.model.inventory import Inventory
from tfheal.model.release import SECRET_TOKEN, Release
from tfheal.model.resources import Command, File, Unit, resource_id
from tfheal.model.workspace import PlaybookFolder

Example = tuple[AppSpec, PlaybookFolder, Inventory]

_PROJECT = Path(__file__).parents[2]
_LOCKS = _PROJECT / "playbooks/copyparty/locks"
_INVENTORY = '[owners.lab]\n[slices.s1]\nowner = "lab"\naddress = "fd00::1"\n'
_REQUIREMENT = re.compile(r"([a-z0-9-]+)==(\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)")
_SPEC = """\
app: shelf
owner: lab
playbook: copyparty
version: "{version}"
place: {{web: [s3]}}
"""


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    """Return the parts of the example workspace, with the slice that `lab up` would have added."""
    root = tmp_path_factory.mktemp("example")
    (root / "apps").mkdir()
    for name in ("tfheal.toml", "apps/files.yaml"):
        (root / name).write_bytes((_PROJECT / "examples/copyparty" / name).read_bytes())
    (root / "inventory.toml").write_text(_INVENTORY)
    workspace = WorkspaceFiles(root).load()
    return workspace.apps["files"], workspace.playbooks["copyparty"], workspace.inventory


def _release(example: Example, **changes: object) -> Release:
    app, folder, inventory = example
    app = app.model_copy(update=changes)
    return releases(Blueprint(app, folder, inventory, {"admin_password": 1}, JinjaTemplates().render))[0]


def _file(release: Release, name: str) -> File:
    return next(each for each in release.resources if isinstance(each, File) and each.path.endswith(f"/{name}"))


def _conf(release: Release) -> list[str]:
    return (_file(release, "copyparty.conf").content or "").splitlines()


def _pre(release: Release) -> list[str]:
    unit = next(each for each in release.resources if isinstance(each, Unit))
    line = next(line for line in unit.content.splitlines() if line.startswith("ExecStartPre="))
    return shlex.split(line.partition("=")[2])


def test_every_version_is_locked_to_exact_packages(example: Example) -> None:
    """A lock file holds nothing but exact versions with hashes, of wheels only, and the version it is named after."""
    versions = example[1].playbook.versions
    assert len(versions) >= 3
    for version, path in versions.items():
        text = (_LOCKS.parent / path).read_text()
        body = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
        assert body.startswith("--only-binary :all:\n")
        assert {match[1]: match[2] for match in _REQUIREMENT.finditer(body)}["copyparty"] == version
        assert _REQUIREMENT.sub("", body).split() == ["--only-binary", ":all:"]


def test_the_password_is_in_one_file_that_only_root_reads(
    example: Example,
) -> None:
    """No unit, check or other file of the release holds the password; the service gets it as a credential."""
    release = _release(example)
    holders = [each for each in release.resources if SECRET_TOKEN.search(each.model_dump_json())]
    assert [resource_id(each) for each in holders] == ["file:/opt/tfheal/files/web/config/accounts.conf"]
    assert _file(release, "accounts.conf").mode == "0600"
    assert not any(SECRET_TOKEN.search(check.model_dump_json()) for check in release.checks)


def test_settings_reach_the_configuration(example: Example) -> None:
    """What an app sets is what copyparty reads."""
    settings = {"port": 8080, "title": "Acme", "keep_free": 512, "sharing": False}
    lines = _conf(_release(example, settings=settings))
    assert {"  p: 8080", "  name: Acme", "  df: 512m"} < set(lines)
    assert not any("shr" in line for line in lines)
    assert "  shr: /share" in _conf(_release(example))


def test_the_mark_of_the_data_is_on_the_disk_before_it_counts(example: Example) -> None:
    """Else a power cut leaves an empty one that is never made again, and good data is called lost for ever."""
    (mark,) = (each for each in _release(example).resources if isinstance(each, Command))
    write, on_disk, counts = mark.run.split(" && ")
    assert (write.split(">")[1], counts) == (on_disk.removeprefix("sync "), f": >{mark.done.removeprefix('test -e ')}")


def test_it_says_where_it_answers(example: Example) -> None:
    """A host name is taken as it is, an IPv6 address gets its brackets."""
    assert _release(example).url == "http://[fd00::1]:3923/"
    assert _release(example, hostname="files.acme.example").url == "http://files.acme.example:3923/"


def test_a_configuration_cut_anywhere_does_not_start(example: Example, tmp_path: Path) -> None:
    """Copyparty would run with defaults where its configuration is missing or cut short; the unit does not let it."""
    release = _release(example)
    conf = _file(release, "copyparty.conf")
    words = [word.replace(conf.path, str(tmp_path / "conf")) for word in _pre(release)]
    whole = (conf.content or "").encode()

    def starts(content: bytes) -> bool:
        (tmp_path / "conf").write_bytes(content)
        return subprocess.run(words, check=False, capture_output=True).returncode == 0

    assert starts(whole)
    last_line = range(len(whole) - 12, len(whole) - 1)
    line_ends = (match.end() for match in re.finditer(rb"\n", whole[:-1]))
    assert not any(starts(whole[:cut]) for cut in {0, 1, *line_ends, *last_line})


def test_the_upload_check_is_sound_sh(example: Example) -> None:
    """Every check that is a script parses as POSIX sh."""
    for check in _release(example).checks:
        subprocess.run(["sh", "-n"], input=(check.command or "").encode(), check=True)


@pytest.mark.lab
def test_every_version_runs_and_keeps_the_files(lab: RunningLab) -> None:
    """Deployed, upgraded from one to the next, and back to the first, each version passes its checks on the same files."""
    spec = lab.workspace / "apps/shelf.yaml"
    spec.parent.mkdir(exist_ok=True)
    versions = sorted(path.stem for path in _LOCKS.iterdir())
    kept = "/srv/tfheal/shelf/web/files/kept"
    try:
        spec.write_text(_SPEC.format(version=versions[0]))
        lab.run("deploy", "shelf")
        for version in [*versions, versions[0]]:
            lab.run("upgrade", "shelf", "--to", version, "--no-backup", "--soak", "1s")
            assert f'version: "{version}"' in spec.read_text()
            said = lab.on(
                "s3", f"[ -e {kept} ] || echo precious >{kept}; cat {kept}; ls -A /srv/tfheal/shelf/web/files"
            )
            assert said.split() == ["precious", "kept"]
        running = lab.on("s3", "/opt/tfheal/shelf/web/current/bin/python -m copyparty --versionb")
        assert running.strip() == versions[0]
    finally:
        lab.run("remove", "shelf", "--data", "--yes")
        spec.unlink()
