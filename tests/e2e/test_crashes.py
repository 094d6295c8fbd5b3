"""Killed at every write to its journal and every exec: one `heal --auto` later the app is well, and nothing is left held."""

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pytest
from documents import actions, document
from running_lab import RunningLab

pytestmark = pytest.mark.lab
PAIR = Path(__file__).parent / "pair"
KEPT = "/srv/tfheal/pair/store/kept"
KILLED = -9
# Takes away what an app leaves on a slice; the owner's data too.
CLEARED = """
systemctl stop 'tfheal-pair-*' 2>/dev/null
rm -rf /etc/systemd/system/tfheal-pair-* /etc/systemd/system/*.wants/tfheal-pair-* /opt/tfheal/pair /srv/tfheal/pair \
    /var/lib/tfheal/pair /run/pair.* /run/tfheal/pair.*
systemctl daemon-reload
for user in tf-pair-store tf-pair-front; do userdel $user 2>/dev/null; done
true
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """What is killed: the state before it, the command, what mends what only a person can, and whether the app is gone then."""

    command: tuple[str, ...]
    before: Callable[[RunningLab], None]
    after: str = "true"
    gone: bool = False


@pytest.fixture(scope="module")
def pair(fleet: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    """Have a workspace of the small pair of components, in which one ask is enough."""
    folder = tmp_path_factory.mktemp("crashes") / "pair"
    shutil.copytree(fleet.workspace, folder, ignore=shutil.ignore_patterns("*.lock", "journal.db*", "apps"))
    shutil.copytree(PAIR, folder, dirs_exist_ok=True)
    settings = (folder / "tfheal.toml").read_text()
    (folder / "tfheal.toml").write_text(settings.replace("budget = 5", "budget = 20\nasks = 1"))
    running = replace(fleet, workspace=folder)
    yield running
    clear(running)


def clear(pair: RunningLab) -> None:
    """Make it as it was before the app was ever deployed, here and on the slices."""
    for name in ("s2", "s3"):
        pair.on(name, CLEARED)
    for path in (pair.workspace / ".tfheal").glob("journal.db*"):
        path.unlink()


def has(*damage: tuple[str, str]) -> Callable[[RunningLab], None]:
    """Return what has the app well, with data of its owner, and then damaged."""

    def before(pair: RunningLab) -> None:
        pair.run("deploy", "pair")
        pair.on("s2", f"echo precious >{KEPT}")
        for name, script in damage:
            pair.on(name, script)

    return before


def full_disk(pair: RunningLab) -> None:
    """Have the app well, and its disk full."""
    has()(pair)
    pair.do("break", "s2", "fill-disk")


SCENES = {
    "deploy": Scene(("deploy", "pair"), clear),
    "restart": Scene(("heal", "--auto"), has(("s2", "systemctl stop tfheal-pair-store"))),
    "redeploy": Scene(("heal", "--auto"), has(("s3", "rm /opt/tfheal/pair/front/config/front.conf"))),
    "free-disk": Scene(("heal", "--auto"), full_disk),
    "page": Scene(("heal", "--auto"), has(("s3", "touch /run/pair.unready")), after="rm -f /run/pair.unready"),
    "remove": Scene(("remove", "pair"), has(), gone=True),
}


def killed(scene: Scene, pair: RunningLab, at: int) -> str:
    """Kill the command of a scene at a count, and return where that was; nothing if it came to its end before."""
    command = pair.command(*scene.command)
    command.insert(command.index("env", 1) + 1, f"TFHEAL_FAILPOINT={at}")
    ran = subprocess.run(command, cwd=pair.workspace, capture_output=True, text=True, check=False, timeout=120)
    if ran.returncode != KILLED:
        assert ran.returncode in {0, 3, 7}, ran
        return ""
    return ran.stderr.rpartition("failpoint: ")[2].strip()


def is_well(scene: Scene, pair: RunningLab, where: str) -> None:
    """Demand that one `heal --auto` puts all in order, and that the next one has nothing to do."""
    pair.on("s3", scene.after)
    healed = document(pair, "heal", "--auto")
    assert "failed" not in {outcome for _, outcome in actions(healed)}, (where, healed)
    seen = document(pair, "status", check=None)
    healths = {f"{one['component']}@{one['slice']}": one["health"] for app in seen["apps"] for one in app["instances"]}
    assert set(healths.values()) <= {"healthy", "absent"}, (where, seen)
    if scene.gone and "healthy" not in healths.values():
        left = "ls -d /opt/tfheal/pair /etc/systemd/system/tfheal-pair* 2>/dev/null; true"
        assert [pair.on(name, left) for name in ("s2", "s3")] == ["", ""], where
    if scene.before is not clear:
        assert pair.on("s2", f"cat {KEPT}") == "precious\n", where
    assert actions(document(pair, "heal", "--auto")) == [], where
    nothing_is_held(pair, where)


def nothing_is_held(pair: RunningLab, where: str) -> None:
    """Demand that no lease is held anywhere, that every action has its end, and that both journals can be read."""
    said = document(pair, "history", "--limit", "1000")["actions"]
    assert [one for one in said if not one["outcome"]] == [], where
    with sqlite3.connect(pair.workspace / ".tfheal/journal.db") as journal:
        assert journal.execute("SELECT count(*) FROM lease").fetchone() == (0,), where
        assert journal.execute("PRAGMA integrity_check").fetchone() == ("ok",), where
    for name in ("s2", "s3"):
        free = "[ ! -e /run/tfheal/pair.lock ] || flock -n /run/tfheal/pair.lock true || echo held"
        record = pair.on(name, f"{free}; cat /var/log/tfheal/journal.jsonl 2>/dev/null; true")
        assert all(json.loads(line)["event"] in {"begin", "end"} for line in record.splitlines()), (where, record)


def kill_points(name: str, pair: RunningLab, first: int, every: int) -> list[str]:
    """Kill at the first count and every so many after it until the command gets through; return where that was."""
    scene = SCENES[name]
    points: list[str] = []
    for at in count(first, every):
        scene.before(pair)
        where = killed(scene, pair, at)
        is_well(scene, pair, f"{name} killed at {at}: {where}")
        if not where:
            return points
        points.append(where)
        print(f"{name} {at}: {where}")  # noqa: T201 - shown with -s, as it takes long
    raise AssertionError(name)


@pytest.mark.parametrize(("name", "first"), [("deploy", 14), ("redeploy", 9), ("remove", 11)])
def test_a_crash_is_made_good_by_the_next_heal(pair: RunningLab, name: str, first: int) -> None:
    """A sample of what the long test has in full."""
    scene = SCENES[name]
    scene.before(pair)
    where = killed(scene, pair, first)
    assert where
    is_well(scene, pair, where)


@pytest.mark.long
@pytest.mark.parametrize("name", SCENES)
def test_a_crash_at_any_moment_is_made_good_by_the_next_heal(pair: RunningLab, name: str) -> None:
    """At every write to the journal and at every exec, before it and in the midst of it."""
    points = kill_points(name, pair, 1, 1)
    print(f"{name}: killed at {len(points)} points")  # noqa: T201
    assert len(points) >= 10
