"""Rebooting a slice that an update asks to: where all allow it, in the window, once in a while, and until it is back and well.

A reboot cannot be taken back: a slice that does not come back, or whose apps are not well then, is a matter for a human.
"""

from contextlib import suppress
from dataclasses import replace
from typing import Final

from tfheal.base.errors import HostKeyMismatch, TfhealError, Unreachable
from tfheal.base.moments import rfc3339
from tfheal.core import patch_rules, patching
from tfheal.core.windows import next_start
from tfheal.flows.calls import call
from tfheal.flows.notices import told as notified
from tfheal.flows.patch_acts import PAUSE, PatchCase, PatchJob, acted, closed, concluded, ill, intended, settled
from tfheal.model.app import Reboots
from tfheal.model.notices import Work
from tfheal.model.patches import Patched, PatchReport, Pending
from tfheal.model.ports import Exec

_DOWN: Final = 240.0  # seconds in which it goes down, or says that it does not
_ASKED: Final = 10.0
_CAP: Final = 1 << 16


def allowed(job: PatchJob, apps: tuple[str, ...]) -> tuple[Reboots, ...]:
    """Return what the provider says of reboots of a slice with these apps on it."""
    return tuple(map(job.workspace.reboots, apps)) or (job.workspace.provider.patch.reboot,)


def may_reboot(job: PatchJob, apps: tuple[str, ...]) -> bool:
    """Return whether a run reboots slices at all: it was told so, or does by itself what every app there allows."""
    return job.wish.reboot and (not job.wish.auto or set(allowed(job, apps)) == {"auto"})


def barred(case: PatchCase, pending: Pending) -> str:
    """Return why the slice is not rebooted now: it may not be, it waits for a window, or something is not well; or nothing."""
    job, apps = case.job, case.order.apps
    words = allowed(job, apps)
    if why := patch_rules.barred(pending, words, job.workspace.provider.patch.reboot_every, auto=job.wish.auto):
        return why
    now = job.ports.clock.now()
    starts = [next_start(job.workspace.window(app), now, patch_rules.REBOOTS) for app in apps]
    if job.wish.now or all(start == now for start in starts):
        return ill(case)
    until = max((one for one in starts if one), default=None)
    return f"it waits for the window of its apps, {f'till {rfc3339(until)}' if until else 'which is never long enough'}"


def rebooted(case: PatchCase, pending: Pending, done: Patched) -> Patched:
    """Given what became of a patch, reboot its slice and see to it that it is well again; or say why that is not done."""
    if why := barred(case, pending):
        return replace(done, not_rebooted=why)
    what = "what was updated takes effect with a reboot only"
    work = Work("reboot", case.order.apps, (case.target.name,), what, "the machine is away for a minute or so")
    with notified(case.job.workspace, work, case.job.run, case.job.ports) as ended:
        wrong = _through(case)
        ended("broken" if wrong else "done", wrong)
    if not wrong:
        return replace(done, outcome="done", rebooted=True)
    for app in case.order.apps or ("",):
        call(app, case.target.name, "reboot", wrong, "a reboot cannot be taken back", case.job.ports)
    return replace(done, outcome="broken", detail=wrong, rebooted=True)


def _through(case: PatchCase) -> str:
    """Reboot it, wait until it is back, start what does not run, and look at every app; return what is wrong then."""
    records = intended(case, "reboot", "an update asks to")
    try:
        boot = _boot(case)  # asked before, as what it says last may not arrive
        told = _ordered(case) if boot else PatchReport(failure="it did not say of which boot it is")
        wrong = told.refused or told.failure or _back(case, boot)
    except TfhealError as error:
        wrong = str(error)
    concluded(case, records, "failed" if wrong else "done", wrong or "it is back")
    if wrong:
        return wrong
    mended = acted(replace(case, order=replace(case.order, patches=())), patching.upgrade, "what ran before the reboot")
    if wrong := mended.refused or mended.failure or settled(case):
        return f"{wrong} since the reboot"
    closed(case)
    return ""


def _ordered(case: PatchCase) -> PatchReport:
    """Have it reboot, and return what it said until it went away."""
    ports, marker = case.job.ports, case.job.ports.marker()
    hidden = ports.hidden([case.target.name])[case.target.name]
    heard: list[bytes] = []
    script = patching.reboot(case.order, case.job.workspace.provider.patch.reboot_every, marker)
    ports.reporter.say(f"{case.target.name}  is rebooted")
    with suppress(Unreachable):
        ports.transport.run(case.target, Exec(script, timeout=_DOWN, cap=_CAP, on_line=heard.append))
    return patching.report(b"\n".join(heard) + b"\n", marker, hidden)


def _back(case: PatchCase, boot: str) -> str:
    """Wait until it answers from another boot; return why that is not so, or nothing."""
    clock, patience = case.job.ports.clock, case.job.workspace.provider.patch.reboot_patience
    until = clock.monotonic() + patience
    while clock.monotonic() < until:
        now = _boot(case)
        if now and now != boot:
            return ""
        case.job.ports.reporter.step(case.target.name, "is rebooted: waits until it answers")
        clock.sleep(PAUSE)
    return f"it was told to reboot, and did not come back within {patience:.0f} s"


def _boot(case: PatchCase) -> str:
    """Return of which boot it is, nothing while it does not answer; raise HostKeyMismatch where it is another machine."""
    ports, marker = case.job.ports, case.job.ports.marker()
    try:
        reply = ports.transport.run(case.target, Exec(patching.booted(marker), timeout=_ASKED, cap=_CAP))
    except HostKeyMismatch:
        raise
    except TfhealError:
        return ""
    return patching.report(reply.stdout, marker).boot
