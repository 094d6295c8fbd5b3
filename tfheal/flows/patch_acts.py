"""What a patch of one slice is made of: an act on it with its intent and outcome, a look at its apps, and the end of it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from tfheal.base.errors import TfhealError, Unreachable
from tfheal.core import patching
from tfheal.core.patch_rules import Wish
from tfheal.core.patching import PatchOrder
from tfheal.flows.fleet import Limits
from tfheal.flows.hidden import hushed
from tfheal.flows.look import Scope, judged, look
from tfheal.model.inventory import Slice
from tfheal.model.patches import PatchReport
from tfheal.model.ports import Exec, Ports
from tfheal.model.record import ActionRecord, Outcome, Verb
from tfheal.model.workspace import Workspace

LONGEST: Final = 3_600.0  # seconds that a patch may take before we stop listening; it goes on all the same
PAUSE: Final = 1.0  # seconds between looks
_CAP: Final = 1 << 20
_LOOKS: Final = 2  # in a row at which all has to be well
_RETURNS: Final = (
    5  # tries to hear of a patch again, whose connection broke: it may have been the network that was updated
)
_WELL: Final = frozenset({"healthy", "absent"})


@dataclass(frozen=True, slots=True)
class PatchJob:
    """A run of `tfheal patch` under way."""

    workspace: Workspace
    ports: Ports
    limits: Limits
    run: str
    wish: Wish


@dataclass(frozen=True, slots=True)
class PatchCase:
    """What is to be done on one slice."""

    job: PatchJob
    target: Slice
    order: PatchOrder


def acted(case: PatchCase, script: Callable[[PatchOrder, str], str], why: str) -> PatchReport:
    """Do something on the slice with the intent in the journal before it and the outcome after it."""
    records = intended(case, "patch", why)
    told = _heard(case, script)
    concluded(case, records, *_outcome(told))
    return told


def intended(case: PatchCase, verb: Verb, why: str) -> tuple[ActionRecord, ...]:
    """Write down what is about to be done on the slice, for each app there."""
    ports, now, name = case.job.ports, case.job.ports.clock.now(), case.target.name
    what = ", ".join(f"{one.package} {one.offered}" for one in case.order.patches)
    records = tuple(
        ActionRecord(
            id=ports.journal.new_id(),
            run=case.job.run,
            verb=verb,
            app=app,
            instance=None,
            slice=name,
            incident=None,
            why=f"{why}: {what}"[:500] if what else why,
            release=None,
            started=now,
        )
        for app in case.order.apps or ("",)
    )
    for record in records:
        ports.leases.check(record.app, case.job.run)
        ports.journal.intend(record)
    return records


def concluded(case: PatchCase, records: tuple[ActionRecord, ...], outcome: Outcome, detail: str) -> None:
    """Write down how it ended."""
    for record in records:
        case.job.ports.journal.conclude(record.id, outcome, detail, case.job.ports.clock.now())


def _outcome(told: PatchReport) -> tuple[Outcome, str]:
    if not told.begun:
        return "refused", told.refused or "another run is at work there"
    if told.failure:
        return "failed", told.failure
    return ("done", "packages changed" if told.changing else "nothing to do") if told.ended else ("unknown", "")


def _heard(case: PatchCase, script: Callable[[PatchOrder, str], str]) -> PatchReport:
    """Begin something on the slice and listen to its end; when the connection breaks, it goes on, and is listened to again."""
    ports, marker = case.job.ports, case.job.ports.marker()
    hidden = ports.hidden([case.target.name])[case.target.name]
    heard: list[bytes] = []

    def hear(line: bytes) -> None:
        heard.append(line)
        if words := patching.progress(line, marker):
            ports.reporter.step(case.target.name, words)

    text = script(case.order, marker)
    for _ in range(_RETURNS):
        try:
            ports.transport.run(case.target, Exec(text, timeout=LONGEST, cap=_CAP, on_line=hear))
            break
        except Unreachable as error:
            if not heard:
                raise
            ports.reporter.say(f"{case.target.name}  {hushed(error, hidden)}: listening again")
            ports.clock.sleep(PAUSE)
            text, heard = patching.follow(marker), heard[:0]
    return patching.report(b"\n".join(heard) + b"\n", marker, hidden)


def ill(case: PatchCase) -> str:
    """Return which instance of the apps on the slice is not well, wherever it is, and why; nothing where all are."""
    apps = case.order.apps
    if not apps:
        return ""
    diagnosis = judged(
        case.job.workspace, apps, look(case.job.workspace, Scope(apps), case.job.ports, case.job.limits), case.job.ports
    )
    for name, health in diagnosis.instances.items():
        if name.app in apps and health not in _WELL:
            said = next(
                (one.detail for one in diagnosis.findings if one.instance == name and one.severity != "info"), ""
            )
            return f"{name} is {health}{f': {said}' if said else ''}"
    return ""


def settled(case: PatchCase) -> str:
    """Look until all is well, several times in a row, and return what is not after the patience for it."""
    clock = case.job.ports.clock
    until, well = clock.monotonic() + case.job.workspace.provider.patch.patience, 0
    while True:
        wrong = ill(case)
        well = 0 if wrong else well + 1
        if well == _LOOKS or clock.monotonic() > until:
            return wrong
        clock.sleep(PAUSE)


def closed(case: PatchCase) -> None:
    """Note on the slice that it is over; where that fails, the next run looks at the apps once more."""
    marker = case.job.ports.marker()
    with suppress(TfhealError):
        case.job.ports.transport.run(case.target, Exec(patching.over(case.order, marker), timeout=30.0, cap=_CAP))
