"""`tfheal upgrade` of many apps: wave after wave, so many at a time, until too many have failed or are not well.

What is begun is written down first, with its waves. Each app is upgraded as it would be alone; what stands in the way of one
is told and passed over. A run that stopped or was killed is gone on with by the same command: what is done is not done again.
What failed before a kill counts on; who goes on with one that stopped has read of its failures, and they count no more.
"""

import queue
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

from tfheal.base.errors import Refused, TfhealError, Unreachable, UsageError
from tfheal.core import waves as core
from tfheal.flows.fleet import Limits
from tfheal.flows.look import Scope, judged, look
from tfheal.flows.upgrade import upgrade
from tfheal.flows.upgrade_checks import Wish
from tfheal.flows.versions import deployed_of
from tfheal.model.ports import Ports
from tfheal.model.results import ILL
from tfheal.model.rollout import FAILED, RolledOut
from tfheal.model.upgrade import Rollout, Upgraded
from tfheal.model.workspace import Workspace

_STEP = 5.0  # seconds between two words of a pause
_PASSED = frozenset({"refused", "unreachable"})  # how an app ended that was not tried: it is no better than it was

Went = Upgraded | TfhealError
Answer = Went | BaseException


@dataclass(frozen=True, slots=True)
class Manner:
    """How a rollout goes: the `sizes` of its waves (none: the rings), and seconds of `pause` between two of them.

    After more than so many `failures` it stops; so many apps may be worked on or unwell at a time. As people write them.
    """

    sizes: tuple[str, ...] = ()
    pause: float = 0.0
    failures: str = "0"
    unavailable: str = "1"


@dataclass(slots=True)
class _Way:
    """A rollout under way: its record, and how each app went in this run."""

    workspace: Workspace
    ports: Ports
    limits: Limits
    wish: Wish
    record: Rollout
    failures: int
    unavailable: int
    went: dict[str, Went] = field(default_factory=dict)
    unwell: bool = False

    @property
    def stopped(self) -> bool:
        return self.unwell or len(self.failed) > self.failures

    @property
    def failed(self) -> list[str]:
        """Return the apps that failed, before a kill too, and have not come through since."""
        return [app for app, word in self.record.outcomes.items() if word in FAILED]

    def put(self, **changed: object) -> None:
        self.record = replace(self.record, **changed)  # type: ignore[arg-type]  # fields of a record by their names
        self.ports.upgrades.put_rollout(self.record)


def rollout(
    workspace: Workspace, apps: tuple[str, ...], wish: Wish, manner: Manner, ports: Ports, limits: Limits
) -> RolledOut:
    """Given apps, bring those whose playbook lists a version there, wave after wave, or only say what that would be.

    Raise UsageError for what cannot be meant.
    """
    playbook = _playbook(workspace, apps, wish)
    meant = {app: workspace.apps[app].ring for app in apps if workspace.apps[app].playbook == playbook}
    if left_out := [app for app in apps if app not in meant]:
        ports.reporter.say(f"not of the playbook {playbook}, and left out: {', '.join(left_out)}")
    failures = core.share(manner.failures, len(meant), "--max-failures")
    unavailable = max(1, core.share(manner.unavailable, len(meant), "--max-unavailable"))
    cut = core.waves(meant, manner.sizes)
    last = ports.upgrades.last_rollout(playbook)
    begun = last if last is not None and last.version == wish.to and last.state != "done" else None
    if begun is not None and not manner.sizes:
        cut = core.kept(begun.waves, tuple(meant))
    if wish.plan:
        made = Rollout("", playbook, wish.to, "planned", ports.clock.now(), cut)
        return RolledOut(made, {app: _one(workspace, app, wish, ports, limits) for wave in cut for app in wave})
    run = ports.journal.begin_run(f"upgrade playbook:{playbook}", ports.clock.now())
    record = Rollout(run.id, playbook, wish.to, "running", ports.clock.now(), cut)
    if begun is not None:
        seen = FAILED if begun.state == "stopped" else frozenset[str]()
        outcomes = {app: word for app, word in begun.outcomes.items() if word not in seen}
        record = replace(begun, state="running", waves=cut, detail="", outcomes=outcomes)
    way = _Way(workspace, ports, limits, wish, record, failures, unavailable)
    with ports.leases.hold(f"the waves of {playbook}", "upgrade", run.id):  # no app has this name
        way.put()
        _gone(way, manner.pause)
    done = RolledOut(way.record, way.went, way.unwell)
    ports.journal.end_run(run.id, int(done.exit), ports.clock.now())
    return done


def _playbook(workspace: Workspace, apps: tuple[str, ...], wish: Wish) -> str:
    """Return the one playbook of these apps that lists the version; raise UsageError if none does, or several do."""
    if wish.go_on:
        raise UsageError(
            "--go-on is a word about the canary of one app", hint="tfheal upgrade APP --to VERSION --go-on"
        )
    of = dict.fromkeys(workspace.apps[app].playbook for app in apps)
    listing = [name for name in of if wish.to in workspace.playbooks[name].playbook.versions]
    if not listing:
        raise UsageError(f"no app that is meant has a version {wish.to}", why=f"they are of {', '.join(of)}")
    if len(listing) > 1:
        hint = f"say which: playbook:{listing[0]}"
        raise UsageError(f"several playbooks list a version {wish.to}", why=", ".join(listing), hint=hint)
    return listing[0]


