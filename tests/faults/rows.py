"""One row of the fault table: faults put in under load, watched until all is well or nothing more is to come, and noted."""

import hashlib
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from types import FrameType
from typing import Any, Final

from documents import document, findings
from expectations import Expectation
from grounds import Ground
from healing import EVERY, HealLoop, Round, healed_once
from journals import python
from load import Load
from running_lab import RunningLab

from tfheal.edge.clock import SystemClock

CAP: Final = 660.0  # seconds that one row may take, whatever hangs
WITHIN: Final = 90.0  # seconds after which what is not healed is not healed
_QUIET: Final = 2  # rounds in a row after which nothing more is to come
_STEADY: Final = 20.0  # seconds that the load gets to be served before anything is broken

_HOLD: Final = """
from tfheal.edge.lease import JournalLeases
run = journal.begin_run("deploy APP", datetime.now(tz=UTC)).id
with JournalLeases(journal).hold("APP", "deploy APP", run):
    print("held", flush=True)
    sys.stdin.read()
journal.end_run(run, 0, datetime.now(tz=UTC))
"""


@dataclass(frozen=True, slots=True)
class Broken:
    """One fault to put in: its name, the slice, and whose instance where it is an app's."""

    fault: str
    slice: str
    app: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """Return the words of `tfheal lab` that put it in; to be made anew, empty, is no fault of its list."""
        if self.fault == "recreate":
            return ("recreate", self.slice)
        return ("break", self.slice, self.fault, *(("--app", self.app) if self.app else ()))


@dataclass(slots=True)
class Row:
    """What became of faults; times in seconds, `seconds` None where the client saw none or it never came back.

    `test` is what wrote it, and `played` when that was, in seconds since 1970: what it wrote at one time belongs together.
    """

    table: str
    name: str
    where: str
    landed: list[str] = field(default_factory=list)
    detected: list[str] = field(default_factory=list)
    rungs: list[str] = field(default_factory=list)
    ended: str = "nothing happened"
    seconds: float | None = None
    requests: int = 0
    failed: int = 0
    written: int = 0
    lost: int | None = None
    actions: int = 0
    wrong: list[str] = field(default_factory=list)
    pages: int = 0
    idle: bool | None = None
    still_there: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    test: str = ""
    played: float = 0.0

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a row is played, what is broken, and what is expected of it."""

    ground: Ground
    served_by: str
    broken: tuple[Broken, ...]
    expected: Expectation
    before_mending: Callable[[], None] | None = None


def played(scene: Scene, row: Row) -> None:
    """Given a scene and its row, play it and fill in the row as it comes; raise TimeoutError where it takes too long."""
    with in_time(CAP):
        _play(scene, row)


def _play(scene: Scene, row: Row) -> None:
    ground = scene.ground
    ground.make_well()
    with ground.load(scene.served_by) as load:
        assert load.await_service(_STEADY), f"not served before anything was broken: {load.turns[-1:]}"
        since, begun = wall_clock(), time.monotonic()
        with HealLoop(ground.lab, _phase(row.name)) as loop:
            with lease_held(ground, scene.expected.lease):
                landed = _broken(scene, row)
                time.sleep(scene.expected.lease)
                free = wall_clock()
            over = _watch(scene, load, loop, landed) if len(row.landed) == len(scene.broken) else landed
        _note_healing(scene, row, loop, (since, free))
        _note_service(row, load, begun, over)
        _mend(scene, row, load)
        load.stop()
        row.written = len(load.ledger)
        row.lost = load.lost()
    row.notes += loop.errors


@contextmanager
def in_time(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block, once it takes longer than so many seconds."""

    def late(_: int, __: FrameType | None) -> None:
        msg = f"it took more than {seconds:.0f} s"
        raise TimeoutError(msg)

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def lease_held(ground: Ground, seconds: float) -> Iterator[None]:
    """Have another process hold the lease of the app in the block, unless it is for no time at all."""
    if not seconds:
        yield
        return
    with python(ground.lab.workspace / ".tfheal" / "journal.db", _HOLD.replace("APP", ground.app)) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.communicate()


def _phase(name: str) -> float:
    """Return when within the ten seconds of the loop a fault comes: any moment is as likely, and always the same."""
    return hashlib.sha256(name.encode()).digest()[0] / 255 * EVERY


def _broken(scene: Scene, row: Row) -> float:
    for broken in scene.broken:
        said = scene.ground.lab.do(*broken.words, check=None)
        if said["exit"] != 0:
            row.notes.append(f"{broken.fault} did not land: {said['error'].get('why') or said['error']['what']}")
            break
        row.landed.append(said.get("detail", "an empty slice, with a new host key that is pinned"))
    return time.monotonic()


