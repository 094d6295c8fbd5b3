"""Backups and drills of several apps: what fails in one is told, noted and tried again later, and stops no other."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from databases import FILES, PARTS, SPEC
from stored import Answers, Fleet, deployed

from tfheal.base.errors import ConnectFailed
from tfheal.flows import backup as backups
from tfheal.flows import drill as drills
from tfheal.flows.fleet import Limits
from tfheal.model.record import ActionRecord
from tfheal.model.release import InstanceName


def silent(slice_name: str, _: str) -> Answers:
    """Answer nothing."""
    raise ConnectFailed("no route", where=slice_name)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Give an app with a database whose changes are stored, on slices that do not answer."""
    with deployed(tmp_path, SPEC, silent, FILES) as made:
        yield made


def restored(fleet: Fleet, ago: float) -> None:
    """Record that the database was restored some seconds ago."""
    at, instance = fleet.watch.at - timedelta(seconds=ago), InstanceName("rows", "db", "a1")
    run = fleet.journal.begin_run("restore rows", at).id
    fleet.journal.intend(ActionRecord("r1", run, "restore", "rows", instance, "a1", None, "a wish", None, at))
    fleet.journal.conclude("r1", "done", "", at)


def due(fleet: Fleet) -> bool:
    """Return whether a tick would make a backup now."""
    return backups.due(fleet.workspace, fleet.ports) == ("rows",)


def test_a_base_that_failed_after_a_restore_is_tried_again(fleet: Fleet) -> None:
    """At once, then each quarter of an hour until one is there: a backup that failed, or took no base, is none."""
    fleet.took("1", "a1", ago=7_200, what=PARTS)
    assert not due(fleet)
    restored(fleet, ago=3_600)
    assert due(fleet)
    fleet.took("2", "a1", state="failed", ago=600, what=PARTS)
    assert (backups.begins_anew(fleet.workspace, "rows", fleet.ports), due(fleet)) == (True, False)
    fleet.watch.at += timedelta(minutes=6)
    assert due(fleet)
    fleet.took("3", "a1", what=PARTS)
    assert (backups.begins_anew(fleet.workspace, "rows", fleet.ports), due(fleet)) == (False, False)


def test_one_slice_that_does_not_answer_ends_no_other_drill(fleet: Fleet) -> None:
    """What stood in the way of one app is told and noted as tried, so that it is not tried at each tick, and the run ends."""
    fleet.took("1", "a1", ago=60, what=PARTS)
    assert drills.due(fleet.workspace, fleet.ports) == ("rows",)
    done = drills.drill(fleet.workspace, ("rows", "rows"), fleet.ports, Limits())
    assert [one.state for one in done] == ["failed", "failed"]
    assert "no route" in done[0].detail
    assert drills.due(fleet.workspace, fleet.ports) == ()
