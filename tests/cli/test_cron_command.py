"""`tfheal cron` writes and removes what runs a tick, and touches nothing else of a crontab."""

import json
from pathlib import Path
from typing import Any

import pytest

from tfheal.cli.main import run
from tfheal.core.schedule import name_of
from tfheal.edge import schedule as edge
from tfheal.edge.schedule import Here, SystemdScheduler
from tfheal.model.schedule import Schedule

CRONTAB = """#!/bin/sh
cd "${0%/*}"
case $1 in
  -l) cat kept 2>/dev/null || { echo "no crontab for root" >&2; exit 1; } ;;
  -) cat >kept ;;
esac
"""
OTHERS = "# theirs\n*/5 * * * *  backup\n"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a workspace, with a `crontab` that keeps its lines in a file beside it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "crontab").write_text(CRONTAB)
    (tmp_path / "bin" / "crontab").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("TFHEAL_AGE_KEY_FILE", "age.key")
    work = tmp_path / "work"
    work.mkdir()
    (work / "tfheal.toml").touch()
    monkeypatch.chdir(work)
    return work


def told(*words: str, capsys: pytest.CaptureFixture[str], code: int = 0) -> dict[str, Any]:
    """Run a command of cron with --json, and return its document."""
    assert run(["cron", *words, "--json"]) == code
    return dict(json.loads(capsys.readouterr().out))


def test_a_crontab_gets_one_line(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With absolute paths and the key; again nothing changes, another interval replaces it, and removed it is gone."""
    kept = workspace.parent / "bin" / "kept"
    kept.write_text(OTHERS)
    assert not told("show", "--crontab", capsys=capsys)["scheduled"]
    assert told("install", "--crontab", "--every", "10m", capsys=capsys)["changed"]
    assert not told("install", "--crontab", "--every", "10m", capsys=capsys)["changed"]
    told("install", "--crontab", "--every", "15m", "--deadline", "5m", capsys=capsys)
    (line,) = kept.read_text().removeprefix(OTHERS).splitlines()[1:]
    assert f"TFHEAL_AGE_KEY_FILE={workspace}/age.key /" in line
    assert line.endswith(f" -m tfheal tick --quiet --deadline 300s --workspace {workspace}")
    assert run(["cron", "show", "--crontab"]) == 0
    assert f"{workspace}: scheduled" in capsys.readouterr().out
    assert told("remove", "--crontab", capsys=capsys)["changed"]
    assert not told("remove", "--crontab", capsys=capsys)["changed"]
    assert kept.read_text() == OTHERS


@pytest.mark.usefixtures("workspace")
def test_without_systemd_that_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A machine that systemd does not run is told of cron; an interval that is none is told before anything is done."""
    monkeypatch.setattr(edge, "SYSTEMD", "/nonexistent")
    assert "--crontab" in told("install", capsys=capsys, code=2)["error"]["do"]
    assert "is not a duration" in told("install", "--every", "often", capsys=capsys, code=2)["error"]["what"]
    assert "cron cannot run" in told("install", "--crontab", "--every", "7m", capsys=capsys, code=2)["error"]["what"]


def test_files_of_units_are_kept_on_this_machine(tmp_path: Path) -> None:
    """A user's folder is made where it is missing; what is there is read back and deleted."""
    seat, path = Here(), str(tmp_path / "systemd" / "user" / "a.timer")
    assert seat.read(path) is None
    seat.write(path, "[Timer]\n")
    assert seat.read(path) == "[Timer]\n"
    seat.delete(path)
    assert seat.read(path) is None
    assert seat.run(("sh", "-c", "cat; exit 0"), "words") == (0, "words")
    assert seat.run(("sh", "-c", "echo no >&2; exit 3")) == (3, "no\n")
    schedule = Schedule(name_of("/srv/a"), "/srv/a", ("/bin/true",), 60.0, 60.0)
    assert SystemdScheduler(seat, str(tmp_path / "none"), own=True).look(schedule) is None
