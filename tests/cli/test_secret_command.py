"""`tfheal secret` gives, shows and renews secrets without a value on any command line, and says what comes next."""

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tfheal.cli.main import run

APP = """app: files
owner: lab
playbook: tiny
version: "1.0"
place: {web: [s1]}
"""
PLAYBOOK = """playbook: tiny
title: Tiny
versions: {"1.0": lock.txt}
secrets:
  admin: {length: 20, description: the administrator's password}
components:
  web:
    resources: [{kind: directory, path: /srv/tiny}]
"""
INVENTORY = '[owners.lab]\n[slices.s1]\nowner = "lab"\naddress = "127.0.0.1"\n'
LOCK = f"tiny==1.0 --hash=sha256:{0:064}\n"
VALUE = "correct horse [bold]battery[/bold]"


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a workspace of one app, with a key of its own."""
    root = tmp_path / "workspace"
    (root / "apps").mkdir(parents=True)
    (root / "tfheal.toml").write_text("")
    (root / "inventory.toml").write_text(INVENTORY)
    (root / "apps" / "files.yaml").write_text(APP)
    (root / "playbooks" / "tiny").mkdir(parents=True)
    (root / "playbooks" / "tiny" / "playbook.yaml").write_text(PLAYBOOK)
    (root / "playbooks" / "tiny" / "lock.txt").write_text(LOCK)
    monkeypatch.chdir(root)
    monkeypatch.setenv("TFHEAL_AGE_KEY_FILE", str(tmp_path / "age.key"))
    return root


def piped(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Put bytes on stdin."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_a_value_that_is_set_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What was piped in comes out alone on stdout; each set is a version, and older ones can be had."""
    for data in (f"{VALUE}\n".encode(), b"second\r\n", "drittes ⟦geheimnis⟧".encode()):
        piped(monkeypatch, data)
        assert run(["secret", "set", "files", "admin", "--stdin"]) == 0
    assert "admin of files is at version 3; `tfheal deploy files` brings it into use" in capsys.readouterr().out
    for arguments, expected in (
        (["--version", "1"], VALUE),
        (["--version", "2"], "second"),
        ([], "drittes ⟦geheimnis⟧"),
    ):
        assert run(["secret", "show", "files", "admin", *arguments]) == 0
        assert capsys.readouterr() == (f"{expected}\n", "")


def test_json_is_one_document(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts get one document of the command's own schema; only `show` tells the value."""
    piped(monkeypatch, VALUE.encode())
    for arguments, value in (
        (["set", "files", "admin", "--stdin"], None),
        (["show", "files", "admin"], VALUE),
        (["rotate", "files", "admin"], None),
    ):
        assert run(["secret", *arguments, "--json"]) == 0
        said = capsys.readouterr().out
        document = json.loads(said)
        assert (document["schema"], document["exit"]) == (f"tfheal/secret-{arguments[0]}/1", 0)
        assert (document["app"], document["name"], document.get("value")) == ("files", "admin", value)


def test_rotate_makes_a_value_as_the_playbook_says(capsys: pytest.CaptureFixture[str]) -> None:
    """A new version has the playbook's length and is no older one."""
    values = []
    for version in (1, 2):
        assert run(["secret", "rotate", "files", "admin"]) == 0
        assert f"version {version}; `tfheal deploy files`" in capsys.readouterr().out
        run(["secret", "show", "files", "admin"])
        values.append(capsys.readouterr().out.strip())
    assert len(set(values)) == 2
    assert all(len(value) == 20 and value.isalnum() for value in values)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["set", "files", "admin"], ["no terminal", "--stdin"]),
        (["set", "flies", "admin", "--stdin"], ["no app flies", "did you mean files?"]),
        (["set", "files", "admim", "--stdin"], ["no secret admim", "did you mean admin?"]),
        (["rotate", "flies", "admin"], ["did you mean files?"]),
        (["rotate", "files", "root"], ["no secret root", "its secrets are admin"]),
        (["show", "files", "admim"], ["did you mean admin?"]),
        (["show", "../files", "admin"], ["no app ../files"]),
        (["show", "files", "admin"], ["no admin yet", "tfheal deploy files"]),
        (["show", "files"], ["NAME"]),
    ],
)
def test_what_cannot_be_done_is_told_with_the_nearest_word(
    arguments: list[str], words: list[str], workspace: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Unknown names, a missing terminal and a secret that is not there yet: exit 2, and nothing was made."""
    assert run(["secret", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert all(word in err for word in words), err
    assert not (workspace / "secrets").exists()
    assert not (tmp_path / "age.key").exists()


def test_a_version_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The versions that are there are named."""
    run(["secret", "rotate", "files", "admin"])
    for version in ("0", "2", "-1"):
        assert run(["secret", "show", "files", "admin", "--version", version]) == 2
        assert "its versions are 1 to 1" in capsys.readouterr().err


@pytest.mark.parametrize("data", [b"", b"\n", b"a\0b", b"\xff\xfesecret", b"x" * 70_000])
def test_a_value_of_no_use_is_refused_without_quoting_it(
    data: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], workspace: Path
) -> None:
    """Nothing, NUL, bytes that are no text and endless text are refused."""
    piped(monkeypatch, data)
    assert run(["secret", "set", "files", "admin", "--stdin"]) == 2
    out, err = capsys.readouterr()
    assert "the value of admin" in err
    assert "secret" not in out + err
    assert "xxx" not in out + err
    assert not (workspace / "secrets").exists()


def test_a_value_is_typed_unseen(workspace: Path) -> None:
    """On a terminal the value is asked for twice and never echoed."""
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "tfheal", "secret", "set", "files", "admin"]
    with subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        screen = b""
        for prompt in (b"Value of admin: ", b"Repeat for confirmation: "):
            screen += _until(ours, prompt)
            os.write(ours, b"typed-value\n")
        screen += _until(ours, b"brings it into use")
    os.close(ours)
    assert process.returncode == 0
    assert b"typed-value" not in screen
    assert (workspace / "secrets" / "files.age").exists()


def _until(terminal: int, end: bytes) -> bytes:
    screen = b""
    while not screen.endswith(end):
        screen += os.read(terminal, 1)
    return screen
