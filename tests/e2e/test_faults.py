"""Each fault of the lab goes round: broken, named, healed or rightly left alone, mended, healthy, and then idle."""

import json
import subprocess
import time
from dataclasses import dataclass
from typing import Any

import pytest
from customer import Customer
from documents import actions, document, findings
from running_lab import RunningLab

pytestmark = pytest.mark.lab


@dataclass(frozen=True, slots=True)
class Cycle:
    """What a fault is called by status, with which codes status and heal end, and the rungs that heal takes.

    `serves` says that the customer is served all the while.
    """

    fault: str
    finding: str
    status: int
    heal: int
    rungs: tuple[str, ...]
    of_app: bool = True
    serves: bool = False


CYCLES = (
    Cycle("kill-service", "unit-failed", 3, 0, ("restart",)),
    Cycle("stop-service", "unit-stopped", 3, 0, ("restart",)),
    Cycle("corrupt-config", "drift", 3, 0, ("redeploy",)),
    Cycle("delete-release", "drift", 3, 0, ("redeploy",)),
    Cycle("fill-disk", "disk-full", 3, 0, ("free-disk",), of_app=False),
    Cycle("partition", "slice-unreachable", 4, 4, (), of_app=False),
    Cycle("power-off", "slice-unreachable", 4, 4, (), of_app=False),
    Cycle("disable-service", "drift", 3, 0, ("redeploy",), serves=True),
    Cycle("mask-service", "drift", 3, 0, ("redeploy",)),
    Cycle("drop-ssh", "slice-unreachable", 4, 4, (), of_app=False, serves=True),
    Cycle("sshd-hangs", "slice-unreachable", 4, 4, (), of_app=False, serves=True),
    Cycle("freeze", "slice-unreachable", 4, 4, (), of_app=False),
)
DEADLINE = 30.0  # seconds for a look at a slice that does not answer: one greeting that does not come, and our own time

# Rounds in one process: to start it takes longer than the round, and the fault table plays them as twenty commands.
AGAIN = """\
import sys
from tfheal.cli.main import run
sys.exit(max(run(["heal", "--auto", "--json"]) for _ in range(int(sys.argv[1]))))
"""


@pytest.mark.parametrize("cycle", CYCLES, ids=lambda cycle: cycle.fault)
def test_a_fault_is_named_healed_and_forgotten(cycle: Cycle, shop: RunningLab, customer: Customer) -> None:
    """Status names the cause, heal takes just the right rung, and what the customer kept is still there."""
    of_app = ("--app", "files") if cycle.of_app else ()
    assert shop.do("break", "s1", cycle.fault, *of_app)["fault"] == cycle.fault

    begun = time.monotonic()
    seen = document(shop, "status", check=cycle.status)
    assert time.monotonic() - begun < DEADLINE
    assert cycle.finding in findings(seen)
    assert [slice_["reachable"] for slice_ in seen["slices"] if slice_["slice"] != "s1"] == [True, True]

    healed = document(shop, "heal", "--auto", check=cycle.heal)
    assert actions(healed) == [(rung, "done") for rung in cycle.rungs]
    if cycle.serves:
        assert customer.get("kept.txt") == b"what the customer keeps\n" * 1000

    shop.do("mend", "s1")
    assert _started(shop)["health"] == "healthy"
    assert customer.get("kept.txt") == b"what the customer keeps\n" * 1000
    customer.put("written-after.txt", b"it takes files again")

    assert actions(document(shop, "heal", "--auto", check=0)) == []


def _started(shop: RunningLab) -> dict[str, Any]:
    """Return what status says once nothing is starting any more: a slice that has just booted is still at it."""
    deadline = time.monotonic() + DEADLINE
    while True:
        seen = document(shop, "status", check=None)
        starting = [finding for finding in seen["findings"] if finding["detail"].endswith("it is starting")]
        if not starting or time.monotonic() > deadline:
            return seen


def test_for_a_taken_port_a_human_is_called_once(shop: RunningLab, customer: Customer) -> None:
    """Each rung is tried once and fails, a human hears of it, then nothing more is tried; once the port is free all is well."""
    shop.do("break", "s1", "port-taken", "--app", "files")
    assert "unit-failed" in findings(document(shop, "status", check=3))

    taken, code = [], 0
    for _ in range(20):  # a run ends while systemd itself tries again to start the service
        healed = document(shop, "heal", "--auto", check=None)
        taken += actions(healed)
        code = healed["exit"]
        assert code in {3, 5, 7}
        if code == 7:
            break
    assert code == 7
    assert taken == [("restart", "failed"), ("redeploy", "failed"), ("rebuild", "failed"), ("page", "done")]

    (story,) = document(shop, "incidents", "--open")["incidents"]
    # An incident that came back within the hour is the same one: what was done for it before stands there too.
    assert [(rung["rung"], rung["outcome"]) for rung in story["rungs"]][-len(taken) :] == taken
    document(shop, "ack", story["id"])
    assert actions(document(shop, "heal", "--auto", check=3)) == [], "who took it is not called again"
    assert f"{story['id']}, taken by" in shop.run("status", check=3).stdout

    shop.do("mend", "s1")
    assert document(shop, "status", check=0)["health"] == "healthy"
    assert customer.get("kept.txt") == b"what the customer keeps\n" * 1000
    assert actions(document(shop, "heal", "--auto", check=0)) == []


def test_a_healthy_fleet_is_left_alone(shop: RunningLab) -> None:
    """Twenty rounds of heal --auto on a healthy fleet take no action, and one round trip each."""
    before = document(shop, "history", "--limit", "1000")["actions"]
    once = document(shop, "heal", "--auto", check=0)
    words = [*shop.command()[:-2], "-c", AGAIN, "19"]
    ran = subprocess.run(words, cwd=shop.workspace, capture_output=True, text=True, check=True, timeout=300.0)
    rounds = [once, *map(json.loads, ran.stdout.splitlines())]
    assert [(actions(healed), healed["round_trips"], healed["exit"]) for healed in rounds] == [([], 1, 0)] * 20
    assert document(shop, "history", "--limit", "1000")["actions"] == before
