"""How old backups are, and when the next one is due."""

from datetime import UTC, datetime, timedelta

import pytest

from tfheal.core.backup.ages import ages, is_due, late
from tfheal.model.backup import Backup, Part, State

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
