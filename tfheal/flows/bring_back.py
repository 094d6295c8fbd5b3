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
            plans = _earlier(workspace, name, ports)
            moments = [f"{rfc3339(plan.asked)}, when it was right last" for plan in plans if plan.asked]
            backups = [f"{plan.backup.id} of {rfc3339(plan.backup.started)}" for plan in plans if not plan.asked]
            times = " or ".join([*moments, f"backup {', '.join(backups)}"])
            found[name] = Return(words=f"it could go back to {times}; what came since would be lost")
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
    """Restore what loses least of what passes its drill now, and with which the service is right; say how it ended."""
    told = []
    cause = next((one.cause for one in run.ports.journal.incidents(open_only=True) if one.id == incident), None)
    try:
        plans = (_earlier if cause == "inconsistent" else _whole)(run.workspace, name, run.ports)
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
    last += f"; {far.lacking}" if far and far.lacking else ""
    return ("done", f"restored {told}{last}") if how == "done" else ("failed", how)


def _plan(workspace: Workspace, name: InstanceName, ports: Ports) -> Planned:
    wish = Wish(component=name.component, slice=name.slice, latest=True)
    return restores.planned(workspace, name.app, wish, ports)


def _whole(workspace: Workspace, name: InstanceName, ports: Ports) -> list[Planned]:
    """Return what restores of all that is stored would do: of the newest backup; of older ones too, where changes make up for it."""
    newest = _plan(workspace, name, ports)
    older = _older(workspace, name, newest, ports) if newest.replays_all else []
    return [newest, *(plan for plan in older if plan.replays_all)]


def _earlier(workspace: Workspace, name: InstanceName, ports: Ports) -> list[Planned]:
    """Return what would undo what is wrong: a restore of when all was right last, then of each of the last good backups.

    Raise Refused if there is none.
    """
    newest = _plan(workspace, name, ports)
    found = [] if (moment := _when_right(workspace, name, ports)) is None else [moment]
    plans = [newest, *_older(workspace, name, newest, ports)]
    return found + [replace(plan, replay={}) for plan in plans]  # all changes: the wrong one too


def _when_right(workspace: Workspace, name: InstanceName, ports: Ports) -> Planned | None:
    """Return what a restore of the last moment would do at which all was right, None where changes are not stored."""
    if (moment := ports.journal.consistent(name)) is None:
        return None
    with suppress(Refused):  # no backup is older than that
        wish = Wish(component=name.component, slice=name.slice, at=moment)
        plan = restores.planned(workspace, name.app, wish, ports)
        return plan if plan.replay else None
    return None


def _older(workspace: Workspace, name: InstanceName, newest: Planned, ports: Ports) -> list[Planned]:
    """Return what restores of good backups before the newest would do, a few of them, the newest first."""
    good = [
        one for one in stored(workspace, name.app, ports) if one.state == "good" and one.started < newest.backup.started
    ]
    plans = []
    for backup in sorted(good, key=lambda one: one.started, reverse=True)[: _MOST - 1]:
        wish = Wish(backup.id, component=name.component, slice=name.slice, latest=True)
        with suppress(Refused):  # it holds nothing of this instance
            plans.append(restores.planned(workspace, name.app, wish, ports))
    return plans


def _lost(plan: Planned, ports: Ports) -> str:
    if plan.replays_all and not plan.asked:
        return f"from backup {plan.backup.id} and the changes stored since; what was not stored yet is lost"
    seconds = (ports.clock.now() - plan.lost_since).total_seconds()
    lost = f"what was written since {rfc3339(plan.lost_since)}, {seconds:.0f} s, is lost"
    if not plan.replay:
        return f"from backup {plan.backup.id}; {lost}"
    how = f"as they were at {rfc3339(plan.asked)}" if plan.asked else "as the last stored change left them"
    rest = "" if plan.replays_all else ", but for those"
    return f"from backup {plan.backup.id}, databases {how}; {lost}{rest}"
