"""`tfheal incidents` tells what ailed and what was done; `tfheal ack` takes one upon a person, once."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from journals import NOW, an_action, an_incident

from tfheal.cli.main import run
from tfheal.edge.journal import SqliteJournal
from tfheal.model.record import Incident


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteJournal]:
    """Stand in a workspace without apps, and return its journal."""
    (tmp_path / "tfheal.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    with closing(SqliteJournal(tmp_path / ".tfheal" / "journal.db")) as opened:
        yield opened


@pytest.fixture
def story(journal: SqliteJournal) -> tuple[Incident, Incident]:
    """Return an incident that is over, and one that is open after a rung that failed and a page."""
    heal = journal.begin_run("heal --auto", NOW).id
    over = an_incident(journal, id="i-over0000", detail="it is failed")
    restarted = an_action(journal, heal, incident=over.id)
    journal.conclude(restarted.id, "done", "changed", NOW + timedelta(seconds=2))
    journal.put_incident(replace(over, state="resolved", closed=NOW + timedelta(minutes=3)))
    standing = an_incident(journal, id="i-open0000", cause="drift", rung="page", paged=NOW, opened=NOW)
    for verb, outcome in (("redeploy", "failed"), ("page", "done")):
        action = an_action(journal, heal, verb=verb, incident=standing.id)
        journal.conclude(action.id, outcome, "no space left", NOW + timedelta(seconds=9))  # type: ignore[arg-type]
    return over, standing


def told(*words: str, capsys: pytest.CaptureFixture[str], code: int = 0) -> dict[str, Any]:
    """Run a command with --json, and return its document."""
    assert run([*words, "--json"]) == code
    return dict(json.loads(capsys.readouterr().out))


@pytest.mark.usefixtures("story")
def test_incidents_with_rungs_and_outcome(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with what was done about it, how that ended and how it stands; those that are over can be left out."""
    over, standing = told("incidents", capsys=capsys)["incidents"]
    assert (over["outcome"], standing["outcome"]) == ("healed by restart", "open at page")
    rungs = [(rung["rung"], rung["outcome"], rung["seconds"]) for rung in standing["rungs"]]
    assert rungs == [("redeploy", "failed", 9.0), ("page", "done", 9.0)]
    assert [one["id"] for one in told("incidents", "--open", capsys=capsys)["incidents"]] == [standing["id"]]
    assert [one["id"] for one in told("incidents", "--limit", "1", capsys=capsys)["incidents"]] == [standing["id"]]
    assert run(["incidents"]) == 0
    words = capsys.readouterr().out
    for word in ("i-over0000", "crm/web@s1", "healed by restart, 3m", "redeploy failed in 9.0 s: no space left"):
        assert word in words


@pytest.mark.usefixtures("journal")
def test_without_incidents_there_is_little_to_tell(capsys: pytest.CaptureFixture[str]) -> None:
    """A new workspace has none, in words and for scripts."""
    assert told("incidents", capsys=capsys)["incidents"] == []
    assert run(["incidents"]) == 0
    assert capsys.readouterr().out == "no incidents\n"


def test_an_incident_is_taken(
    story: tuple[Incident, Incident], journal: SqliteJournal, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who took it is kept though healing goes on writing it; what is over or unknown cannot be taken."""
    over, standing = story
    assert told("ack", standing.id, capsys=capsys)["acked_by"]
    journal.put_incident(replace(standing, detail="a later look"))
    (kept,) = journal.incidents(open_only=True)
    assert kept.detail == "a later look"
    assert kept.acked_by.count("@") == 1
    assert "taken by" in (run(["incidents"]), capsys.readouterr().out)[1]
    assert "over since" in told("ack", over.id, capsys=capsys, code=2)["error"]["why"]
    assert standing.id in told("ack", "i-open0001", capsys=capsys, code=2)["error"]["do"]
