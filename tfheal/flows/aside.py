"""What is healed is out of the traffic meanwhile, and gets requests again once it was ready at several looks in a row."""

from collections.abc import Callable
from typing import Final

from tfheal.base.errors import TfhealError
from tfheal.core.upgrade import READY_WITHIN, Watch
from tfheal.flows.gateway import Out, asked, drained, points, put_back
from tfheal.flows.look import Scope, judged, look
from tfheal.flows.rungs import HealRun
from tfheal.model.findings import Diagnosis
from tfheal.model.plan import Action, Plan
from tfheal.model.record import Expected
from tfheal.model.release import InstanceName, Release
from tfheal.model.results import Taken

_BRIEF: Final = 10.0  # seconds in which what is ready already says so several times
_LOOKS: Final = 1.0  # seconds between two looks


def aside(run: HealRun, action: Action, item: Expected, act: Callable[[], Taken]) -> Taken:
    """Given an action and how it is done, do it while the instance is drained, wait until that is ready, and return how it ended.

    The last that is well is worked on in the traffic. What does not become ready stays out: a later run puts it back once it
    is, else the timer of its gateway.
    """
    release = item.release
    patience = release.start_timeout + READY_WITHIN
    longest = run.workspace.provider.heal.act_timeout + patience + _BRIEF
    with drained(run.workspace, release.instance, Out(_owner(action.app), longest), run.ports) as out:
        taken = act()
        if out and not _is_ready(run, release, patience if taken.outcome == "done" else _BRIEF):
            run.ports.reporter.say(f"{release.instance}  is not ready yet, and stays drained")
            out.clear()
    return taken


def ready_again(run: HealRun, plan: Plan, diagnosis: Diagnosis, meant: tuple[Expected, ...]) -> None:
    """Given what is not over or only just, put back those instances that healing left drained and that are ready by now."""
    releases = {item.release.instance: item.release for item in meant}
    over = {one.instance for one in plan.incidents if one.state in {"watching", "resolved"}}
    for name in (name for name in releases if name in over and diagnosis.instances.get(name) == "healthy"):
        if _is_out(run, name) and _is_ready(run, releases[name], _BRIEF):
            put_back(run.workspace, name, _owner(name.app), run.ports)


def _owner(app: str) -> str:
    return f"heal {app}"


def _is_out(run: HealRun, name: InstanceName) -> bool:
    """Return whether healing drained it, and did not put it back."""
    try:
        found = [
            one
            for point in points(run.workspace, name, run.ports)
            for one in asked(run.workspace, point.gateway, {name.app: name.component}, run.ports)
        ]
    except TfhealError:
        return False
    return any((one.instance, one.owner) == (name, _owner(name.app)) for one in found)


def _is_ready(run: HealRun, release: Release, patience: float) -> bool:
    """Return whether it is ready at several looks in a row, within so many seconds."""
    clock, app, watch = run.ports.clock, release.app, Watch()
    since = clock.monotonic()
    while not watch.has_failed(clock.monotonic() - since, patience) and not run.limits.over:
        run.ports.reporter.step(str(release.instance), "waits until it is ready")
        found = look(run.workspace, Scope((app,), only={release.slice}), run.ports, run.limits)
        health = judged(run.workspace, (app,), found, run.ports).instances[release.instance]
        watch = watch.seen(health, None, clock.monotonic())
        if watch.ready is not None:
            return True
        clock.sleep(_LOOKS)
    return False
