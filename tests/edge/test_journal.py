"""The journal gives back what it was given, and knows what was begun and never told its end."""

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from journals import NOW, WEB, a_release, an_action, an_incident, in_a_killed_process

from tfheal.base.errors import ActionFailed
from tfheal.edge.journal import SqliteJournal
from tfheal.model.record import Deployed, Standing
from tfheal.model.release import InstanceName

DB = InstanceName("crm", "db", "s2")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a workspace keeps its journal."""
    return tmp_path / ".tfheal" / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    """Return an open journal."""
    with closing(SqliteJournal(path)) as opened:
        yield opened


# ---------------------------------------------------------------- what was written comes back


def test_an_action_comes_back_as_it_was(journal: SqliteJournal) -> None:
    """Intent and outcome are one record, and its every field survives the file."""
    run = journal.begin_run("heal --auto", NOW)
    action = an_action(journal, run.id, incident="i1", release="r1")
    assert journal.actions() == [action]
    journal.conclude(action.id, "done", "restarted", NOW + timedelta(seconds=2))
    done = replace(action, outcome="done", detail="restarted", ended=NOW + timedelta(seconds=2))
    assert journal.actions("crm") == [done]


def test_what_others_did_is_recorded_once(journal: SqliteJournal) -> None:
    """A deed that is there already is left as it was first told."""
    run = journal.begin_run("reflex", NOW).id
    first = an_action(journal, run, verb="reflex", ended=NOW, outcome="done")
    journal.note([replace(first, why="told otherwise"), replace(first, id="another")])
    assert journal.actions() == [first, replace(first, id="another")]


def test_actions_are_the_newest_and_oldest_first(journal: SqliteJournal) -> None:
    """A limit keeps the newest, an app and a time narrow it, the order is that of writing."""
    run = journal.begin_run("heal", NOW).id
    made = [an_action(journal, run, app=app, started=NOW + timedelta(hours=n)) for n, app in enumerate("abab")]
    assert journal.actions(limit=3) == made[1:]
    assert journal.actions("b") == [made[1], made[3]]
    assert journal.actions("b", limit=1) == [made[3]]
    assert journal.actions(since=NOW + timedelta(hours=2)) == made[2:]
    assert journal.actions(limit=0) == []
    assert journal.apps() == ["a", "b"]


def test_a_time_in_another_zone_is_the_same_time(journal: SqliteJournal) -> None:
    """Times are kept in UTC, whatever zone they came in, and a time without a zone is a bug."""
    elsewhere = NOW.astimezone(tz=None)
    run = journal.begin_run("heal", elsewhere)
    assert an_action(journal, run.id, started=elsewhere).started == journal.actions()[0].started
    assert journal.actions()[0].started.tzinfo is UTC
    with pytest.raises(ValueError, match="zone"):
        journal.begin_run("heal", NOW.replace(tzinfo=None))


def test_the_first_outcome_stands_unless_it_was_unknown(journal: SqliteJournal) -> None:
    """A successor's guess gives way to the one who did it; nothing else is rewritten."""
    run = journal.begin_run("heal", NOW).id
    action = an_action(journal, run)
    for outcome, expected in (("unknown", "unknown"), ("done", "done"), ("failed", "done"), ("unknown", "done")):
        journal.conclude(action.id, outcome, "", NOW)  # type: ignore[arg-type]
        assert journal.actions()[0].outcome == expected


def test_a_record_that_is_not_there_cannot_end(journal: SqliteJournal) -> None:
    """Concluding what was never begun means that the file was replaced, and says so."""
    with pytest.raises(ActionFailed, match="no action nope"):
        journal.conclude("nope", "done", "", NOW)
    with pytest.raises(ActionFailed, match="no run nope"):
        journal.end_run("nope", 0, NOW)
    with pytest.raises(ActionFailed):
        an_action(journal, "no-such-run")


def test_a_release_is_kept_once_and_without_secrets(journal: SqliteJournal, path: Path) -> None:
    """A release comes back equal under its id, and holds tokens where secrets will be."""
    release = a_release()
    journal.save_release(release, NOW)
    journal.save_release(release, NOW + timedelta(days=1))
    assert journal.release(release.id) == release
    assert journal.release("0" * 16) is None
    assert b"\xe2\x9f\xa6secret:admin:1" in path.with_name("journal.db-wal").read_bytes()


def test_a_release_of_another_version_is_an_error(journal: SqliteJournal) -> None:
    """What this tfheal cannot read is told, not guessed."""
    with journal.database.atomic():
        journal.database.change("save_release", id="old", document='{"app": "crm", "colour": 1}', saved="")
    with pytest.raises(ActionFailed, match="another version"):
        journal.release("old")


def test_deployed_is_replaced_and_dropped(journal: SqliteJournal) -> None:
    """One row an instance, ordered by instance; dropping one forgets its health too."""
    first = Deployed(WEB, "r1", "1.0", 1, "deploying", NOW)
    second = Deployed(DB, "r2", "1.0", 1, "deployed", NOW)
    other = Deployed(InstanceName("blog", "web", "s1"), "r3", "2", 4, "deployed", NOW)
    for deployed in (first, second, other):
        journal.set_deployed(deployed)
    journal.set_deployed(replace(first, phase="deployed", generation=2))
    assert journal.deployed() == [other, second, replace(first, phase="deployed", generation=2)]
    journal.note_health({WEB: "healthy", DB: "down"}, NOW)
    journal.drop_deployed(WEB)
    assert journal.deployed("crm") == [second]
    assert list(journal.health_since()) == [DB]


