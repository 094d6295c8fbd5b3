"""The faults of a process, a service and files that a customer notices: tfheal, systemd alone and Monit, side by side."""

import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from book import OURS
from catalogue import in_the_lab
from expectations import for_peers
from grounds import EXAMPLES, FORGETFUL, Ground, a_lab
from groups import one_of
from healing import HealLoop
from peers import CONTENDERS, Contender
from rows import Row, in_time
from running_lab import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.faults]
REPEATS = 3
WITHIN = 60.0  # seconds; who did not bring it back by then did not
NOTICED = 15.0  # seconds in which a client has to notice that something is wrong
FORGET = "rm -f /run/tfheal/reflex/* /var/lib/tfheal/*/*/reflex.jsonl"


@pytest.fixture(scope="module")
def three(lab_ground: Path) -> Iterator[RunningLab]:
    """Deploy the example three times, and arrange for each who keeps it up."""
    folder = lab_ground / "peers"
    shutil.copytree(EXAMPLES / "copyparty", folder)
    shipped = (folder / "apps" / "files.yaml").read_text()
    for one in CONTENDERS:
        (folder / "apps" / f"{one.app}.yaml").write_text(one.spec(shipped))
    (folder / "tfheal.toml").write_text(FORGETFUL)
    with a_lab(folder, len(CONTENDERS)) as lab:
        lab.run("deploy", *(one.app for one in CONTENDERS), timeout=900.0)
        for one in CONTENDERS:
            one.arrange(lab)
        yield lab


def cases() -> list[Any]:
    """Return each fault, repeated, each repetition on slices of its own."""
    return [
        pytest.param(fault, kind, marks=one_of("peers", repeat), id=f"{fault}-{repeat}")
        for repeat in range(REPEATS)
        for fault, kind in for_peers().items()
        if fault in in_the_lab()
    ]


@pytest.mark.parametrize(("fault", "kind"), cases())
def test_who_brings_it_back(fault: str, kind: str, three: RunningLab, noted: Callable[[Row], Any]) -> None:
    """Each is broken in the same way under load; what counts is when its client is served again, and tfheal's must be."""
    rows = [Row("peers", fault, one.name, detected=[kind]) for one in CONTENDERS]
    with in_time(360.0), ThreadPoolExecutor(len(CONTENDERS)) as pool:
        heard = [pool.submit(contended, three, one, row) for one, row in zip(CONTENDERS, rows, strict=True)]
        for row, one in zip(rows, heard, strict=True):
            with suppress(Exception), noted(row):  # the rows of the others are worth having without it
                one.result()
    (ours,) = [row for row in rows if row.where == OURS]
    assert ours.missed == []


def contended(lab: RunningLab, one: Contender, row: Row) -> None:
    """Break a contender's app under load and wait for its client to be served again; mend it if nobody did."""
    ground = Ground(lab, one.app, (one.slice,))
    lab.on(one.slice, FORGET)
    with ground.load(one.slice) as load:
        assert load.await_service(30.0), f"not served before anything was broken: {load.turns[-1:]}"
        begun = time.monotonic()
        with HealLoop(lab, phase=begun % 10, apps=(one.app,)) if one.name == OURS else nullcontext():
            said = lab.do("break", one.slice, row.name, "--app", one.app, check=None)
            row.landed = [said["detail"]] if said["exit"] == 0 else []
            while load.serves() and time.monotonic() < begun + NOTICED:
                time.sleep(0.1)
            row.ended = "back" if load.await_service(begun + WITHIN - time.monotonic()) else "not back"
            over = time.monotonic()
        seen = load.outage(begun, over)
        row.seconds, row.failed = None if seen is None else round(seen, 1), load.failed(begun, over)
        row.requests = 2 * len(load.turns)
        ground.mend()
        if not load.await_service(30.0):
            lab.run("deploy", one.app, check=None)
            one.arrange(lab)
            load.await_service(30.0)
        load.stop()
        row.written, row.lost = len(load.ledger), load.lost()
    row.missed += [] if row.ended == "back" else [f"not back within {WITHIN:.0f} s"]
    row.missed += [] if row.landed else ["it did not land"]
