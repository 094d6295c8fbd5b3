"""An upgrade that is killed at each of its steps, one after the other, under load: the same command finishes it, and nobody outside noticed.

`bash tests/run -m long -n 0 -s tests/e2e/test_upgrade_killed.py` goes through all of them; how many there are, and what did not
come out as it should, is printed.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest
from documents import document
from running_lab import RunningLab
from talking import spec, talking
from visitors import Visitors

pytestmark = [pytest.mark.lab, pytest.mark.long]
HOST = "talk.example"
RATE = 20  # requests a second
FIRST = int(os.environ.get("TFHEAL_KILL_FROM", "1"))  # to go on where a run was stopped
STEP = int(os.environ.get("TFHEAL_KILL_STEP", "1"))
KILLED = -9


@pytest.fixture
def talk(fleet: RunningLab) -> Iterator[RunningLab]:
    """Have version 1 on s1 and s2, and the gateway that leads to it on s3."""
    with talking(fleet, spec(HOST)):
        yield fleet


def test_an_upgrade_that_is_killed_anywhere_is_finished(talk: RunningLab) -> None:
    """To and fro between two versions; at the end all is well, at the gateway too."""
    wrong, points = [], 0
    for number, at in enumerate(count(FIRST, STEP)):
        to = "2" if number % 2 == 0 else "1"
        command = ("upgrade", "talk", "--to", to, "--no-backup", "--soak", "200ms")
        dying = replace(talk, around=(*talk.around, f"TFHEAL_FAILPOINT={at}"))
        with Visitors(talk.address("s3"), HOST, RATE) as visitors:
            ran = dying.run(*command, check=None)
            done = document(talk, *command, check=None)
        where = ran.stderr.rpartition("failpoint: ")[2].strip() if ran.returncode == KILLED else ""
        told = f"{at}  {where or 'its end'}  {done.get('state')}  {visitors.counts.answered} answered, {visitors.counts.failed.total()} failed"
        if (
            done.get("state") not in {"done", "unchanged"}
            or visitors.counts.failed
            or ran.returncode not in {KILLED, 0}
        ):
            wrong.append(f"{told}  {dict(visitors.counts.failed)}  {done.get('error', done.get('detail'))}")
        sys.stderr.write(f"{told}\n")
        if not where:
            break
        points += 1
    status = document(talk, "status", "talk", "edge", check=None)
    assert (wrong, status["health"]) == ([], "healthy"), (points, wrong)
    backends = document(talk, "gateway", "status")["gateways"][0]["backends"]
    assert {one["owner"] for one in backends} == {""}, "nothing is left out"
    sys.stderr.write(f"{points} kill points\n")
