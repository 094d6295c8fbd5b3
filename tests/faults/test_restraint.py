"""When doing nothing is right: nothing is wrong, half the fleet is out of sight, it breaks again and again, the owner said stop."""

import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from grounds import FORGETFUL, Ground, a_lab, an_example
from healing import HealLoop, healed_once
from load import Load
from rows import Row, in_time, rungs_since, wall_clock
from running_lab import RunningLab, new_workspace

pytestmark = [pytest.mark.lab, pytest.mark.faults]
RELAY = Path(__file__).parents[1] / "relay"
FLEET = 12
ROUNDS = 20
REMEDIES = ("restart", "redeploy", "rollback", "rebuild")
PATIENT = 330.0  # seconds within which a service that flaps has met the end of its ladder
SHIPPED = '[page]\ncommand = ["./page"]\n'
CHAT = """\
app: chat
owner: lab
playbook: relay
version: "1"
place: {source: [SOURCES], front: [s12]}
heal: {allow: [restart, redeploy, recreate, rehome, page]}
"""


@pytest.fixture
def fleet(lab_ground: Path) -> Iterator[RunningLab]:
    """Boot twelve slices with a small app on all of them, which may be made anew, and is given up after ten seconds."""
    folder = new_workspace(lab_ground / "fleet")
    (folder / "tfheal.toml").write_text(FORGETFUL.replace("[heal]", '[heal]\ngone_after = "10s"'))
    shutil.copytree(RELAY, folder / "playbooks" / "relay")
    (folder / "apps").mkdir()
    sources = ", ".join(f"s{number}" for number in range(1, FLEET))
    (folder / "apps" / "chat.yaml").write_text(CHAT.replace("SOURCES", sources))
    with a_lab(folder, FLEET) as lab:
        lab.run("deploy", "chat", timeout=900.0)
        yield lab


@contextmanager
def counted(ground: Ground, row: Row) -> Iterator[Load]:
    """Have a client at work in the block, and count what it was told; note what was done to the app in that time."""
    ground.make_well()
    since = wall_clock()
    with ground.load("s1") as load:
        assert load.await_service(20.0)
        yield load
        load.stop()
        row.requests, row.failed = 2 * len(load.turns), sum(turn.failed for turn in load.turns)
        row.written, row.lost = len(load.ledger), load.lost()
    note_deeds(ground.lab, row, since)
    row.pages = len(ground.pages())


def note_deeds(lab: RunningLab, row: Row, since: Any) -> None:  # noqa: ANN401 (a moment)
    """Note in a row what was done since a moment."""
    row.rungs = rungs_since(lab, since)
    row.actions = len([rung for rung in row.rungs if rung != "page"])


@pytest.mark.group(name="restraint")
def test_twenty_rounds_with_nothing_wrong(grounds: Callable[[str], Ground], noted: Callable[[Row], Any]) -> None:
    """No action, and one round trip each, while a client is at work."""
    with noted(Row("restraint", f"{ROUNDS} rounds with nothing wrong", "files/web")) as row, in_time(300.0):
        with counted(grounds("files"), row):
            rounds = [healed_once(grounds("files").lab) for _ in range(ROUNDS)]
        row.ended = "nothing done" if row.actions == 0 else "acted"
        trips = sum(one.said["round_trips"] for one in rounds)
        row.missed += [f"{row.actions} actions"] if row.actions else []
        row.missed += [f"{trips} round trips"] if trips != ROUNDS else []
        row.missed += [f"exit {one.exit}" for one in rounds if one.exit]
        row.missed += [f"{row.failed} requests failed, {row.lost} writes lost"] if row.failed or row.lost else []
    assert row.missed == []


@pytest.mark.group(name="restraint")
def test_the_owner_says_stop(grounds: Callable[[str], Ground], noted: Callable[[Row], Any]) -> None:
    """With `hands-off` there nobody touches a service that died, not even the slice itself; with it gone it is healed."""
    with (
        noted(Row("restraint", "the owner says `hands-off`, the service is killed", "files/web")) as row,
        in_time(300.0),
    ):
        ground = grounds("files")
        with counted(ground, row) as load, HealLoop(ground.lab) as loop:
            ground.lab.on("s1", "mkdir -p /etc/tfheal && touch /etc/tfheal/hands-off")
            try:
                since = wall_clock()
                ground.lab.do("break", "s1", "kill-service", "--app", "files")
                killed = time.monotonic()
                time.sleep(45.0)  # the loop of the reflex had its turn, and so had heal
                stopped = [one.exit for one in loop.since(killed)]
                row.missed += [f"while it said stop: {rung}" for rung in rungs_since(ground.lab, since)]
            finally:
                ground.lab.on("s1", "rm -f /etc/tfheal/hands-off")
            row.missed += [] if stopped and set(stopped) == {6} else [f"heal ended with {stopped}"]
            row.missed += [] if load.await_service(60.0) else ["it was not healed once that was gone"]
        ground.mend()
        row.landed, row.detected = ["the unit is failed"], ["paused-by-owner"]
        row.ended = "left, then healed"
        row.missed += [f"{row.lost} writes lost"] if row.lost else []
    assert row.missed == []


