"""Patching one slice: with the leases of its apps, only while all is well, and taken back or paged when it is not any more."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Final

from tfheal.base.errors import Refused, TfhealError, Unreachable
from tfheal.base.moments import rfc3339
from tfheal.core import patching
from tfheal.core.charter import forbids
from tfheal.core.patching import PatchOrder, Wish, chosen, gated
from tfheal.flows.at_rest import await_backups
from tfheal.flows.calls import call
from tfheal.flows.fleet import Limits
from tfheal.flows.gateway import Out, drained
from tfheal.flows.hidden import hushed
from tfheal.flows.look import Scope, judged, look
from tfheal.flows.pauses import check
from tfheal.flows.recover import close_unfinished
from tfheal.flows.releases import expected
from tfheal.model.inventory import Slice
from tfheal.model.patches import Patch, Patched, PatchReport, Pending
from tfheal.model.ports import Exec, Ports
from tfheal.model.record import ActionRecord, Outcome
from tfheal.model.workspace import Workspace

_LONGEST: Final = 3_600.0  # seconds that a patch may take before we stop listening; it goes on all the same
_CAP: Final = 1 << 20
_LOOKS: Final = 2  # in a row at which all has to be well
_PAUSE: Final = 1.0  # seconds between looks
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


def patch_slice(job: PatchJob, target: Slice, pending: Pending, apps: tuple[str, ...]) -> Patched:
    """Given a slice, what is pending there and the apps on it, install it and return what became of it."""
    try:
        patches = _now(job, pending, apps)
        for app in apps:
            await_backups(app, job.ports)
        with ExitStack() as held:
            for app in apps:
                held.enter_context(job.ports.leases.hold(app, "patch", job.run))
            for app in apps:
                _alone(job, app, target)
            _out_of_the_traffic(job, apps, target, held)
            return _story(_case(job, target, apps, patches), resumed=pending.unfinished)
    except Refused as refusal:
        return Patched(target.name, "refused", str(refusal))


def _now(job: PatchJob, pending: Pending, apps: tuple[str, ...]) -> tuple[Patch, ...]:
    """Return what may be installed now; raise Refused where its owner forbids it, or all of it waits for a window."""
    if why := forbids(pending.charter, "patch"):
        raise Refused("it may not be patched", why=why)
    patches = () if pending.unfinished else chosen(pending, job.wish)
    if job.wish.now:
        return patches
    windows = [job.workspace.window(app) for app in apps]
    defer = min((job.workspace.apps[app].patch.defer for app in apps), default=0.0)
    now, until = gated(patches, windows, defer, job.ports.clock.now())
    if patches and not now:
        till = f"till {rfc3339(until)}" if until else "which is never long enough"
        raise Refused("it waits for the window of its apps", why=till, hint="--now does not wait")
    return now


def _alone(job: PatchJob, app: str, target: Slice) -> None:
    check(app, target.name, job.ports)
    close_unfinished(app, job.ports)
    if late := job.ports.leases.lead(app):
        raise Refused(f"another run was at work on {app} until just now", why=late, hint="try again")


def _out_of_the_traffic(job: PatchJob, apps: tuple[str, ...], target: Slice, held: ExitStack) -> None:
    """Have the gateways give no new requests to what is on the slice until all that is `held` is let go."""
    out = Out(f"patch {target.name}", _LONGEST, waits=True)
    for item in expected(apps, job.ports):
        if item.release.slice == target.name:
            held.enter_context(drained(job.workspace, item.release.instance, out, job.ports))


@dataclass(frozen=True, slots=True)
class _Case:
    """What is to be done on one slice."""

    job: PatchJob
    target: Slice
    order: PatchOrder


def _case(job: PatchJob, target: Slice, apps: tuple[str, ...], patches: tuple[Patch, ...]) -> _Case:
    here = [item.release for item in expected(apps, job.ports) if item.release.slice == target.name]
    units = tuple(release.unit for release in here if release.unit)
    return _Case(job, target, PatchOrder(job.ports.writer, job.run, patches, apps, units))


def _story(case: _Case, *, resumed: bool) -> Patched:
    """Install, look at every app there again, and go back if that is needed; what was interrupted is ended first."""
    name = case.target.name
    if not resumed and (ill := _ill(case)):
        raise Refused(f"{ill} before it was begun", where=name, hint="tfheal heal first")
    told = _acted(case, patching.upgrade, "patch" if not resumed else "end a patch that was interrupted")
    if not told.begun:
        raise Refused("another run is at work there", where=name, why=told.refused)
    if told.failure and not (told.changing or resumed):
        _closed(case)
        return Patched(name, "failed", told.failure, case.order.patches, told)
    if not told.ended and not told.failure:
        why = "it did not tell how it ended: tfheal patch goes on with it"
        return Patched(name, "unknown", why, case.order.patches, told)
    if wrong := _settled(case) or told.failure:
        return _taken_back(case, wrong, told)
    _closed(case)
    detail = "what was interrupted came to its end; the next run installs the rest" if resumed else ""
    return Patched(name, "done", detail, case.order.patches, told)


def _taken_back(case: _Case, wrong: str, told: PatchReport) -> Patched:
    name, ports = case.target.name, case.job.ports
    ports.reporter.say(f"{name}  the patch is taken back: {wrong}")
    back = _acted(case, patching.take_back, f"take back the patch: {wrong}")
    ill = _settled(case) if back.begun else wrong
    if back.ended and not ill:
        _closed(case)
        kept = f"; {', '.join(back.kept)} stayed" if back.kept else ""
        detail = f"{wrong}; all is well since it was taken back{kept}"
        return Patched(name, "taken-back", detail, case.order.patches, told)
    why = back.failure or back.refused or ill or "it did not tell how taking it back ended"
    for app in case.order.apps:
        call(app, name, "patch", wrong, why, ports)
    return Patched(name, "broken", f"{wrong}; {why}", case.order.patches, told)


def _acted(case: _Case, script: Callable[[PatchOrder, str], str], why: str) -> PatchReport:
    """Do something on the slice with the intent in the journal before it and the outcome after it."""
    ports, now, name = case.job.ports, case.job.ports.clock.now(), case.target.name
    what = ", ".join(f"{one.package} {one.offered}" for one in case.order.patches)
    records = [
        ActionRecord(
            id=ports.journal.new_id(),
            run=case.job.run,
            verb="patch",
            app=app,
            instance=None,
            slice=name,
            incident=None,
            why=f"{why}: {what}"[:500] if what else why,
            release=None,
            started=now,
        )
        for app in case.order.apps or ("",)
    ]
    for record in records:
        ports.leases.check(record.app, case.job.run)
        ports.journal.intend(record)
    told = _heard(case, script)
    outcome, detail = _outcome(told)
    for record in records:
        ports.journal.conclude(record.id, outcome, detail, ports.clock.now())
    return told


def _outcome(told: PatchReport) -> tuple[Outcome, str]:
    if not told.begun:
        return "refused", told.refused or "another run is at work there"
    if told.failure:
        return "failed", told.failure
    return ("done", "packages changed" if told.changing else "nothing to do") if told.ended else ("unknown", "")


def _heard(case: _Case, script: Callable[[PatchOrder, str], str]) -> PatchReport:
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
            ports.transport.run(case.target, Exec(text, timeout=_LONGEST, cap=_CAP, on_line=hear))
            break
        except Unreachable as error:
            if not heard:
                raise
            ports.reporter.say(f"{case.target.name}  {hushed(error, hidden)}: listening again")
            ports.clock.sleep(_PAUSE)
            text, heard = patching.follow(marker), heard[:0]
    return patching.report(b"\n".join(heard) + b"\n", marker, hidden)


def _ill(case: _Case) -> str:
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


def _settled(case: _Case) -> str:
    """Look until all is well, several times in a row, and return what is not after the patience for it."""
    clock = case.job.ports.clock
    until, well = clock.monotonic() + case.job.workspace.provider.patch.patience, 0
    while True:
        ill = _ill(case)
        well = 0 if ill else well + 1
        if well == _LOOKS or clock.monotonic() > until:
            return ill
        clock.sleep(_PAUSE)


def _closed(case: _Case) -> None:
    """Note on the slice that it is over; where that fails, the next run looks at the apps once more."""
    marker = case.job.ports.marker()
    with suppress(TfhealError):
        case.job.ports.transport.run(case.target, Exec(patching.over(case.order, marker), timeout=30.0, cap=_CAP))
