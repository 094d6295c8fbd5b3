"""Killed at every write to its journal and every exec: one `heal --auto` later the app is well, and nothing is left held."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest
from crashes import SCENES, Stage, is_well, kill_points, killed, served, set_up, staged
from running_lab import RunningLab, name_of_ours, new_workspace

pytestmark = pytest.mark.lab
STAGES = 3


@pytest.fixture(scope="module")
def stage(fleet: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Have one stage on the slices that all share."""
    with served(fleet.name) as url, staged(fleet, ("s2", "s3", "s1"), tmp_path_factory.mktemp("stage"), url) as made:
        yield made


@pytest.mark.parametrize(("name", "at"), [("deploy", 9), ("remove", 11), ("rollback", 19)])
def test_a_crash_is_made_good_by_the_next_heal(stage: Stage, name: str, at: int) -> None:
    """A sample of what the long test has in full."""
    set_up(SCENES[name], stage)
    assert killed(SCENES[name], stage, at)
    is_well(SCENES[name], stage)


@pytest.mark.long
def test_a_crash_at_any_moment_is_made_good_by_the_next_heal(lab_ground: Path) -> None:
    """At every write to the journal and at every exec, before it and in the midst of it, of every verb and rung."""
    begin = time.monotonic()
    found: dict[str, list[str]] = {name: [] for name in SCENES}
    wrong: list[str] = []
    scenes: SimpleQueue[str] = SimpleQueue()
    for name in SCENES:
        scenes.put(name)
    with _stages(lab_ground) as stages, ThreadPoolExecutor(len(stages)) as pool:
        for done in [pool.submit(_play, one, scenes, found, wrong) for one in stages]:
            done.result()
    for name, points in found.items():
        print(f"{name}: killed at {len(points)} points")  # noqa: T201 - shown with -s
    total = sum(len(points) for points in found.values())
    print(f"in all at {total} points, in {time.monotonic() - begin:.0f} s")  # noqa: T201
    assert not wrong, "\n".join(wrong)
    assert min(len(points) for points in found.values()) >= 8, found  # the fewest: a call for a human


@contextmanager
def _stages(ground: Path) -> Iterator[list[Stage]]:
    """Have some stages in one lab, each with three slices."""
    folder = new_workspace(ground / "crashes")
    lab = RunningLab(name_of_ours("crashes"), folder, ("env", f"TFHEAL_AGE_KEY_FILE={ground / 'crashes.key'}"))
    with ExitStack() as stack:
        stack.callback(lab.run, "lab", "down", "--name", lab.name)
        lab.run("lab", "up", "--slices", str(3 * STAGES), "--name", lab.name, "--yes")
        url = stack.enter_context(served(lab.name))
        names = [f"s{number}" for number in range(1, 3 * STAGES + 1)]
        yield [
            stack.enter_context(staged(lab, (names[one], names[one + 1], names[one + 2]), ground / f"stage-{one}", url))
            for one in range(0, 3 * STAGES, 3)
        ]


def _play(stage: Stage, scenes: SimpleQueue[str], found: dict[str, list[str]], wrong: list[str]) -> None:
    """Play scenes until none is left, and note where each was killed and what was not well afterwards."""
    with suppress(Empty):
        while True:
            name = scenes.get_nowait()
            for where, ill in kill_points(name, stage):
                found[name] += [where] if where else []
                wrong += [ill] if ill else []
                print(f"{name} {len(found[name])}: {where} {ill[:600]}", flush=True)  # noqa: T201
