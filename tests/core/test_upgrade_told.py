"""What became of an upgrade is told once: an instance's line is short, and what its slice said stands below, whole."""

from datetime import UTC, datetime

import pytest

from tfheal.base.errors import Unreachable
from tfheal.base.untrusted import brief
from tfheal.model.release import InstanceName
from tfheal.model.rollout import RolledOut
from tfheal.model.upgrade import Rollout, Upgrade, Upgraded
from tfheal.render.upgrade import rollout_words, upgrade_document, upgrade_words

NOW = datetime(2026, 11, 30, tzinfo=UTC)
WEB = InstanceName("shop", "web", "s1")
HEAD = "unit:x.service: x.service did not stay up: failed (exit-code)"
SAID = f"{HEAD}; its last lines:\nold words\n  File x, line 1\nversion 3.0 is broken\n"
BACK = Upgraded(
    Upgrade("u1", "shop", "1.0", "3.0", "rolled-back", NOW, detail=f"shop/web@s1: {SAID}"),
    outcomes={WEB: f"taken back: failed: {SAID}"},
    seconds=7.0,
)


@pytest.mark.parametrize(
    ("told", "first"),
    [(SAID, HEAD), ("answers: no connection", "answers: no connection"), ("", ""), ("\n a\nb", "a")],
)
def test_a_failure_in_brief_is_its_first_line(told: str, first: str) -> None:
    """It does not end with an announcement of lines that are left out."""
    assert brief(told) == first


def test_lines_of_a_log_are_told_once() -> None:
    """Below the instances, and apart from them."""
    words = upgrade_words(BACK)
    assert words.splitlines() == [
        "shop: from 1.0 to 3.0  rolled-back in 7s",
        f"  shop/web@s1  taken back: failed: {HEAD}",
        f"  shop/web@s1: {HEAD}; its last lines:",
        "  old words",
        "    File x, line 1",
        "  version 3.0 is broken",
    ]
    assert upgrade_document(BACK)["detail"] == f"shop/web@s1: {SAID}"


def test_an_app_of_many_has_one_line() -> None:
    """Of a rollout, in whose list everything else would be lost between logs."""
    one = Rollout("r1", "shop", "3.0", "stopped", NOW, (("shop",),))
    assert rollout_words(RolledOut(one, {"shop": BACK})).splitlines() == [
        "shop to 3.0: stopped",
        "wave 1",
        f"  shop: from 1.0, rolled-back: shop/web@s1: {HEAD}",
    ]


def test_a_rollout_that_came_to_none_says_so() -> None:
    """It went through its waves, and that alone is what its state says; why an app did not come along is said once."""
    one = Rollout("r1", "shop", "3.0", "done", NOW, (("shop", "till"),), {"shop": "unreachable", "till": "done"})
    away = Unreachable("it could not be asked", where="shop", why="s1 is away")
    till = Upgraded(Upgrade("u2", "till", "1.0", "3.0", "done", NOW))
    assert rollout_words(RolledOut(one, {"shop": away, "till": till})).splitlines() == [
        "shop to 3.0: done, but 1 of 2 did not come to it",
        "wave 1",
        "  shop: it could not be asked: s1 is away",
        "  till: from 1.0, done",
    ]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0s"), (89.2, "90s"), (140, "3m"), (180, "3m"), (7_190, "2h"), (7_201, "3h"), (172_801, "3d")],
)
def test_a_plan_promises_no_less_than_it_takes(seconds: float, told: str) -> None:
    """Rounded to a unit, it is rounded up."""
    plan = Upgraded(Upgrade("u1", "shop", "1.0", "3.0", "planned", NOW), takes=seconds)
    assert f"it is expected to end within {told}" in upgrade_words(plan)
