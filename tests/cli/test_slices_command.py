"""`tfheal slice` and `tfheal ssh` where no machine is needed: what is listed, refused and asked."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tfheal.base.errors import Refused
from tfheal.cli.main import run
from tfheal.edge.known_hosts import KnownHosts
from tfheal.flows.slices import ssh_command
from tfheal.model.inventory import Slice
from tfheal.model.slices import Login
from tfheal.model.ssh import fingerprint

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB1FRpGkoGSuiA5gcQJzQnzmOpYH1bJ5ckmgu5kHX4cE"
INVENTORY = """\
[owners.acme]
[slices.acme-1]
owner = "acme"
address = "5f3::10"   # by phone
labels = { role = "web" }
[slices.acme-2]
owner = "acme"
address = "10.0.0.2"
port = 2222
"""
APP = """app: files
owner: acme
playbook: tiny
version: "1.0"
place: {web: [acme-1]}
spares: [acme-2]
"""
PLAYBOOK = """playbook: tiny
title: Tiny
versions: {"1.0": lock.txt}
components:
  web:
    resources: [{kind: directory, path: /srv/tiny}]
"""


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a workspace of two slices, the first one pinned."""
    (tmp_path / "tfheal.toml").touch()
    (tmp_path / "inventory.toml").write_text(INVENTORY)
    (tmp_path / "known_hosts").write_text(f"acme-1 {KEY}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def place_an_app(workspace: Path) -> None:
    """Put an app on the first slice, with the second as its spare."""
    for name, text in {
        "apps/files.yaml": APP,
        "playbooks/tiny/playbook.yaml": PLAYBOOK,
        "playbooks/tiny/lock.txt": f"tiny==1.0 --hash=sha256:{0:064}\n",
    }.items():
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_text(text)


def test_list_as_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts get what is written and what is pinned, in the order of the file."""
    assert run(["slice", "list", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["exit"]) == ("tfheal/slice-list/1", 0)
    assert document["slices"] == [
        {
            "slice": "acme-1",
            "owner": "acme",
            "address": "5f3::10",
            "labels": {"role": "web"},
            "host_keys": [fingerprint(KEY)],
        },
        {"slice": "acme-2", "owner": "acme", "address": "10.0.0.2", "port": 2222, "labels": {}, "host_keys": []},
    ]


def test_list_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    """People see a line for each slice, and which one is not pinned."""
    assert run(["slice", "list"]) == 0
    said = capsys.readouterr().out
    assert "acme-1" in said
    assert "role=web" in said
    assert "not pinned" in said.split("acme-2")[1]


def test_list_and_forget_load_no_ssh_library() -> None:
    """What needs no connection does not wait for the libraries of one."""
    program = "import sys; from tfheal.cli.main import run; run(['slice', 'list']); print('paramiko' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.endswith("False\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["add", "acme-1", "::1", "--owner", "acme"], "already"),
        (["add", "Acme", "::1", "--owner", "acme"], "cannot be the name"),
        (["add", "new", "::1", "--owner", "The Owner"], "cannot be the name"),
        (["add", "new", "[::1]", "--owner", "acme"], "without brackets: ::1"),
        (["add", "new", "root@h", "--owner", "acme"], "without user or port"),
        (["add", "new", "::1", "--owner", "acme", "--port", "0"], "port"),
        (["add", "new", "::1", "--owner", "acme", "--user", "Bad User"], "user"),
        (["add", "new", "::1", "--owner", "acme", "--label", "web"], "KEY=VALUE"),
        (["add", "new", "::1", "--owner", "acme", "--label", "Big Word=x"], 'labels."Big Word"'),
        (["add", "new", "::1", "--owner", "acme", "--fingerprint", "MD5:aa:bb"], "SHA256:"),
        (["add", "new", "::1", "--owner", "acme", "--key", "/none/such"], "no such key file"),
        (["add", "new", "::1"], "--owner"),
        (["trust", "acme-3"], "did you mean acme-"),
        (["trust", "acme-1", "--fingerprint", "SHA256:short"], "43 characters"),
        (["forget", "elsewhere"], "there are acme-1, acme-2"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_touched(
    workspace: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    """Bad words on the command line are exit 2 with what is allowed, before anything is connected or written."""
    assert run(["slice", *words]) == 2
    assert expected in " ".join(capsys.readouterr().err.split())
    assert (workspace / "inventory.toml").read_text() == INVENTORY
    assert (workspace / "known_hosts").read_text() == f"acme-1 {KEY}\n"


def test_forgotten_slice_is_in_neither_file(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Forgetting takes a slice out of the inventory and of known_hosts, and leaves the rest as it was."""
    assert run(["slice", "forget", "acme-1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["slice"] == "acme-1"
    assert "acme-1" not in (workspace / "inventory.toml").read_text() + (workspace / "known_hosts").read_text()
    assert "acme-2" in (workspace / "inventory.toml").read_text()


@pytest.mark.parametrize(("name", "part"), [("acme-1", "web"), ("acme-2", "a spare")])
def test_slice_with_an_app_is_not_forgotten(
    workspace: Path, capsys: pytest.CaptureFixture[str], name: str, part: str
) -> None:
    """A slice that an app is placed on, or that is its spare, stays; the refusal names the app and the way out."""
    place_an_app(workspace)
    assert run(["slice", "forget", name]) == 6
    said = capsys.readouterr().err
    assert f"files: {part}" in said
    assert "tfheal remove files" in said
    assert (workspace / "inventory.toml").read_text() == INVENTORY


def test_ssh_needs_a_pin(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody logs in to a slice whose host key was not pinned."""
    assert run(["ssh", "acme-2"]) == 6
    assert "tfheal slice trust acme-2" in capsys.readouterr().err


def test_command_of_openssh(workspace: Path) -> None:
    """OpenSSH is told the pin, the user, and to trust, forward and learn nothing else; the user's words come last."""
    target = Slice("acme-1", "acme", "5f3::10", port=2222, key="id", proxy_jump="root@jump")
    login = Login("root", "/w/id", "/w/known hosts")
    words = ssh_command(target, login, ("ls", "-l"), KnownHosts(workspace / "known_hosts"))
    assert words[-10:] == ("-p", "2222", "-i", "/w/id", "-J", "root@jump", "5f3::10", "--", "ls", "-l")
    assert 'UserKnownHostsFile="/w/known hosts"' in words
    for option in ("HostKeyAlias=acme-1", "StrictHostKeyChecking=yes", "ForwardAgent=no", "UpdateHostKeys=no"):
        assert option in words


def test_command_of_openssh_without_pin(workspace: Path) -> None:
    """The refusal comes before OpenSSH is started."""
    with pytest.raises(Refused):
        ssh_command(Slice("s9", "acme", "::1"), Login("root", None, ""), (), KnownHosts(workspace / "known_hosts"))
