"""The rung `restore`: data that is gone comes back from the newest good backup, once that has passed a drill just now.

What is lost by it, from the time of the data to now, is said before anything is done, in the journal and in the outcome.
"""

from collections.abc import Iterable

from tfheal.base.errors import Refused, TfhealError
from tfheal.base.moments import rfc3339
from tfheal.core.heal.situation import Return
from tfheal.flows import restore as restores
from tfheal.flows.drill import drill_of
from tfheal.flows.recreate import intended
from tfheal.flows.repository import lease_of
from tfheal.flows.restore import Wish
from tfheal.flows.rungs import HealRun
from tfheal.model.backup import Planned
from tfheal.model.plan import Action
from tfheal.model.ports import Ports
from tfheal.model.record import Expected, Outcome
from tfheal.model.release import InstanceName
from tfheal.model.results import Taken
from tfheal.model.workspace import Workspace


def returns(workspace: Workspace, names: Iterable[InstanceName], ports: Ports) -> dict[InstanceName, Return]:
    """Given instances whose data is gone, return what would come back to each and what would not, or why nothing can."""
    found = {}
    for name in names:
        try:
            found[name] = Return(words=_lost(_plan(workspace, name, ports), ports))
        except TfhealError as error:
            found[name] = Return(why=str(error))
    return found


def brought_back(run: HealRun, action: Action, item: Expected) -> Taken:
    """Given a run and the action for an instance whose data is gone, drill the backup, restore it, and say how it ended."""
    ports, begun = run.ports, run.ports.clock.monotonic()
    ports.reporter.say(f"{item.release.instance}  restore: {action.why}")
    with ports.leases.hold(lease_of(action.app), "heal", run.run):
        (record,) = intended(run, action, (item,))
        outcome, detail = _restored(run, item.release.instance)
        ports.journal.conclude(record.id, outcome, detail, ports.clock.now())
    return Taken(action, outcome, detail, ports.clock.monotonic() - begun)


def _restored(run: HealRun, name: InstanceName) -> tuple[Outcome, str]:
    ports = run.ports
    try:
        plan = _plan(run.workspace, name, ports)
        drill = drill_of(run.workspace, plan, ports, run.limits, only=name.slice)
        if drill.state == "refused" and not drill.steps:  # another is at work there, or it is paused: that passes
            return "refused", drill.detail
        if drill.state != "passed":
            return "failed", f"backup {plan.backup.id} did not pass its drill just now: {drill.detail}"
        told = _lost(plan, ports)
        how = restores.in_place(run.workspace, plan, ports, run.limits, run.run)[name]
    except Refused as refusal:
        return "refused", str(refusal)
    except TfhealError as error:
        return "failed", str(error)
    return ("done", f"restored {told}") if how == "done" else ("failed", how)


def _plan(workspace: Workspace, name: InstanceName, ports: Ports) -> Planned:
    return restores.planned(workspace, name.app, Wish(component=name.component, slice=name.slice), ports)


def _lost(plan: Planned, ports: Ports) -> str:
    seconds = (ports.clock.now() - plan.lost_since).total_seconds()
    return f"from backup {plan.backup.id}; what was written since {rfc3339(plan.lost_since)}, {seconds:.0f} s, is lost"
