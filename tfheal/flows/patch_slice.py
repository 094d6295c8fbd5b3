"""Patching one slice: with the leases of its apps, only while all is well, and taken back or paged when it is not any more."""

from contextlib import ExitStack
from dataclasses import replace

from tfheal.base.errors import Refused
from tfheal.base.moments import rfc3339
from tfheal.core import patching
from tfheal.core.charter import forbids
from tfheal.core.patch_rules import chosen, gated
from tfheal.core.patching import PatchOrder
from tfheal.flows.at_rest import await_backups
from tfheal.flows.calls import call
from tfheal.flows.gateway import Out, drained
from tfheal.flows.notices import told as notified
from tfheal.flows.patch_acts import LONGEST, PatchCase, PatchJob, acted, closed, ill, settled
from tfheal.flows.pauses import check
from tfheal.flows.reboot import barred, may_reboot, rebooted
from tfheal.flows.recover import close_unfinished
from tfheal.flows.releases import expected
from tfheal.model.inventory import Slice
from tfheal.model.notices import Work
from tfheal.model.patches import Patch, Patched, PatchReport, Pending


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
            case = _case(job, target, apps, patches)
            if left := _left_alone(case, pending):
                return left
            _out_of_the_traffic(job, apps, target, held)
            return _whole(case, pending)
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


def _left_alone(case: PatchCase, pending: Pending) -> Patched | None:
    """Return what becomes of a slice on which nothing is done now; raise Refused where something is not well before it is begun.

    This is asked while it is still in the traffic: nobody's connection is cut for nothing.
    """
    if case.order.patches or pending.unfinished:
        if not (pending.unfinished and not case.job.wish.auto) and (wrong := ill(case)):
            raise Refused(f"{wrong} before it was begun", where=case.target.name, hint="tfheal heal first")
        return None
    idle = Patched(case.target.name, "idle")
    if not (pending.reboot and may_reboot(case.job, case.order.apps)):
        return idle
    return replace(idle, not_rebooted=why) if (why := barred(case, pending)) else None


def _out_of_the_traffic(job: PatchJob, apps: tuple[str, ...], target: Slice, held: ExitStack) -> None:
    """Have the gateways give no new requests to what is on the slice until all that is `held` is let go."""
    out = Out(f"patch {target.name}", LONGEST, waits=True)
    for item in expected(apps, job.ports):
        if item.release.slice == target.name:
            held.enter_context(drained(job.workspace, item.release.instance, out, job.ports))


def _case(job: PatchJob, target: Slice, apps: tuple[str, ...], patches: tuple[Patch, ...]) -> PatchCase:
    here = [item.release for item in expected(apps, job.ports) if item.release.slice == target.name]
    units = tuple(release.unit for release in here if release.unit)
    return PatchCase(job, target, PatchOrder(job.ports.writer, job.run, patches, apps, units))


def _whole(case: PatchCase, pending: Pending) -> Patched:
    """Install what is to be installed, and reboot the slice then if that is needed and wanted."""
    done = Patched(case.target.name, "idle")
    if case.order.patches or pending.unfinished:
        with notified(case.job.workspace, _work(case), case.job.run, case.job.ports) as ended:
            done = _story(case, resumed=pending.unfinished)
            ended(done.outcome, done.detail)
    if done.outcome not in {"done", "idle"} or not may_reboot(case.job, case.order.apps):
        return done
    return rebooted(case, pending, done) if pending.reboot or done.report.reboot else done


def _work(case: PatchCase) -> Work:
    """Return what owners are told of a patch."""
    names = ", ".join(f"{one.package} {one.offered}" for one in case.order.patches)
    away = "services that an update touches are started again, and away for some seconds"
    return Work("patch", case.order.apps, (case.target.name,), names or "what was interrupted is ended", away)


def _story(case: PatchCase, *, resumed: bool) -> Patched:
    """Install, look at every app there again, and go back if that is needed; what was interrupted is ended first."""
    name = case.target.name
    told = acted(case, patching.upgrade, "patch" if not resumed else "end a patch that was interrupted")
    if not told.begun:
        raise Refused("another run is at work there", where=name, why=told.refused)
    if told.failure and not (told.changing or resumed):
        closed(case)
        return Patched(name, "failed", told.failure, case.order.patches, told)
    if not told.ended and not told.failure:
        why = "it did not tell how it ended: tfheal patch goes on with it"
        return Patched(name, "unknown", why, case.order.patches, told)
    if wrong := settled(case) or told.failure:
        return _taken_back(case, wrong, told)
    closed(case)
    detail = "what was interrupted came to its end; the next run installs the rest" if resumed else ""
    return Patched(name, "done", detail, case.order.patches, told)


def _taken_back(case: PatchCase, wrong: str, told: PatchReport) -> Patched:
    name, ports = case.target.name, case.job.ports
    ports.reporter.say(f"{name}  the patch is taken back: {wrong}")
    back = acted(case, patching.take_back, f"take back the patch: {wrong}")
    still = settled(case) if back.begun else wrong
    if back.ended and not still:
        closed(case)
        kept = f"; {', '.join(back.kept)} stayed" if back.kept else ""
        detail = f"{wrong}; all is well since it was taken back{kept}"
        return Patched(name, "taken-back", detail, case.order.patches, told)
    why = back.failure or back.refused or still or "it did not tell how taking it back ended"
    for app in case.order.apps:
        call(app, name, "patch", wrong, why, ports)
    return Patched(name, "broken", f"{wrong}; {why}", case.order.patches, told)
