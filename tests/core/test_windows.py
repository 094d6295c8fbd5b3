"""Windows over the days on which clocks jump, in several zones: when work may start, and till when it waits."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tfheal.core.windows import next_start, openings, waits, window_open
from tfheal.model.window import WEEK, Window

HOUR = 3_600.0


def at(text: str) -> datetime:
    """Return a time that is written in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def window(days: str, start: str, hours: float, zone: str) -> Window:
    """Return a window; days are words with spaces between, none for all."""
    return Window.model_validate(
        {"days": tuple(days.split()) or WEEK, "start": start, "duration": hours * HOUR, "timezone": zone}
    )


@pytest.mark.parametrize(
    ("days", "start", "hours", "zone", "now", "opens", "closes"),
    [
        ("sat", "02:00", 3, "UTC", "2026-03-24T00:00", "2026-03-28T02:00", "2026-03-28T05:00"),
        ("sat", "02:00", 3, "UTC", "2026-03-28T05:00", "2026-04-04T02:00", "2026-04-04T05:00"),
        ("sat", "02:00", 3, "UTC", "2026-03-28T04:59", "2026-03-28T02:00", "2026-03-28T05:00"),
        # the day is that of the start, also past midnight, and of the zone: Friday in New York is Saturday in UTC
        ("sat", "23:00", 4, "UTC", "2026-03-29T02:00", "2026-03-28T23:00", "2026-03-29T03:00"),
        ("fri", "22:00", 2, "America/New_York", "2026-01-01T00:00", "2026-01-03T03:00", "2026-01-03T05:00"),
        ("mon", "08:00", 1, "Australia/Lord_Howe", "2026-01-01T00:00", "2026-01-04T21:00", "2026-01-04T22:00"),
        # a start in a gap moves to its end
        ("sun", "02:30", 3, "Europe/Brussels", "2026-03-28T12:00", "2026-03-29T01:00", "2026-03-29T04:00"),
        ("sun", "02:00", 1, "America/New_York", "2026-03-08T00:00", "2026-03-08T07:00", "2026-03-08T08:00"),
        ("sun", "02:10", 1, "Australia/Lord_Howe", "2026-10-03T00:00", "2026-10-03T15:30", "2026-10-03T16:30"),
        ("fri", "05:00", 2, "Pacific/Apia", "2011-12-30T00:00", "2011-12-30T10:00", "2011-12-30T12:00"),
        # also where the gap begins the day
        ("sun", "00:30", 1, "America/Sao_Paulo", "2018-11-03T12:00", "2018-11-04T03:00", "2018-11-04T04:00"),
        # of a start that comes twice the first counts
        ("sun", "02:30", 3, "Europe/Brussels", "2026-10-24T12:00", "2026-10-25T00:30", "2026-10-25T03:30"),
        ("sun", "01:30", 1, "America/New_York", "2026-11-01T00:00", "2026-11-01T05:30", "2026-11-01T06:30"),
        ("sun", "01:45", 1, "Australia/Lord_Howe", "2026-04-04T00:00", "2026-04-04T14:45", "2026-04-04T15:45"),
        ("sun", "00:30", 1, "America/Havana", "2026-10-31T12:00", "2026-11-01T04:30", "2026-11-01T05:30"),
        # what it lasts is time that passes, over a jump too
        ("sat", "23:00", 6, "Europe/Brussels", "2026-03-28T00:00", "2026-03-28T22:00", "2026-03-29T04:00"),
        ("sat", "23:00", 6, "Europe/Brussels", "2026-10-24T00:00", "2026-10-24T21:00", "2026-10-25T03:00"),
        # openings that touch are one
        ("sat sun", "00:00", 24, "UTC", "2026-03-24T00:00", "2026-03-28T00:00", "2026-03-30T00:00"),
    ],
)
def test_when_it_opens(days: str, start: str, hours: float, zone: str, now: str, opens: str, closes: str) -> None:  # noqa: PLR0913, PLR0917
    """The next opening that is not over has the beginning and the end that the row says, in UTC."""
    found = next(openings(window(days, start, hours, zone), at(now)))
    assert (found.opens, found.closes) == (at(opens), at(closes))


@pytest.mark.parametrize(
    ("now", "hours", "start"),
    [
        ("2026-03-28T01:59", 0, "2026-03-28T02:00"),
        ("2026-03-28T02:00", 3, "2026-03-28T02:00"),
        ("2026-03-28T03:00", 2, "2026-03-28T03:00"),
        ("2026-03-28T03:00", 2.1, "2026-04-04T02:00"),
        ("2026-03-28T05:00", 0, "2026-04-04T02:00"),
        ("2026-03-28T03:00", 3.1, None),
    ],
)
def test_what_starts_is_expected_to_end_inside(now: str, hours: float, start: str | None) -> None:
    """Work that would not fit any more waits for the next opening; what is longer than all of them never starts."""
    saturdays = window("sat", "02:00", 3, "UTC")
    found = next_start(saturdays, at(now), hours * HOUR)
    assert found == (at(start) if start else None)
    assert window_open(saturdays, at(now), hours * HOUR) == (start == now)


@pytest.mark.parametrize(
    ("latest", "until"),
    [
        ("2026-03-30T00:00", "2026-03-28T02:00"),
        ("2026-03-27T00:00", "2026-03-27T00:00"),
        ("2026-03-26T00:00", None),
        ("2026-03-20T00:00", None),
    ],
)
def test_waiting_has_an_end(latest: str, until: str | None) -> None:
    """It lasts until the window opens, or until it was long enough; without a window nothing waits."""
    now = at("2026-03-26T00:00")
    assert waits(window("sat", "02:00", 3, "UTC"), now, at(latest)) == (at(until) if until else None)
    assert waits(None, now, at(latest)) is None
    assert window_open(None, now, 1e9)


@given(
    days=st.sets(st.sampled_from(WEEK), min_size=1),
    start=st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59)),
    quarters=st.integers(1, 672),
    zone=st.sampled_from(["UTC", "Europe/Brussels", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    minutes=st.integers(0, 2 * 365 * 24 * 60),
)
def test_openings_follow_each_other(days: set[str], start: str, quarters: int, zone: str, minutes: int) -> None:
    """At any time there is one that is not over; none touches the next; each is at least as long as the window."""
    now = at("2026-01-01T00:00") + timedelta(minutes=minutes)
    made = window(" ".join(days), start, quarters / 4, zone)
    found = list(openings(made, now))
    assert found[0].closes > now
    assert all(one.closes < after.opens for one, after in pairwise(found))
    assert all((one.closes - one.opens).total_seconds() >= made.duration for one in found)


@pytest.mark.parametrize(
    ("key", "value"),
    [("timezone", "Europe/Brussel"), ("timezone", "../UTC"), ("start", "24:00"), ("duration", "8d"), ("days", ())],
)
def test_what_is_no_window(key: str, value: object) -> None:
    """A zone that nobody knows, an hour that no clock shows, and what would be open for ever or never, are mistakes."""
    with pytest.raises(ValidationError):
        Window.model_validate({"start": "02:00", "duration": "3h", key: value})
