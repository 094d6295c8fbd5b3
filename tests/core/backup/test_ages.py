"""How old backups are, and when the next one is due."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from releases import a_release

from tfheal.core.archiving import spool
from tfheal.core.backup.ages import ages, base_began, is_due, late, may_try, with_changes
from tfheal.model.backup import Ages, Backup, Part, State
from tfheal.model.facts import CheckFact, InstanceFacts, Unknown, Verdict

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
HOUR = 3_600.0


def made(hours: float, state: State) -> Backup:
    """Return a backup that began so many hours ago."""
    at = NOW - timedelta(hours=hours)
    part = Part("s1", "folders", state, "" if state == "failed" else "a" * 64)
    return Backup(f"b{hours:g}", "files", "s2", at, state, (part,), None if state == "running" else at)


@pytest.mark.parametrize(
    ("backups", "taken", "complete", "word"),
    [
        ([], None, None, ""),
        ([made(2, "good")], 2, 2, ""),
        ([made(30, "good")], 30, 30, "is 108000 s old"),
        ([made(30, "good"), made(1, "partial")], 1, 30, "the last one, b1, is partial"),
        ([made(30, "good"), made(1, "failed")], 30, 30, "the last one, b1, is failed"),
        ([made(1, "suspect")], 1, None, ""),
        ([made(2, "good"), made(1, "running")], 2, 2, ""),
    ],
)
def test_two_ages_and_one_limit(backups: list[Backup], taken: float | None, complete: float | None, word: str) -> None:
    """Only a good backup counts as complete; without any, the time since the deploy counts."""
    found = ages(backups, 26 * HOUR, NOW)
    hours = [None if age is None else age / HOUR for age in (found.taken, found.complete)]
    told = late(found, backups, NOW - timedelta(hours=20), NOW)
    assert (hours, word in told, bool(told)) == ([taken, complete], True, bool(word))


def test_an_app_without_any_backup_is_late_some_time_after_its_deploy() -> None:
    """A fresh app has as long as its level gives; then the finding says that there is none."""
    none = ages([], 26 * HOUR, NOW)
    assert "there is no complete backup" in late(none, [], NOW - timedelta(hours=27), NOW)


@pytest.mark.parametrize(
    ("backups", "due"),
    [
        ([], True),
        ([made(0.9, "good")], False),
        ([made(1.1, "good")], True),
        ([made(0.5, "partial")], False),
        ([made(3, "good"), made(0.1, "failed")], False),
        ([made(3, "good"), made(0.3, "failed")], True),
    ],
)
def test_one_is_due_when_its_time_has_come(backups: list[Backup], *, due: bool) -> None:
    """Each hour one; what failed is tried again after a quarter of an hour, not each minute."""
    assert is_due(backups, HOUR, NOW) is due


def test_only_what_holds_a_base_counts_as_one() -> None:
    """A later backup that failed, or is of another server, has none; what failed is tried again after a quarter of an hour."""
    base = replace(made(3, "good"), parts=(Part("s1", "db/17-main", "good", "a" * 64),))
    failed = replace(made(0.1, "failed"), parts=(Part("s1", "db/17-main", "failed"),))
    assert base_began([base, failed, made(1, "good")], "s1", "db/17-main") == base.started
    assert base_began([base], "s2", "db/17-main") is None
    assert [may_try(tried, 24 * HOUR, NOW) for tried in ([], [failed], [made(0.3, "failed")])] == [True, False, True]


SPOOL = {"kind": "directory", "path": spool("notes", "web"), "mode": "0700"}
DUMPS = [{"name": "rows", "postgres": "notes", "wal": True}]
SENT = "all is stored that was handed over until 2026-03-04T11:58:00Z"


@pytest.mark.parametrize(
    ("changes", "said", "rpo"),
    [
        ({"dumps": DUMPS}, ("pass", SENT), 180.0),
        ({"dumps": DUMPS}, ("pass", "as you like"), 2 * HOUR),
        ({"dumps": DUMPS}, ("fail", SENT), 2 * HOUR),
        ({"dumps": DUMPS, "data": [{"name": "files", "path": "/srv/files"}]}, ("pass", SENT), 2 * HOUR),
        ({"dumps": [*DUMPS, {"name": "notes", "sqlite": "/srv/notes.db"}]}, ("pass", SENT), 2 * HOUR),
        ({}, None, 2 * HOUR),
    ],
)
def test_what_would_be_lost_counts_changes_where_there_is_nothing_else(
    changes: dict[str, object], said: tuple[Verdict, str] | None, rpo: float
) -> None:
    """Of an app with nothing but databases only what was not sent yet would be lost; of another what the last backup lacks."""
    release = a_release(*([SPOOL] if changes else []), **changes)
    checks = (CheckFact("changes", "stored", *said, 0.1),) if said else ()
    facts = InstanceFacts(Unknown("x"), Unknown("x"), Unknown("x"), checks)
    assert with_changes(Ages(1.0, 2 * HOUR, 26 * HOUR), [(release, facts)], NOW).rpo == rpo


def test_changes_without_a_base_bring_nothing_back() -> None:
    """Between a restore and the base after it all since the last backup would be lost, whatever is stored of it."""
    facts = InstanceFacts(
        Unknown("x"), Unknown("x"), Unknown("x"), (CheckFact("changes", "stored", "pass", SENT, 0.1),)
    )
    asked = [(a_release(SPOOL, dumps=DUMPS), facts)]
    assert with_changes(Ages(1.0, 2 * HOUR, 26 * HOUR), asked, NOW, based=False).rpo == 2 * HOUR


def test_what_cannot_be_asked_stores_nothing() -> None:
    """Of a slice that does not answer nothing is known: the last backup is all that there is."""
    release = a_release(SPOOL, dumps=DUMPS)
    found = with_changes(Ages(1.0, 2 * HOUR, 26 * HOUR), [(release, None)], NOW)
    assert (found.changes, found.rpo) == (None, 2 * HOUR)
