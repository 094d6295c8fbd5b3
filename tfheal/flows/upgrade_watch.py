"""Watching an instance that has a new version: until it is ready and stayed so, first without traffic and then in it.

Behind a gateway half of the soak is out of the traffic, so that what dies soon meets nobody, and half of it is in it: there
the requests that fail count, by the gateway's own word, against those that fail at the version before.
"""

from dataclasses import dataclass, field

from tfheal.base.errors import TfhealError
from tfheal.core import upgrade as core
from tfheal.core.traffic import ENOUGH, SURE, SURE_AT_ONCE, Rate, Tally, Verdict, of, total, verdict
from tfheal.flows.look import Look, Scope, judged, look
from tfheal.flows.traffic import counted, is_led
from tfheal.flows.upgrade_back import Course, failed
from tfheal.model.facts import Known, SliceFacts
from tfheal.model.findings import Diagnosis
from tfheal.model.ports import Ports
from tfheal.model.release import Release
from tfheal.model.upgrade import Upgrade
from tfheal.model.workspace import Workspace

_LOOKS = 5.0  # seconds between two looks at one that soaks, at most
_QUIET = 0.5  # of a soak, behind a gateway


@dataclass(frozen=True, slots=True)
class Trial:
    """How an instance did in the traffic: what is wrong, if anything, and how its failures compare, in words too."""

    why: str
    verdict: Verdict
    told: str = ""


@dataclass(slots=True)
class _Under:
    """What is known of an instance in the traffic so far; `blind` is why its gateway did not say more, if so."""

    watch: core.Watch
    tally: Tally = field(default_factory=Tally)
    blind: str = ""
    ill: str = ""


def usual(workspace: Workspace, releases: tuple[Release, ...], ports: Ports) -> Rate:
    """Given the releases of an app, return what its gateways counted so far, before any of it is changed; nothing if they do not say."""
    for release in releases:
        if is_led(workspace, release.instance, ports):
            try:
                return total(of(one) for one in counted(workspace, release.instance, ports))
            except TfhealError as error:
                ports.reporter.say(f"{release.instance}  what came before is not known: {error}")
                return Rate()
    return Rate()


def watched(course: Course, release: Release) -> str:
    """Look at an instance until it was ready and stayed so for its soak; return what is wrong with it, if anything.

    Where a gateway leads to it that is the first part of its soak.
    """
    ports, since = course.ports, course.ports.clock.monotonic()
    soak = course.soak * (_QUIET if is_led(course.workspace, release.instance, ports) else 1.0)
    watch, patience = core.Watch(), release.start_timeout + core.READY_WITHIN
    while True:
        ports.reporter.step(str(release.instance), _stage(watch, soak, ports.clock.monotonic()))
        watch, ill = _looked(course, release, watch)
        now = ports.clock.monotonic()
        if _has_ended(course, watch, now - since, patience):
            return ill
        if watch.has_passed(soak, now):
            return ""
        ports.clock.sleep(_pause(course.soak))


def proven(course: Course, release: Release) -> Upgrade | None:
    """Watch an instance in the traffic for what is left of its soak; return how the upgrade ended if it does worse than before."""
    if not is_led(course.workspace, release.instance, course.ports):
        return None
    trial = tried(course, release, course.soak * (1.0 - _QUIET))
    if trial.why:
        course.outcomes[release.instance] = trial.why
        return failed(course, f"{release.instance}: {trial.why}")
    if trial.verdict == "unsure":
        course.ports.reporter.say(f"{release.instance}  {trial.told}")
    return None


def tried(course: Course, release: Release, seconds: float) -> Trial:
    """Watch an instance that is in the traffic for so many seconds, by its checks and by what its gateway counts; less if it is bad."""
    ports, since = course.ports, course.ports.clock.monotonic()
    under = _Under(core.Watch(well=core.READY, ready=since))
    _count(course, release, under)
    while True:
        ports.reporter.step(
            str(release.instance), _stage(under.watch, seconds, ports.clock.monotonic(), "in the traffic")
        )
        ports.clock.sleep(_pause(seconds))
        under.watch, under.ill = _looked(course, release, under.watch)
        now = ports.clock.monotonic()
        if _has_ended(course, under.watch, now - since, 0.0):
            return Trial(under.ill, "worse")
        _count(course, release, under)
        over = under.watch.has_passed(seconds, now)
        trial = _compared(course, release, under, SURE if over else SURE_AT_ONCE)
        if over or trial.why:
            return trial


def _compared(course: Course, release: Release, under: _Under, sure: float) -> Trial:
    """Judge an instance by those that have the version before still, else by what was counted of that before."""
    if under.blind:
        return Trial("", "unsure", f"how many requests fail is not known: {under.blind}")
    others = [one.instance for one in course.after if one.component == release.component]
    new, now = under.tally.of([release.instance]), under.tally.of([one for one in others if one not in course.outcomes])
    old, beside = (now, "beside it") if now.requests >= ENOUGH else (course.usual, "before")
    found = verdict(new, old, course.workspace.folder(release.app).playbook.upgrade.errors / 100, sure)
    told = f"{new} of its requests failed, and {old} {beside}"
    return Trial(told if found == "worse" else "", found, told)


def _count(course: Course, release: Release, under: _Under) -> None:
    try:
        under.tally = under.tally.seen(counted(course.workspace, release.instance, course.ports))
        under.blind = ""
    except TfhealError as error:
        under.blind = str(error)


def _looked(course: Course, release: Release, watch: core.Watch) -> tuple[core.Watch, str]:
    """Look at an instance once more; return the watch after it, and in words how ill it is."""
    ports, app = course.ports, release.app
    found = look(course.workspace, Scope((app,), only={release.slice}), ports, course.limits)
    diagnosis = judged(course.workspace, (app,), found, ports)
    watch = watch.seen(diagnosis.instances[release.instance], _up(release, found), ports.clock.monotonic())
    return watch, _ill(release, diagnosis)


def _has_ended(course: Course, watch: core.Watch, since: float, patience: float) -> bool:
    """Return whether an instance failed, or could not be asked for too long: then its version is not to blame."""
    if watch.is_lost(course.ports.clock.monotonic()):
        course.blamed = False
        return True
    return watch.has_failed(since, patience)


def _ill(release: Release, diagnosis: Diagnosis) -> str:
    told = [f"{one.cause}: {one.detail}" for one in diagnosis.findings if one.instance == release.instance]
    return "; ".join(told)[:500] or f"it is {diagnosis.instances[release.instance]}, and did not stay up"


def _pause(seconds: float) -> float:
    return min(_LOOKS, max(0.3, seconds / 10))


def _stage(watch: core.Watch, soak: float, now: float, where: str = "ready") -> str:
    """Return in words how far an instance that is watched came."""
    if watch.ready is None:
        return "waits until it is ready"
    return f"is {where}, and has to stay well for {max(0.0, soak - (now - watch.ready)):.0f} s"


def _up(release: Release, found: Look) -> float | None:
    seen = found.seen.get(release.slice)
    facts = seen.instances.get(release.instance.on_slice) if isinstance(seen, SliceFacts) else None
    return facts.unit.value.active_for if facts and isinstance(facts.unit, Known) else None