def _watch(scene: Scene, load: Load, loop: HealLoop, landed: float) -> float:
    """Wait until what is expected has come about, or until it will not any more; return when that was."""
    done = {"healed": _is_healed, "left": _is_left, "paged": _is_paged, "any": _is_over}[scene.expected.ends]
    end = landed + max(WITHIN, scene.expected.within)
    while time.monotonic() < end and not done(load, loop.since(landed)):
        time.sleep(0.2)
    return time.monotonic()


def _is_healed(load: Load, rounds: list[Round]) -> bool:
    """Return whether the last round found or made all well after the client was served again."""
    if not rounds or rounds[-1].exit != 0 or not load.serves():
        return False
    bad = [turn.ended for turn in load.turns if turn.failed]
    return not bad or rounds[-1].ended >= bad[-1]


def _is_left(_: Load, rounds: list[Round]) -> bool:
    last = rounds[-_QUIET:]
    return len(last) == _QUIET and all(one.exit in {4, 6} and not one.actions for one in last)


def _is_paged(_: Load, rounds: list[Round]) -> bool:
    called = [index for index, one in enumerate(rounds) if ("page", "done") in one.actions]
    return bool(called) and called[0] + 1 < len(rounds)


def _is_over(load: Load, rounds: list[Round]) -> bool:
    return any(is_so(load, rounds) for is_so in (_is_healed, _is_left, _is_paged))


def _note_healing(scene: Scene, row: Row, loop: HealLoop, times: tuple[datetime, datetime]) -> None:
    """Note what was found and done since a moment; what was done before the second one was not ours to do."""
    lab, (since, free) = scene.ground.lab, times
    second = healed_once(lab)
    row.idle = not second.actions
    causes = {cause for one in loop.rounds for cause in one.causes} | second.causes
    row.detected = sorted(causes or findings(document(lab, "status", check=None)))
    done = _done(lab, since)
    row.rungs = [_rung(one) for one in done]
    row.actions = len([one for one in done if one["what"] != "page"])
    row.wrong = [
        f"{one['what']} of {one['instance'] or one['slice']}"
        for one in done
        if not _is_right(scene, one) or (scene.expected.lease and datetime.fromisoformat(one["time"]) < free)
    ]
    row.pages = len(scene.ground.pages())
    row.ended = {0: "healed", 4: "left", 6: "left", 7: "paged"}.get(second.exit, f"exit {second.exit}")
    row.notes.append(f"{len(loop.rounds)} runs of heal; the last waits: {_waits(second)}")
    if row.ended == "left":
        row.detected = sorted(causes | (findings(document(lab, "status", check=None)) - {"healed-locally"}))


def _waits(one: Round) -> str:
    waits = [incident["waits"] for incident in one.said["incidents"] if incident["waits"]]
    return "; ".join(f"{wait['rung']}: {wait['why']}" for wait in waits)[:300] or "for nothing"


def _is_right(scene: Scene, done: dict[str, Any]) -> bool:
    broken = {each.slice for each in scene.broken}
    return done["what"] in (scene.expected.rungs if done["slice"] in broken else scene.expected.nearby)


def wall_clock() -> datetime:
    """Return what time it is, by the clock of the journal, to the second of a slice's record."""
    return SystemClock().now().replace(microsecond=0)


def rungs_since(lab: RunningLab, since: datetime) -> list[str]:
    """Return what was done since a moment, each with its outcome unless it is done."""
    return [_rung(one) for one in _done(lab, since)]


def _done(lab: RunningLab, since: datetime) -> list[dict[str, Any]]:
    done = document(lab, "history", "--limit", "200")["actions"]
    return [one for one in done if datetime.fromisoformat(one["time"]) >= since]


def _rung(done: dict[str, Any]) -> str:
    if done["what"] == "reflex":
        return f"reflex ({done['why'].partition(':')[0]})"
    return str(done["what"]) if done["outcome"] == "done" else f"{done['what']} ({done['outcome']})"


def _note_service(row: Row, load: Load, begun: float, over: float) -> None:
    row.requests = 2 * len([turn for turn in load.turns if begun <= turn.begun < over])
    row.failed = load.failed(begun, over)
    seen = load.outage(begun, over)
    row.seconds = None if seen is None else round(seen, 1)
    row.notes += [turn.why for turn in load.turns if turn.failed and begun <= turn.begun < over][:1]


def _mend(scene: Scene, row: Row, load: Load) -> None:
    if scene.before_mending:
        scene.before_mending()
    for mended in scene.ground.mend():
        if not mended["detail"].startswith("was healed already"):
            row.still_there.append(mended["fault"])
    if not load.await_service(WITHIN):
        with suppress(AssertionError):  # what was written may still be there
            scene.ground.make_well()
        row.notes.append("once mended, it was not served again by itself")
        load.await_service(_STEADY)
