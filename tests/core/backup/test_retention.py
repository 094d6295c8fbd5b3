"""Which backups are kept: by our own receipt time, and never fewer good ones than the floor."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfheal.core.backup.retention import FLOOR, kept
from tfheal.model.backup import Backup, Keep, Part, State

NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)
NOTHING = Keep(hourly=0, daily=0, weekly=0, monthly=0)


def made(number: int, hours: float, state: State = "good", **more: object) -> Backup:
    """Return a backup that we heard of so many hours ago."""
    at = NOW - timedelta(hours=hours)
    part = Part("s1", "folders", state, "a" * 64, 100, 1)
    return replace(Backup(f"b{number}", "files", "s2", at, state, (part,), at), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("backups", "keep", "reasons"),
    [
        ([made(n, n) for n in range(5)], NOTHING, ["newest", "newest", "newest", "", ""]),
        ([made(n, 24 * n) for n in range(6)], Keep(hourly=0, daily=5, weekly=0, monthly=0), [*["daily"] * 5, ""]),
        ([made(n, n / 10) for n in range(5)], Keep(hourly=9, daily=0, weekly=0, monthly=0), ["hourly", "", "", "", ""]),
        (
            [made(0, 1), made(1, 800), made(2, 801), made(3, 1700)],
            Keep(hourly=0, daily=0, weekly=0, monthly=9),
            ["monthly", "monthly", "", "monthly"],
        ),
        ([*(made(n, n) for n in range(4)), made(4, 900, held=True)], NOTHING, ["", "", "", "", "held"]),
        ([*(made(n, n) for n in range(4)), made(4, 900, drilled=NOW)], NOTHING, ["", "", "", "", "drilled last"]),
        ([*(made(n, n) for n in range(4)), made(4, 900, "suspect")], NOTHING, ["", "", "", "", "suspect"]),
        ([made(0, 5), made(1, 4, "partial"), made(2, 9, "partial")], NOTHING, ["", "no newer good one", ""]),
        ([made(0, 5, "running", received=None), made(1, 4, "failed")], NOTHING, ["under way", ""]),
    ],
    ids=["floor", "daily", "hourly", "monthly", "held", "drilled", "suspect", "partial", "under way"],
)
def test_what_is_kept_and_why(backups: list[Backup], keep: Keep, reasons: list[str]) -> None:
    """Each reason is named; what has none but being among the newest of few is told by the floor."""
    found = kept(backups, keep)
    assert [not reason or reason in found[one.id] for one, reason in zip(backups, reasons, strict=True)] == [
        True
    ] * len(backups)
    assert [bool(set(found[one.id]) - {"newest"}) for one in backups] == [
        reason not in {"", "newest"} for reason in reasons
    ]


def test_what_a_drill_found_damaged_is_no_good_one_of_the_floor() -> None:
    """Three others stay beside it, and of its day the next one; the last that passed a drill and is sound yet; itself too."""
    spoilt = {"drilled": NOW - timedelta(hours=2), "damaged": NOW - timedelta(hours=1)}
    backups = [made(0, 0, **spoilt), *(made(n, n) for n in range(1, 5)), made(9, 900, drilled=NOW - timedelta(days=9))]
    found = kept(backups, NOTHING)
    assert [one for one, why in found.items() if why] == ["b0", "b1", "b2", "b3", "b9"]
    assert found["b9"] == ("drilled last",)
    cured = [replace(backups[0], drilled=NOW), *backups[1:]]
    assert [one for one, why in kept(cured, NOTHING).items() if why] == ["b0", "b1", "b2"]
    daily = kept(
        [made(0, 0, **spoilt), made(1, 1), *(made(n, 24 * n) for n in range(2, 6))],
        Keep(daily=4, hourly=0, weekly=0, monthly=0),
    )
    assert [one for one, why in daily.items() if "daily" in why] == ["b0", "b1", "b2", "b3", "b4"]


ANY = st.lists(
    st.builds(
        made,
        st.integers(0, 10**6),
        st.floats(0, 10_000),
        st.sampled_from(["good", "partial", "suspect", "failed"]),
        held=st.booleans(),
        drilled=st.none() | st.just(NOW),
        damaged=st.none() | st.just(NOW) | st.just(NOW + timedelta(hours=1)),
    ),
    max_size=30,
    unique_by=lambda one: one.id,
)
RULES = st.builds(
    Keep, *(), hourly=st.integers(0, 5), daily=st.integers(0, 5), weekly=st.integers(0, 5), monthly=st.integers(0, 5)
)


@given(ANY, RULES)
def test_never_fewer_good_ones_than_the_floor(backups: list[Backup], keep: Keep) -> None:
    """Whatever the rules, the newest good ones stay, and whatever is held, suspect, or was drilled last."""
    found = kept(backups, keep)
    good = sorted((one for one in backups if one.state == "good"), key=lambda one: one.received or NOW, reverse=True)
    assert all(found[one.id] for one in good[:FLOOR])
    assert all(found[one.id] for one in [one for one in good if one.is_sure][:FLOOR])
    assert all(found[one.id] for one in backups if one.held or one.state == "suspect")
    drilled = [one for one in backups if one.drilled]
    assert not drilled or any(found[one.id] for one in drilled)


@given(ANY, RULES)
def test_the_word_of_a_drill_lets_nothing_go(backups: list[Backup], keep: Keep) -> None:
    """A drill is made on a slice, which may lie: with what it found damaged as much stays as without."""
    before, after = kept([replace(one, damaged=None) for one in backups], keep), kept(backups, keep)
    assert not [one for one, why in before.items() if why and not after[one]]


@given(ANY, RULES, st.floats(-100_000, 100_000))
def test_dates_that_a_slice_could_forge_change_nothing(backups: list[Backup], keep: Keep, shift: float) -> None:
    """Good backups are kept by when we heard of them; what else stands in the catalogue moves none of them."""
    moved = [replace(one, started=one.started + timedelta(hours=shift)) for one in backups]
    good = [one.id for one in backups if one.state == "good"]
    before, after = kept(backups, keep), kept(moved, keep)
    assert [before[one] for one in good] == [after[one] for one in good]


@given(ANY, RULES)
def test_more_backups_that_are_not_good_let_no_good_one_go(backups: list[Backup], keep: Keep) -> None:
    """A slice that makes many bad backups cannot push out a good one."""
    flood = [made(10**7 + n, n / 100, "suspect") for n in range(50)]
    good = [one.id for one in backups if one.state == "good"]
    before, after = kept(backups, keep), kept([*backups, *flood], keep)
    assert [before[one] for one in good] == [after[one] for one in good]