def test_how_releases_stand_is_replaced_and_goes_with_the_instance(journal: SqliteJournal) -> None:
    """One record for a release of an instance, with every field; a removal forgets those of its instance."""
    first = Standing(WEB, "r1", 3, healthy_since=NOW, good=NOW + timedelta(minutes=10))
    held = replace(first, good=None, healthy_since=None, held=NOW, why="it died")
    other, elsewhere = Standing(DB, "r1", 3), Standing(InstanceName("blog", "web", "s1"), "r2", 1)
    journal.put_standings([first, other, elsewhere])
    journal.put_standings([held])
    assert journal.standings() == [elsewhere, other, held]
    assert journal.standings("crm") == [other, held]
    journal.drop_deployed(WEB)
    assert journal.standings("crm") == [other]


def test_an_incident_is_replaced_by_its_id(journal: SqliteJournal) -> None:
    """An incident moves on under one id; resolved ones are left out when only open ones are asked for."""
    first, second = an_incident(journal), an_incident(journal, instance=None, cause="slice-unreachable", rung=None)
    later = replace(first, state="watching", rung="redeploy", last_seen=NOW + timedelta(hours=1), paged=NOW)
    journal.put_incident(later)
    assert journal.incidents() == [later, second]
    closed = replace(later, state="resolved", healthy_since=NOW, closed=NOW + timedelta(hours=2))
    journal.put_incident(closed)
    assert journal.incidents() == [closed, second]
    assert journal.incidents(open_only=True) == [second]
    assert journal.incidents(since=NOW + timedelta(minutes=90)) == [closed]


def test_since_moves_only_when_health_changes(journal: SqliteJournal) -> None:
    """The time of a health is when it began, not when it was last seen."""
    for hour, health in enumerate(("healthy", "healthy", "down", "down")):
        journal.note_health({WEB: health}, NOW + timedelta(hours=hour))  # type: ignore[dict-item]
    assert journal.health_since()[WEB].health == "down"
    assert journal.health_since()[WEB].since == NOW + timedelta(hours=2)


def test_what_a_slice_said_is_neutralised(journal: SqliteJournal) -> None:
    """Control and bidi characters, lone surrogates and endless text do not get into the record."""
    run = journal.begin_run("heal", NOW).id
    action = an_action(journal, run, why="\x1b[31mred\udcff")
    journal.conclude(action.id, "failed", "\u202eevil" + "x" * 9_000, NOW)
    (kept,) = journal.actions()
    assert kept.why == "\\x1b[31mred\\udcff"
    assert kept.detail.startswith("\\u202eevil")
    assert len(kept.detail) < 3_000


def test_ids_are_short_different_and_sorted(journal: SqliteJournal) -> None:
    """Ids made in one moment by several threads differ, and sort as they were made."""
    made: list[list[str]] = [[] for _ in range(4)]
    threads = [
        threading.Thread(target=lambda ids=ids: ids.extend(journal.new_id() for _ in range(500))) for ids in made
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(ids == sorted(ids) for ids in made)
    everything = [each for ids in made for each in ids]
    assert len({each[:9] for each in everything}) == 2_000
    assert {len(each) for each in everything} == {13}


# ---------------------------------------------------------------- what was begun and never told its end


def test_unfinished_are_actions_of_ended_or_dead_runs(journal: SqliteJournal, path: Path) -> None:
    """An action of a live run is under way; of a run that ended, or whose process was killed, it is unfinished."""
    mine = journal.begin_run("deploy", NOW)
    ours = an_action(journal, mine.id)
    assert journal.unfinished() == []
    dead = in_a_killed_process(path, "run = journal.begin_run('heal', NOW); begin(run.id)")
    assert [action.run for action in journal.unfinished()] == [dead]
    journal.end_run(mine.id, 130, NOW)
    assert {action.id for action in journal.unfinished()} >= {ours.id}
    for action in journal.unfinished():
        journal.conclude(action.id, "unknown", "", NOW)
    assert journal.unfinished() == []


def test_unfinished_elsewhere_goes_by_the_heartbeat(journal: SqliteJournal) -> None:
    """A run of another machine cannot be looked up: its lease says whether it lives."""
    run = journal.begin_run("heal", NOW).id
    action = an_action(journal, run)
    _edit(journal, "UPDATE run SET boot = 'another', pid = 1")
    assert journal.unfinished() == [action]
    now = journal.clock.now()
    lease = ("crm", "heal", run, "far", "ops", 1, "another", 1, "", now.isoformat(), 0)
    _edit(journal, "INSERT INTO lease VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", *lease)
    assert journal.unfinished() == []
    _edit(journal, "UPDATE lease SET renewed = ?", (now - timedelta(seconds=11)).isoformat())
    assert journal.unfinished() == [action]
    _edit(journal, "UPDATE lease SET renewed = ?, run = 'somebody else'", now.isoformat())
    assert journal.unfinished() == [action]


def _edit(journal: SqliteJournal, statement: str, *values: str | int) -> None:
    journal.database._connection.execute(statement, values)
