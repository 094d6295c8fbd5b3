"""The canary of an upgrade: one instance with the new version gets a share of the traffic for a while, before the others follow.

It is compared with the others by its checks and by the requests that fail. What is worse is taken back; where neither is
proven a human is asked, and it keeps its share meanwhile.
"""

from dataclasses import dataclass, replace
from typing import Final

from tfheal.base.errors import Refused, TfhealError
from tfheal.core import shares
from tfheal.flows.calls import call
from tfheal.flows.traffic import Share, counted, even, give, is_led
from tfheal.flows.upgrade_back import Course, ended, failed
from tfheal.flows.upgrade_watch import tried
from tfheal.model.ports import Ports
from tfheal.model.release import Release
from tfheal.model.upgrade import Upgrade
from tfheal.model.workspace import Workspace

_WORK: Final = 900.0  # seconds that its share outlasts its time
_ASKED: Final = 86_400.0  # seconds that a human has, before it gets a full share


@dataclass(frozen=True, slots=True)
class Canary:
    """Which release is tried first, with which percent of the traffic, for how many seconds, beside how many others."""

    release: Release
    share: float
    time: float
    others: int


def permitted(workspace: Workspace, releases: tuple[Release, ...], ports: Ports) -> None:
    """Given the releases of a new version, raise Refused with why none of them can be tried with a share of the traffic."""
    app = releases[0].app
    led = [one for one in releases if is_led(workspace, one.instance, ports)]
    hint = f"tfheal upgrade {app} without --strategy canary: its first instance gates the others"
    if not led:
        why = "no gateway leads to it, so no share of its traffic can be given to one instance"
        raise Refused("it can have no canary", where=app, why=why, hint=hint)
    if len(led) == 1:
        raise Refused("it can have no canary", where=app, why=f"{led[0].instance} is its only instance", hint=hint)
    if any(one.migrate and not one.migrate.compatible for one in releases):
        why = "it migrates data, which the version before cannot work on beside it"
        raise Refused("it can have no canary", where=app, why=why, hint=hint)
    if any(one.weight != shares.FULL for one in counted(workspace, led[0].instance, ports)):
        why = "its gateway does not give all of its instances the same share"
        gateway = spec.route.gateway if (spec := workspace.apps[app]).route else ""
        raise Refused("it can have no canary", where=app, why=why, hint=f"first: tfheal deploy {gateway}")


def canary_of(course: Course) -> Canary | None:
    """Return the canary of an upgrade that is to have one still: the first of the instances that a gateway leads to."""
    if course.upgrade.strategy != "canary":
        return None
    led = [one for one in course.after if is_led(course.workspace, one.instance, course.ports)]
    return Canary(led[0], course.canary.share, course.canary.time, len(led) - 1) if led else None


def let_in(course: Course, canary: Canary) -> Upgrade | None:
    """Give a canary its share, while it is out of the traffic still; return how the upgrade ended if it cannot have one."""
    try:
        _give(course, canary, canary.time + _WORK)
    except TfhealError as error:
        course.blamed = False
        return failed(course, f"{canary.release.instance}: it can have no share of the traffic: {error}")
    return None


def compared(course: Course, canary: Canary) -> Upgrade | None:
    """Watch a canary in the traffic; return how the upgrade ended if it is worse than the others, or neither is proven."""
    end: Upgrade | None = None
    name = canary.release.instance
    course.ports.reporter.say(f"{name}  has {canary.share:g} % of the traffic for {canary.time:g} s")
    try:
        trial = tried(course, canary.release, canary.time)
        if trial.why:
            course.outcomes[name] = trial.why
            end = failed(course, f"{name}: {trial.why}")
        elif trial.verdict == "unsure":
            end = _asked(course, canary, trial.told)
        else:
            course.ports.reporter.say(f"{name}  came through: {trial.told}")
            course.upgrade = replace(course.upgrade, strategy="rolling")
            course.ports.upgrades.put(course.upgrade)
    finally:
        if end is None or end.state != "undecided":
            even(course.workspace, name, course.owner, course.ports)
    return end


def _asked(course: Course, canary: Canary, told: str) -> Upgrade:
    """Leave a canary with its share, and call a human who says what becomes of it."""
    one, name = course.upgrade, canary.release.instance
    try:
        _give(course, canary, _ASKED)
    except TfhealError as error:
        course.ports.reporter.say(f"{name}  keeps its share for {_WORK:g} s alone: {error}")
    course.outcomes[name] = why = f"neither better nor worse is proven: {told}"
    hint = (
        f"tfheal upgrade {one.app} --to {one.new} --go-on: it is good; without --go-on: it is watched once more; "
        f"tfheal rollback {one.app}: back"
    )
    call(one.app, name.slice, "upgrade-undecided", f"{one.old} to {one.new}: {name}: {why}", hint, course.ports)
    return ended(course, "undecided", f"{name}: {why}; {hint}")


def _give(course: Course, canary: Canary, longest: float) -> None:
    share = Share(course.owner, canary.share, canary.others, longest)
    give(course.workspace, canary.release.instance, share, course.ports)
