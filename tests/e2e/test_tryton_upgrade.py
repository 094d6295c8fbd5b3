"""Tryton behind its gateway goes to another fix of its series under load, to the next series with all of its data, and back.

All of it is long. What is lost is printed: the README has the figures of a run.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from documents import actions, document
from running_lab import RunningLab
from series import BAD, WEB, asked_of, parties, tryton_to_upgrade
from tryton_user import TrytonUser
from tryton_visitors import Counts, TrytonVisitors

pytestmark = [pytest.mark.lab, pytest.mark.long]
PAGES, CALLS = 180, 20  # a second


@pytest.fixture(scope="module")
def crm(lab_ground: Path) -> Iterator[RunningLab]:
    """Have Tryton 7.0.58 on a database and two web servers behind a gateway, with backups and a party in it."""
    with tryton_to_upgrade(lab_ground, "series") as running:
        yield running


def under_load(crm: RunningLab, *words: str, check: int = 0) -> tuple[dict[str, Any], Counts]:
    """Upgrade while people ask, and return how that ended and what they met."""
    began = time.monotonic()
    with TrytonVisitors(asked_of(crm), PAGES, CALLS) as visitors:
        time.sleep(3)
        ran = crm.run("upgrade", "crm", "--soak", "5s", "--json", *words, check=check, timeout=2400)
        time.sleep(3)
    counts, seconds = visitors.counts, time.monotonic() - began
    sys.stderr.write(f"{' '.join(words)}: {seconds:.0f} s, {counts}\n")
    return dict(json.loads(ran.stdout)), counts


def test_a_fix_of_its_series_reaches_it_without_a_lost_request(crm: RunningLab) -> None:
    """One web server after the other: of pages and calls none fails, and nobody is told to come back."""
    done, counts = under_load(crm, "--to", "7.0.59")
    assert (done["state"], done["closes"]) == ("done", False), done
    assert (counts.failed, counts.closed) == ({}, 0)
    assert min(counts.answered["page"], counts.answered["call"]) > 100


def test_a_bad_version_of_the_next_series_is_taken_back(crm: RunningLab) -> None:
    """Its tables were migrated, and nobody was let in: the server of before has all that was written until it was stopped."""
    TrytonUser.admin(crm, WEB[1]).call("model.party.party.create", [{"name": "Written before a bad version"}])
    back, counts = under_load(crm, "--to", BAD, check=5)
    assert (back["state"], "this version is bad" in back["detail"]) == ("rolled-back", True), back
    assert (counts.failed, counts.closed > 0) == ({}, True)
    assert parties(crm) == [{"Ada Ltd", "Written before a bad version"}] * 2
    assert document(crm, "status", "crm")["health"] == "healthy"
    assert 'version: "7.0.59"' in (crm.workspace / "apps/crm.yaml").read_text()
    assert "is held" in document(crm, "upgrade", "crm", "--to", BAD, "--plan", check=6)["refused"]


def test_the_next_series_has_all_of_its_data(crm: RunningLab) -> None:
    """People read that it is closed, and then work on: they sign in again, as 8.0 knows no session of 7.0, with the passwords that they had."""
    TrytonUser.admin(crm, WEB[0]).call("model.party.party.create", [{"name": "Written to the last"}])
    before = parties(crm)
    done, counts = under_load(crm, "--to", "8.0.12")
    assert (done["state"], done["closes"]) == ("done", True), done
    assert (counts.failed, counts.closed > 0, counts.signed_in > 0) == ({}, True, True)
    assert (parties(crm), len(before[0])) == (before, 3)
    assert document(crm, "status", "crm")["health"] == "healthy"
    assert actions(document(crm, "heal", "--auto", "crm")) == []
    assert document(crm, "rollback", "crm", check=6)["error"]["what"].endswith("going back needs a restore of the data")
