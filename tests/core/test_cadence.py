"""Which version an app goes to by itself: by its channel, by how long it was listed, and never one that was taken back."""

from datetime import UTC, datetime, timedelta

import pytest

from tfheal.core.cadence import is_alike, is_newer, next_version, unlisted
from tfheal.model.app import AutoUpgrade

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = 86_400.0
LISTED = ["7.0.9", "7.0.10", "7.0.11", "7.2", "7.10.1", "8.0", "7.0.12rc1", "debian"]


def chosen(channel: str, current: str, *, listed: list[str] = LISTED, bad: str = "", fresh: str = "") -> str | None:
    """Return the next version where all are listed for eight days but those that are fresh, and those in `bad` were taken back."""
    days = {version: 6 if version in fresh.split() else 8 for version in listed}
    since = {version: NOW - timedelta(days=ago) for version, ago in days.items()}
    wish = AutoUpgrade.model_validate({"channel": channel})
    return next_version(since, current, wish, bad.split(), NOW)


@pytest.mark.parametrize(
    ("channel", "current", "more", "version"),
    [
        ("none", "7.0.9", {}, None),
        ("patch", "7.0.9", {}, "7.0.11"),
        ("patch", "7.0.9", {"bad": "7.0.11"}, "7.0.10"),
        ("patch", "7.0.9", {"fresh": "7.0.11"}, "7.0.10"),
        ("patch", "7.0.9", {"fresh": "7.0.11 7.0.10"}, None),
        ("patch", "7.0.9", {"bad": "7.0.10", "fresh": "7.0.11"}, None),
        ("patch", "7.0.11", {}, None),
        ("patch", "7.0.12", {}, None),
        ("patch", "7.2", {"listed": ["7.2", "7.2.0", "7.3"]}, None),
        ("patch", "7.2", {"listed": ["7.2", "7.2.1", "7.3"]}, "7.2.1"),
        ("patch", "7", {"listed": ["7", "7.0.1", "7.1"]}, "7.0.1"),
        ("minor", "7.0.9", {}, "7.10.1"),
        ("minor", "7.0.9", {"bad": "7.10.1"}, "7.2"),
        ("minor", "8.0", {}, None),
        ("minor", "9", {}, None),
        ("minor", "debian", {}, None),
        ("minor", "7.0.12rc1", {}, None),
        ("minor", "7.10.1", {"listed": ["7.10.1", "7.11rc1", "7.9"]}, None),
    ],
)
def test_the_newest_of_the_channel_is_next(
    channel: str, current: str, more: dict[str, object], version: str | None
) -> None:
    """As people count, never backwards, never over the channel's border, and only what was listed long enough."""
    assert chosen(channel, current, **more) == version  # type: ignore[arg-type]


def test_a_version_is_old_enough_at_the_very_end_of_its_cooldown() -> None:
    """Not a second before."""
    wish = AutoUpgrade.model_validate({"channel": "patch", "cooldown": "7d"})
    since = NOW - timedelta(days=7)
    assert next_version({"1.0.1": since}, "1.0.0", wish, (), NOW) == "1.0.1"
    assert next_version({"1.0.1": since}, "1.0.0", wish, (), NOW - timedelta(seconds=1)) is None


def test_what_was_begun_by_hand_is_none_of_the_ticks_when_it_is_not_of_the_channel() -> None:
    """An upgrade to another major version that was killed waits for whoever began it."""
    wish = AutoUpgrade.model_validate({"channel": "minor"})
    assert is_alike("7.2", "7.0", wish)
    assert not is_alike("8.0", "7.0", wish)
    assert not is_alike("7.2", "7.0", AutoUpgrade())


@pytest.mark.parametrize(
    ("version", "current", "newer"),
    [("1.10", "1.9", True), ("1.9", "1.10", False), ("1.0", "1", False), ("2", "1.9", True), ("2rc1", "1", False)],
)
def test_a_version_is_newer_as_people_count(version: str, current: str, *, newer: bool) -> None:
    """And nothing that is not made of numbers alone."""
    assert is_newer(version, current) is newer


@pytest.mark.parametrize(
    ("current", "found", "newer"),
    [
        ("7.0.9", "7.0.8 7.0.12 8.0", ("7.0.12",)),
        ("7.0.9", "7.0.12 7.0.13 8.2 8.1", ("7.0.13", "8.2")),
        ("8.0", "8.0.1 8.0.0", ("8.0.1",)),
        ("7.0.9", "7.0.11 7.3", ()),
        ("7.0.9", "", ()),
        ("7.0.9", "9.0rc1 x", ()),
        ("debian", "9.0", ("9.0",)),
    ],
)
def test_what_no_playbook_lists(current: str, found: str, newer: tuple[str, ...]) -> None:
    """The newest of the series that the app is of, and the newest of all, where they come after all that is listed."""
    assert unlisted(current, LISTED, found.split()) == newer