def _gone(way: _Way, pause: float) -> None:
    """Go on wave after wave, with a pause after each in which something was done; write down how it ended."""
    _rested(way)
    for number, wave in enumerate(way.record.waves, start=1):
        before = len(_changed(way))
        way.ports.reporter.say(f"wave {number} of {len(way.record.waves)}: {', '.join(wave)}")
        _wave(way, wave)
        if way.stopped:
            left = [app for wave in way.record.waves for app in wave if app not in way.went]
            why = way.record.detail or f"{', '.join(way.failed)} did not come through"
            way.put(state="stopped", detail=f"{why}; not begun: {', '.join(left) or 'none'}")
            return
        if pause and number < len(way.record.waves) and len(_changed(way)) > before:
            way.put(rests=way.ports.clock.now() + timedelta(seconds=pause))
            _rested(way)
    way.put(state="done")


def _changed(way: _Way) -> list[str]:
    return [app for app, one in way.went.items() if _word(one) == "done"]


def _rested(way: _Way) -> None:
    """Wait until the pause between two waves is over, the one of a run that was killed too."""
    clock = way.ports.clock
    while way.record.rests and (left := (way.record.rests - clock.now()).total_seconds()) > 0:
        way.ports.reporter.step("upgrade", f"the next wave begins in {left:.0f} s")
        clock.sleep(min(left, _STEP))
    if way.record.rests:
        way.put(rests=None)


def _wave(way: _Way, wave: tuple[str, ...]) -> None:
    """Upgrade the apps of a wave, so many at a time, never two that share a slice; nothing more is begun once it is to stop."""
    waiting, busy = deque(wave), set[str]()
    replies: queue.SimpleQueue[tuple[str, Answer]] = queue.SimpleQueue()
    while (waiting and not way.stopped) or busy:
        while not way.stopped and len(busy) < way.unavailable and (app := _next(way, waiting, busy)):
            waiting.remove(app)
            busy.add(app)
            _begin(way, app, replies)
        if not busy:
            return
        app, answer = replies.get()
        busy.remove(app)
        if not isinstance(answer, (Upgraded, TfhealError)):
            raise answer
        way.went[app] = answer
        if app not in way.failed or _word(answer) not in _PASSED:
            way.put(outcomes={**way.record.outcomes, app: _word(answer)})
        way.ports.reporter.say(f"{app}  {_word(answer)}{f': {answer}' if isinstance(answer, TfhealError) else ''}")


def _begin(way: _Way, app: str, replies: "queue.SimpleQueue[tuple[str, Answer]]") -> None:
    """Have an app upgraded, and its end put among the replies; one at a time needs no thread, and ends as we do."""

    def work() -> None:
        try:
            replies.put((app, _one(way.workspace, app, way.wish, way.ports, way.limits)))
        except Exception as error:  # noqa: BLE001 - a bug is raised again where somebody sees it
            replies.put((app, error))

    if way.unavailable == 1:
        work()
    else:
        threading.Thread(target=work, daemon=True).start()


def _next(way: _Way, waiting: deque[str], busy: set[str]) -> str:
    """Return the next app that may be begun beside those that are busy; none while too many are unwell, of which it may have to stop."""
    taken = {name for app in busy for name in _slices(way, app)}
    app = next((one for one in waiting if not taken & set(_slices(way, one))), "")
    if not app or not (ill := [one for one in _ill(way, busy) if one != app]) or len(ill) + len(busy) < way.unavailable:
        return app
    if not busy:
        way.unwell = True
        why = f"{', '.join(ill)} not well, and --max-unavailable is {way.unavailable}"
        way.record = replace(way.record, detail=why)
    return ""


def _ill(way: _Way, busy: set[str]) -> Iterator[str]:
    """Yield the apps of the rollout that are not well and not worked on."""
    apps = tuple(app for wave in way.record.waves for app in wave if app not in busy)
    found = look(way.workspace, Scope(apps), way.ports, way.limits)
    health = judged(way.workspace, apps, found, way.ports).apps
    yield from (app for app in apps if health.get(app) in ILL)


def _slices(way: _Way, app: str) -> list[str]:
    return [item.release.slice for item in deployed_of(app, way.ports)]


def _one(workspace: Workspace, app: str, wish: Wish, ports: Ports, limits: Limits) -> Went:
    """Upgrade one app, and return how that went, or the error that stood in its way."""
    try:
        return upgrade(workspace, app, wish, ports, limits)
    except TfhealError as error:
        return error


def _word(went: Went) -> str:
    """Return in a word how an app went: that its owner or a rule refuses, or that it could not be asked, is no failure."""
    if isinstance(went, Upgraded):
        return went.upgrade.state
    return "refused" if isinstance(went, Refused) else "unreachable" if isinstance(went, Unreachable) else "failed"
