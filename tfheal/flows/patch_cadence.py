"""Security updates that `tfheal tick` installs by itself: on which slices, and what of it waits for a window.

A slice is one of them only if every app on it says so. It goes by what healing saw just before, which costs no trip. Where
an update broke an app, its version is tried by itself on no other slice; what could not be installed is left for a while.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from tfheal.base.exits import Exit
from tfheal.core.patch_rules import EXPECTED, Wish
from tfheal.core.windows import next_start
from tfheal.flows.fleet import Limits
from tfheal.flows.patch import PatchOptions, apps_on, patch
from tfheal.flows.patch_lists import fetched
from tfheal.model.facts import Known, Machine, Observation, SliceFacts
from tfheal.model.patches import PatchRun
from tfheal.model.ports import Ports
from tfheal.model.window import Waiting
from tfheal.model.workspace import Workspace

_AGAIN: Final = timedelta(hours=6)  # until what failed is tried by itself again
_FETCHES_AGAIN: Final = timedelta(hours=1)  # until lists that could not be fetched are asked for again
_MOST: Final = 100_000  # actions that are looked through
_FAILED: Final = frozenset({"failed", "unknown"})
Seen = Mapping[str, Observation]


def declared(workspace: Workspace) -> bool:
    """Return whether anything is to be installed by itself at all."""
    return any(workspace.patched_by_itself(app) == "security" for app in workspace.apps)


def fetch(workspace: Workspace, seen: Seen, ports: Ports, limits: Limits) -> Mapping[str, str]:
    """Given what was seen, fetch package lists where that was not done for a while; return why not, where it failed.

    What they bring is seen by the next tick.
    """
    names = tuple(name for name, _, _ in _ours(workspace, seen, ports))
    now = ports.clock.now()
    known = ports.journal.actions(since=now - timedelta(seconds=workspace.provider.patch.lists), limit=_MOST)
    lately = {
        one.slice
        for one in known
        if one.verb == "fetch" and (one.outcome == "done" or one.started > now - _FETCHES_AGAIN)
    }
    if not (stale := [name for name in names if name not in lately]):
        return {}
    run = ports.journal.begin_run("fetch package lists", ports.clock.now())
    failed = fetched(workspace, stale, run.id, ports, limits)
    ports.journal.end_run(run.id, int(Exit.FAILED if failed else Exit.OK), ports.clock.now())
    return failed


def patched(workspace: Workspace, seen: Seen, ports: Ports, limits: Limits) -> PatchRun | None:
    """Given what was seen, install the security updates that are due; None if there are none anywhere."""
    slices = tuple(name for name, _, _ in _due(workspace, seen, ports) if not _failed_lately(name, ports))
    if not slices:
        return None
    wish = Wish(security=True, reboot=True, auto=True)
    _, done = patch(workspace, slices, ports, limits, PatchOptions(wish, lambda _plan: None))
    return done


def waiting(workspace: Workspace, seen: Seen, ports: Ports) -> tuple[Waiting, ...]:
    """Given what was seen, return the security updates that wait for a window, until they waited long enough."""
    now = ports.clock.now()
    return tuple(
        Waiting(app, "patch", until)
        for _, apps, machine in _due(workspace, seen, ports)
        if isinstance(machine.security_age, Known)
        and (until := _until(workspace, apps, machine.security_age.value, now))
        for app in apps
    )


def _until(workspace: Workspace, apps: tuple[str, ...], age: int, now: datetime) -> datetime | None:
    starts = [next_start(workspace.window(app), now, EXPECTED) for app in apps]
    if all(start == now for start in starts):
        return None
    latest = now + timedelta(seconds=min(workspace.apps[app].patch.defer for app in apps) - age)
    until = latest if None in starts else min(latest, max(start for start in starts if start))
    return until if until > now else None


def _due(workspace: Workspace, seen: Seen, ports: Ports) -> Iterator[tuple[str, tuple[str, ...], Machine]]:
    """Yield the slices on which something waits that every app there lets be done by itself."""
    for name, apps, machine in _ours(workspace, seen, ports):
        pending = isinstance(machine.security_updates, Known) and machine.security_updates.value > 0
        reboot = machine.reboot == Known(value=True) and {workspace.reboots(app) for app in apps} == {"auto"}
        if pending or reboot or machine.patch_unfinished == Known(value=True):
            yield name, apps, machine


def _ours(workspace: Workspace, seen: Seen, ports: Ports) -> Iterator[tuple[str, tuple[str, ...], Machine]]:
    """Yield the slices that answered and on which every app says that updates are installed by themselves."""
    for name, facts in seen.items():
        apps = apps_on(workspace, name, ports)
        if isinstance(facts, SliceFacts) and {workspace.patched_by_itself(app) for app in apps} == {"security"}:
            yield name, apps, facts.machine


def _failed_lately(name: str, ports: Ports) -> bool:
    since = ports.clock.now() - _AGAIN
    return any(
        one.slice == name and one.verb in {"patch", "reboot"} and one.outcome in _FAILED
        for one in ports.journal.actions(since=since, limit=_MOST)
    )
