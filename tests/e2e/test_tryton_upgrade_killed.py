"""Upgrades of Tryton that are killed once in the midst of each kind of action: the next run finishes them, or takes them back.

People work meanwhile: of what they ask nothing fails, and who is told to come back is told so for the migration alone.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from crashes import KILLED, nothing_is_held
from documents import actions, document
from running_lab import RunningLab
from series import BAD, WEB, asked_of, parties, tryton_to_upgrade
from tryton_user import TrytonUser
from tryton_visitors import Counts, TrytonVisitors

pytestmark = [pytest.mark.lab, pytest.mark.long]
PAGES, CALLS = 18, 4  # a second
ROLLED = ("7.0.58", "7.0.59")
# In the order in which they come; each run but the last is killed at the next.
ROLLING = ("is drained at", "venv:", "unit:", "is ready, and has to stay", "specs, put")
CLOSING = (
    "crm  is closed",
    "crm/web@s2  is stopped",
    "crm  what was written",
    "migrate",
    "crm/web@s3  from",
    "crm  is back",
    "specs, put",
)
BACK = ("crm/web@s3  back", "crm  the data of backup", "unit:", "specs, put")


@pytest.fixture(scope="module")
def crm(lab_ground: Path) -> Iterator[RunningLab]:
    """Have Tryton 7.0.58 on a database and two web servers behind a gateway, with backups and a party in it."""
    with tryton_to_upgrade(lab_ground, "deaths") as running:
        yield running


@contextmanager
def at_work(crm: RunningLab, what: str) -> Iterator[Counts]:
    """Have people ask while the context lasts, and demand that nothing of it failed."""
    with TrytonVisitors(asked_of(crm), PAGES, CALLS) as visitors:
        yield visitors.counts
    sys.stderr.write(f"{what}: {visitors.counts}\n")
    assert visitors.counts.failed == {}
    assert min(visitors.counts.answered["page"], visitors.counts.answered["call"]) > 10


def killed(crm: RunningLab, at: str, *words: str) -> None:
    """Run a command that is to die at something, and demand that it did."""
    dying = replace(crm, around=(*crm.around, f"TFHEAL_FAILPOINT={at}"))
    ran = dying.run(*words, check=None, timeout=2400)
    assert (ran.returncode, "failpoint: " in ran.stderr) == (KILLED, True), (at, ran.stdout[-2000:], ran.stderr[-2000:])


def finished(crm: RunningLab, *words: str, check: int = 0) -> dict[str, Any]:
    """Run a command to its end, and return how it ended; demand that all is well then, and nothing is held."""
    done = json.loads(crm.run(*words, "--json", check=check, timeout=2400).stdout)
    assert document(crm, "status")["health"] == "healthy"
    assert actions(document(crm, "heal", "--auto", "crm")) == []
    backends = document(crm, "gateway", "status")["gateways"][0]["backends"]
    assert {one["owner"] for one in backends} == {""}, "nothing is left out"
    nothing_is_held(crm)
    return dict(done)


@pytest.mark.parametrize("at", ROLLING)
def test_a_fix_of_its_series_that_is_killed(crm: RunningLab, at: str) -> None:
    """To and fro between two of them; the same command finishes it, and nobody reads that it is closed."""
    there = 'version: "7.0.58"' in (crm.workspace / "apps/crm.yaml").read_text()
    command = ("upgrade", "crm", "--to", ROLLED[there], "--soak", "1s")
    with at_work(crm, at) as counts:
        killed(crm, at, *command)
        done = finished(crm, *command)
    assert (done["state"], counts.closed) == ("done", 0), done
    assert ("Ada Ltd" in parties(crm)[0], parties(crm)[0]) == (True, parties(crm)[1])


def test_a_bad_version_of_the_next_series_that_is_killed_again_and_again(crm: RunningLab) -> None:
    """Migrated, found bad, and on its way back at each death: the server of before has all that was written."""
    TrytonUser.admin(crm, WEB[1]).call("model.party.party.create", [{"name": "Written before a bad version"}])
    command = ("upgrade", "crm", "--to", BAD, "--soak", "1s")
    with at_work(crm, BAD) as counts:
        for at in BACK:
            killed(crm, at, *command)
        back = finished(crm, *command, check=5)
    assert (back["state"], counts.closed > 0) == ("rolled-back", True), back
    assert parties(crm) == [{"Ada Ltd", "Written before a bad version"}] * 2


def test_the_next_series_that_is_killed_again_and_again(crm: RunningLab) -> None:
    """At each death the same command goes on where it was: migrated once, with all that was written."""
    TrytonUser.admin(crm, WEB[0]).call("model.party.party.create", [{"name": "Written to the last"}])
    before = parties(crm)
    command = ("upgrade", "crm", "--to", "8.0.12", "--soak", "1s")
    with at_work(crm, "8.0.12") as counts:
        for at in CLOSING:
            killed(crm, at, *command)
        done = finished(crm, *command)
    assert (done["state"] in {"done", "unchanged"}, counts.closed > 0) == (True, True), done
    assert parties(crm) == before
