"""The rung `restore`: data that is gone comes back from the newest good backup, once that has passed a drill just now.

What is lost by it, from the time of the data to now, is said before anything is done, in the journal and in the outcome.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from tfheal.base.errors import Refused, TfhealError
from tfheal.base.moments import rfc3339
from tfheal.core.heal.situation import Return
from tfheal.flows import restore as restores
from tfheal.flows.drill import drill_of
from tfheal.flows.recreate import intended
from tfheal.flows.repository import lease_of, stored
from tfheal.flows.restore import Wish
from tfheal.flows.rungs import HealRun
from tfheal.model.backup import Planned
from tfheal.model.plan import Action
from tfheal.model.ports import Ports
from tfheal.model.record import Expected, Outcome
from tfheal.model.release import InstanceName
from tfheal.model.results import Taken
from tfheal.model.workspace import Workspace

_MOST: Final = 5  # backups that data that is not right may go back to: each has to pass a drill


def returns(workspace: Workspace, names: Iterable[InstanceName], ports: Ports) -> dict[InstanceName, Return]:
    """Given instances whose data is gone, return what would come back to each and what would not, or why nothing can."""
    found = {}
    for name in names:
        try:
            found[name] = Return(words=_lost(_plan(workspace, name, ports), ports))
        except TfhealError as error:
            found[name] = Return(why=str(error))
    return found


def ways_to_earlier(workspace: Workspace, names: Iterable[InstanceName], ports: Ports) -> dict[InstanceName, Return]:
    """Given instances whose data is not right, return to which backups each could go back, or why to none."""
    found = {}
    for name in names:
        try:
            times = [f"{plan.backup.id} of {rfc3339(plan.lost_since)}" for plan in _earlier(workspace, name, ports)]
            found[name] = Return(words=f"it could go back to backup {', '.join(times)}; what came since would be lost")
        except TfhealError as error:
            found[name] = Return(why=str(error))
    return found


def brought_back(run: HealRun, action: Action, item: Expected) -> Taken:
    """Given a run and the action for an instance whose data is gone, drill the backup, restore it, and say how it ended."""
    ports, begun = run.ports, run.ports.clock.monotonic()
    ports.reporter.say(f"{item.release.instance}  restore: {action.why}")
    with ports.leases.hold(lease_of(action.app), "heal", run.run):
        (record,) = intended(run, action, (item,))
        outcome, detail = _restored(run, item.release.instance, action.incident)
        ports.journal.conclude(record.id, outcome, detail, ports.clock.now())
    return Taken(action, outcome, detail, ports.clock.monotonic() - begun)


def _restored(run: HealRun, name: InstanceName, incident: str) -> tuple[Outcome, str]:
    """Restore the newest good backup; of data that is not right the newest with which it is right, of a few."""
    told = []
    cause = next((one.cause for one in run.ports.journal.incidents(open_only=True) if one.id == incident), None)
    try:
        wrong = cause == "inconsistent"
        plans = _earlier(run.workspace, name, run.ports) if wrong else [_plan(run.workspace, name, run.ports)]
    except TfhealError as error:
        return "failed", str(error)
    for plan in plans:
        outcome, detail = _one_restored(run, name, plan)
        if outcome != "failed":
            return outcome, detail
        told.append(detail)
    return "failed", "; ".join(told)


def _one_restored(run: HealRun, name: InstanceName, plan: Planned) -> tuple[Outcome, str]:
    ports = run.ports
    try:
        drill = drill_of(run.workspace, plan, ports, run.limits, only=name.slice)
        if drill.state == "refused" and not drill.steps:  # another is at work there, or it is paused: that passes
            return "refused", drill.detail
        if drill.state != "passed":
            return "failed", f"backup {plan.backup.id} did not pass its drill just now: {drill.detail}"
        told = _lost(plan, ports)
        done = restores.in_place(run.workspace, plan, ports, run.limits, run.run)
        how, far = done.outcomes[name], done.replayed.get(name.slice)
    except Refused as refusal:
        return "refused", str(refusal)
    except TfhealError as error:
        return "failed", str(error)
    last = f"; the last change that was stored was made at {far.last or 'the time of the backup'}" if far else ""
    return ("done", f"restored {told}{last}") if how == "done" else ("failed", how)


def _plan(workspace: Workspace, name: InstanceName, ports: Ports) -> Planned:
    wish = Wish(component=name.component, slice=name.slice, latest=True)
    return restores.planned(workspace, name.app, wish, ports)


def _earlier(workspace: Workspace, name: InstanceName, ports: Ports) -> list[Planned]:
    """Return what a restore of each of the last good backups would do, the newest first; raise Refused if there is none."""
    newest = replace(_plan(workspace, name, ports), replay={})  # all changes: the wrong one too
    older = [
        one for one in stored(workspace, name.app, ports) if one.state == "good" and one.started < newest.lost_since
    ]
    plans = [newest]
    for backup in sorted(older, key=lambda one: one.started, reverse=True)[: _MOST - 1]:
        wish = Wish(backup.id, component=name.component, slice=name.slice)
        with suppress(Refused):  # it holds nothing of this instance
            plans.append(restores.planned(workspace, name.app, wish, ports))
    return plans


def _lost(plan: Planned, ports: Ports) -> str:
    seconds = (ports.clock.now() - plan.lost_since).total_seconds()
    if plan.replay and not plan.folders and set(plan.dumps) <= set(plan.replay):
        return f"from backup {plan.backup.id} and the changes stored since; what was not stored yet is lost"
    return f"from backup {plan.backup.id}; what was written since {rfc3339(plan.lost_since)}, {seconds:.0f} s, is lost"
