"""`tfheal tick` tells a dead-man switch how it went, and never runs twice at a time."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from switch import a_switch

from tfheal.base.errors import ActionFailed
from tfheal.base.exits import Exit
from tfheal.cli.main import Ended, run
from tfheal.edge.journal import SqliteJournal
from tfheal.edge.lease import JournalLeases
from tfheal.flows import tick as flow
from tfheal.model.tick import Part, Tick


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a workspace without apps."""
    for name in ("tfheal.toml", "inventory.toml"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(*words: str, capsys: pytest.CaptureFixture[str], code: int = 0) -> dict[str, Any]:
    """Run a tick with --json, and return its document."""
    assert run(["tick", *words, "--json"]) == code
    return dict(json.loads(capsys.readouterr().out))


def test_a_tick_that_did_its_work_is_a_success(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Start and success are heard; with --quiet nothing is said, also when the switch does not answer."""
    with a_switch() as (url, heard):
        (workspace / "tfheal.toml").write_text(f'[ping]\nurl = "{url}"\n')
        assert run(["tick", "--quiet", "--deadline", "1m"]) == 0
        assert capsys.readouterr() == ("", "")
    assert heard == [("/start", ""), ("", "exit 0\nheal: nothing is deployed")]
    document = told(capsys=capsys)
    assert (document["signal"], document["parts"]["heal"]["exit"]) == ("success", 0)
    assert "did not get out" in document["unsent"]
    assert "T0KEN" not in str(document)


def test_a_locked_tick_is_no_success(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """While another tick runs, the second does nothing: it ends with 6, and is a note in the log of the switch."""
    with a_switch() as (url, heard), closing(SqliteJournal(workspace / ".tfheal" / "journal.db")) as journal:
        (workspace / "tfheal.toml").write_text(f'[ping]\nurl = "{url}"\n')
        other = journal.begin_run("tick", journal.clock.now()).id
        with JournalLeases(journal).hold(flow.LEASE, "tick", other):
            document = told(capsys=capsys, code=6)
            assert run(["tick", "--quiet"]) == 6
            assert capsys.readouterr().out == ""
    assert [path for path, _ in heard] == ["/log", "/log"]
    assert (document["parts"], document["signal"]) == ({}, "log")
    assert "another run is acting on the tick" in document["locked"]


def test_a_tick_that_breaks_is_a_failure(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error of one thing is told, stops no other, and fails the whole; so does a bug, without its words for the switch."""

    def broken() -> Part:
        raise ActionFailed("the disk is gone")

    def interrupted() -> Part:
        raise Ended

    jobs = {"first": broken, "second": lambda: Part(Exit.OK, "well")}
    monkeypatch.setattr(flow, "due", lambda *_: jobs)
    with a_switch() as (url, heard):
        (workspace / "tfheal.toml").write_text(f'[ping]\nurl = "{url}"\n')
        document = told(capsys=capsys, code=5)
        assert {name: part["exit"] for name, part in document["parts"].items()} == {"first": 5, "second": 0}
        monkeypatch.setattr("tempfile.tempdir", str(workspace))
        nothing: dict[str, Part] = {}
        jobs["first"] = lambda: nothing["what a slice said"]
        document = told(capsys=capsys, code=1)
        assert {name: part["exit"] for name, part in document["parts"].items()} == {"first": 1, "second": 0}
        jobs["first"] = interrupted
        told(capsys=capsys, code=130)
    assert heard[1] == ("/fail", "exit 5\nfirst: the disk is gone\nsecond: well")
    (report,) = workspace.glob("tfheal-bug-*.txt")
    assert "what a slice said" in report.read_text()
    assert (heard[3][0], str(report) in heard[3][1], "slice said" in heard[3][1]) == ("/fail", True, False)
    assert heard[3][1].startswith("exit 1\nfirst: tfheal made a mistake of its own: KeyError")
    assert heard[5] == ("/fail", "it did not come to its end: Ended")


@pytest.mark.parametrize(
    ("exits", "idle", "signal"),
    [
        ((Exit.OK,), False, "success"),
        ((Exit.FINDINGS,), False, "success"),
        ((Exit.UNKNOWN,), False, "success"),
        ((Exit.REFUSED,), False, "success"),
        ((Exit.UNKNOWN,), True, "log"),
        ((Exit.REFUSED,), True, "log"),
        ((Exit.HUMAN,), True, "fail"),
        ((Exit.OK, Exit.FAILED), False, "fail"),
    ],
)
def test_what_the_switch_is_told(exits: tuple[Exit, ...], idle: bool, signal: str) -> None:  # noqa: FBT001
    """Work that was done is a success though something ails; what needs a human is a failure; the rest is neither."""
    parts = {str(number): Part(code, "", idle=idle) for number, code in enumerate(exits)}
    assert Tick(parts).signal == signal


@pytest.mark.usefixtures("workspace")
def test_a_deadline_is_a_duration(capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else is told before anything is done."""
    assert "is not a duration" in told("--deadline", "soon", capsys=capsys, code=2)["error"]["what"]
