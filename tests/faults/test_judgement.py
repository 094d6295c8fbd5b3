"""A row of the fault table can fail: each way in which it may end otherwise than expected is told, and none that is right."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from book import kept, latest, played_well, write
from expectations import Expectation, doubles, every_fault, expected, judged
from grounds import TARGETS
from load import Load, Turn
from report import between, written
from rows import Row

from tfheal.model.findings import Cause
from tfheal.model.playbook import SHIPPED_LADDER

HEALED = Expectation(causes=frozenset({"drift"}), rungs=frozenset({"redeploy"}))
RIGHT = Row(
    "each",
    "corrupt-config",
    "files/web",
    ["garbage"],
    ["drift"],
    ["redeploy"],
    "healed",
    8.1,
    40,
    9,
    15,
    0,
    1,
    idle=True,
)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        ({"landed": []}, ["it did not land"]),
        ({"ended": "left"}, ["it ended as left, not as healed"]),
        ({"detected": ["not-alive"]}, ["detected as not-alive"]),
        ({"wrong": ["restart of files/web@s1"]}, ["wrong action: restart of files/web@s1"]),
        ({"pages": 1}, ["1 calls for a human"]),
        ({"idle": False}, ["a second run was not idle"]),
        ({"lost": 2}, ["2 acknowledged writes lost"]),
        ({"lost": None}, ["nobody knows how many acknowledged writes lost"]),
        ({"still_there": ["corrupt-config"]}, ["corrupt-config is still there"]),
        ({"failed": 0}, ["the client noticed nothing"]),
    ],
)
def test_what_is_otherwise_is_told(changes: dict[str, object], told: list[str]) -> None:
    """One thing wrong in a row is one sentence, and nothing wrong is none."""
    assert judged(replace(RIGHT, **changes), HEALED) == told


def test_what_is_served_all_the_while_may_not_fail() -> None:
    """A client that should have noticed nothing, and did, is told of."""
    assert judged(RIGHT, replace(HEALED, served=True)) == ["9 requests failed"]


def test_expectations_speak_of_what_there_is() -> None:
    """Each names causes, rungs and instances that exist; two at once are ten."""
    found = [expected(fault, target) for fault in every_fault() for target in TARGETS]
    found += [each["expectation"] for each in doubles().values()]
    assert len(doubles()) == 10
    for one in found:
        assert one is not None
        assert one.absent or one.causes <= {*get_args(Cause)}
        assert one.rungs <= {*SHIPPED_LADDER, "reflex"}


def test_an_outage_is_told_as_the_client_saw_it() -> None:
    """From the first request that failed to the first that went well for good; nothing while it still fails."""
    load = Load(work=None)
    load.turns = [Turn(at, at + 0.1, failed) for at, failed in [(0.0, 0), (0.5, 2), (1.0, 0), (1.5, 1), (2.0, 0)]]
    assert load.outage(0.0, 9.0) == pytest.approx(1.6)
    assert load.outage(0.0, 2.0) is None
    assert load.outage(1.9, 9.0) is None
    assert load.failed(0.0, 9.0) == 3


def test_a_missed_goal_is_told() -> None:
    """A row that ended otherwise, a lost write and a wrong action stand in the goals and in the table."""
    bad = replace(RIGHT, lost=3, wrong=["rehome of files/web@s1"], missed=["3 acknowledged writes lost"], seconds=30.0)
    text = written([RIGHT.document(), bad.document()], "a command")
    assert "as expected, 1 rows of 2: missed: corrupt-config on files/web (3 acknowledged writes lost)" in text
    assert "of 30: missed: 3 lost" in text
    assert "no wrong action: missed: corrupt-config on files/web: rehome of files/web@s1" in text
    assert "under 15 s: missed, 19.1 s (of 2)" in text
    assert "healed; **missed**: 3 acknowledged writes lost" in text
    assert between("a<\nold\n>b", ("<\n", ">"), "new\n") == "a<\nnew\n>b"


def test_a_run_goes_on_with_what_was_not_well(tmp_path: Path) -> None:
    """What was played again counts as it was the last time; one test's row that missed has all of that test played again."""
    missed = {"one": [], "two": ["it did not land"], "three": []}
    first = [replace(RIGHT, name=name, test=name, played=1.0, missed=why) for name, why in missed.items()]
    again = replace(RIGHT, name="two", test="two", played=2.0)
    other = replace(RIGHT, table="peers", where="Monit", name="one", test="one", played=1.0, missed=["not back"])
    for row in (*first, again, other):
        write(tmp_path, row.document())
    assert played_well(latest(row.document() for row in first)) == {"one", "three"}
    rows = latest(kept(tmp_path))
    assert [(row["name"], row["played"]) for row in rows] == [("one", 1.0), ("three", 1.0), ("two", 2.0), ("one", 1.0)]
    assert played_well(rows) == {"one", "two", "three"}  # what became of another's is not ours
