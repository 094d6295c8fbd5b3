"""Times: what people write becomes one moment, and is said back in UTC."""

import time
from zoneinfo import ZoneInfo

import pytest

from tfheal.base.errors import UsageError
from tfheal.base.moments import parsed, rfc3339


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00.250+01:00", "2026-01-31T11:00:00Z"),
        ("2026-07-31 12:00", "2026-07-31T10:00:00Z"),
        ("2026-01-31", "2026-01-30T23:00:00Z"),
    ],
)
def test_a_time_is_one_moment(monkeypatch: pytest.MonkeyPatch, written: str, meant: str) -> None:
    """Its offset counts; without one it is of the local zone, in summer and in winter."""
    monkeypatch.setenv("TZ", "Europe/Brussels")
    time.tzset()
    try:
        assert rfc3339(parsed(written)) == meant
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-01-31T12:00", "2026-01-31T17:00:00Z"),
        ("2026-07-31T12:00", "2026-07-31T16:00:00Z"),
        ("2026-07-31T12:00Z", "2026-07-31T12:00:00Z"),
    ],
)
def test_a_time_without_an_offset_is_of_the_zone_that_is_given(written: str, meant: str) -> None:
    """What has one keeps it."""
    assert rfc3339(parsed(written, ZoneInfo("America/New_York"))) == meant


@pytest.mark.parametrize("written", ["", "yesterday", "12:00", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00+23:59"])
def test_what_is_no_time_is_said(written: str) -> None:
    """The message shows what was written and how a time is."""
    with pytest.raises(UsageError, match="is not a time"):
        parsed(written)