@pytest.mark.group(name="flapping")
def test_a_service_that_flaps(lab_ground: Path, noted: Callable[[Row], Any]) -> None:
    """Killed whenever it serves, with the budgets as they are shipped: two tries of each rung at most, a call, and then it is left alone."""
    row_of = Row("restraint", "a service that is killed whenever it serves", "files/web")
    with noted(row_of) as row, an_example("files", lab_ground / "flap") as ground, in_time(600.0):
        (ground.lab.workspace / "tfheal.toml").write_text(SHIPPED)
        over = threading.Event()
        with counted(ground, row) as load, HealLoop(ground.lab) as loop:
            flapper = threading.Thread(target=kill_whenever_it_serves, args=(ground, load, over))
            flapper.start()
            end = time.monotonic() + PATIENT
            while time.monotonic() < end and not given_up(ground, loop):
                time.sleep(1.0)
            left = time.monotonic()
            time.sleep(35.0)
            after = [action for one in loop.since(left) for action in one.actions]
            over.set()
            flapper.join()
            (ground.lab.workspace / "tfheal.toml").write_text(FORGETFUL)
            ground.mend()
            load.await_service(60.0)
        row.landed, row.detected = (
            ["the unit is failed, again and again"],
            sorted({*(c for r in loop.rounds for c in r.causes)}),
        )
        row.ended = "paged" if row.pages else "no call"
        # One as it is chronic, if so many of its heals worked, and one at the end of the ladder.
        row.missed += [f"{row.pages} calls for a human"] if row.pages not in {1, 2} else []
        row.missed += [f"after it was given up: {action}" for action in after]
        tries = Counter(rung.partition(" ")[0] for rung in row.rungs)
        row.missed += [f"{tries[rung]} times {rung}" for rung in REMEDIES if tries[rung] > 2]
        row.missed += [f"{row.lost} writes lost"] if row.lost else []
    assert row.missed == []


def given_up(ground: Ground, loop: HealLoop) -> bool:
    """Return whether a human was called and the last two rounds did nothing."""
    last = loop.rounds[-2:]
    return bool(ground.pages()) and len(last) == 2 and not any(one.actions for one in last)


def kill_whenever_it_serves(ground: Ground, load: Load, over: threading.Event) -> None:
    """Break a service again once it serves, until it is enough."""
    while not over.wait(1.0):
        if load.serves():
            ground.lab.do("break", "s1", "kill-service", "--app", "files", check=None)


@pytest.mark.group(name="storm")
def test_half_of_the_fleet_is_cut_off(fleet: RunningLab, noted: Callable[[Row], Any]) -> None:
    """Nothing is made anew, moved or restarted, though all of that is allowed; one call; and it is over by itself."""
    with noted(Row("restraint", "half of 12 slices cut off", "chat")) as row, in_time(420.0):
        ground, cut = Ground(fleet, "chat", ()), [f"s{number}" for number in range(1, FLEET // 2 + 1)]
        since = wall_clock()
        with ThreadPoolExecutor(3) as pool:
            said = list(pool.map(lambda name: fleet.do("break", name, "partition")["detail"], cut))
        row.landed = said[:1]
        rounds = [healed_once(fleet) for _ in range(3)]
        note_deeds(fleet, row, since)
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda name: fleet.do("mend", name), cut))
        after = healed_once(fleet)
        row.detected, row.pages = sorted({*(cause for one in rounds for cause in one.causes)}), len(ground.pages())
        row.ended, row.idle = "paged" if row.pages else "no call", not after.actions
        row.missed += [f"heal ended with {one.exit}" for one in rounds if one.exit != 7]
        row.missed += [f"{row.pages} calls for a human"] if row.pages != 1 else []
        row.missed += [f"{row.actions} actions"] if row.actions else []
        row.missed += [] if "storm" in row.detected else ["no storm was seen"]
        row.missed += [f"once all answered: exit {after.exit}, {after.actions}"] if after.exit or after.actions else []
    assert row.missed == []
