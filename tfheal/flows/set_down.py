"""`tfheal restore --to`: the data of a backup on another slice of its owner, with its software, stopped and unrouted.

Nothing that is live is touched or even asked, so it works for what is lost as well. What is set down there is not the app:
nobody checks, heals or routes to it until an app spec places the app there.
"""

from dataclasses import replace

from tfheal.base.errors import Refused, TfhealError, UsageError
from tfheal.core import awaiting
from tfheal.core.backup import restore as core
from tfheal.core.backup.job import Job
from tfheal.core.backup.recovery import is_base
from tfheal.core.mistakes import nearest
from tfheal.core.resources import steps
from tfheal.flows.act import Work, act
from tfheal.flows.pauses import check
from tfheal.flows.place import can_take, is_pending
from tfheal.flows.releases import secret_values, wanted
from tfheal.flows.repository import replied, run
from tfheal.flows.rungs import HealRun
from tfheal.model.backup import Part, Planned
from tfheal.model.release import InstanceName, Release

_LONGEST = 12 * 3_600.0


def set_down(heal: HealRun, plan: Planned) -> dict[InstanceName, str]:
    """Given what is to be restored onto another slice, by a run that holds both leases of the app, do it, and say how it ended.

    Raise UsageError or Refused, with nothing done, where that slice cannot take it.
    """
    source, quiet = permitted(heal, plan), quiet_releases(heal, plan)
    for name, release in quiet.items():
        if why := put_there(heal, plan, release):
            return _all(plan, f"{name.component} could not be put there: {why}")
    chosen = [
        core.Chosen(release, plan.folders.get(name, ()), plan.dumps.get(name, ()), awaited=True, held=True, moved=True)
        for name, release in quiet.items()
    ]
    parts = dumped(plan, source)
    job = Job(heal.run, plan.app, heal.ports.writer, core.beside_tasks(parts, chosen, heal.run), longest=_LONGEST)
    try:
        target = heal.workspace.inventory.slice(plan.to)
        there = run(heal.workspace, job, target, heal.ports, plan.sources.get(source, source))
        replied(there, core.BESIDE, plan.to)
    except TfhealError as error:
        return _all(plan, f"its data did not come: {error}")
    return {name: _switched(heal, plan, one) for name, one in zip(quiet, chosen, strict=True)}


def dumped(plan: Planned, source: str) -> tuple[Part, ...]:
    """Given a plan and the slice whose data it is, return what of it is set down: what changes are replayed on is not."""
    return tuple(
        part for part in plan.backup.parts if part.slice == source and part.snapshot and not is_base(part.what)
    )


def permitted(heal: HealRun, plan: Planned, owner: str = "") -> str:
    """Given a plan, return the slice whose data goes there; raise UsageError or Refused where it cannot.

    It goes to a slice of the app's owner, or of another `owner`.
    """
    inventory, to = heal.workspace.inventory, plan.to
    if to not in inventory.slices:
        raise UsageError(f"there is no slice {to}", hint=nearest(to, inventory.slices, "there are"))
    if any(item.instance.slice == to for item in heal.ports.journal.deployed(plan.app)):
        hint = "without --to it is restored in its place"
        raise Refused(f"{plan.app} is on it already", where=to, hint=hint)
    sources = sorted({name.slice for name in plan.instances})
    if len(sources) != 1:
        what = f"its data is on {' and '.join(sources)}, and one slice cannot be all of them"
        raise Refused(what, where=plan.app, hint="--component says whose data is meant")
    if is_pending(heal.workspace, plan.app, heal.ports):
        raise Refused(
            "the workspace asks for something newer than what is deployed", where=plan.app, hint="deploy first"
        )
    check(plan.app, to, heal.ports)
    can_take(heal, plan.app, {to}, owner)
    return sources[0]


def quiet_releases(heal: HealRun, plan: Planned) -> dict[InstanceName, Release]:
    """Given a plan, return the release of each instance as it would be on the other slice, with nothing in it started."""
    spec = heal.workspace.apps[plan.app]
    moved = {name.component: (plan.to,) for name in plan.instances}
    there = spec.model_copy(update={"place": {**spec.place, **moved}})
    workspace = replace(heal.workspace, apps={**heal.workspace.apps, plan.app: there})
    found = {one.instance: one for one in wanted(workspace, plan.app, heal.ports)}
    return {name: awaiting.quiet(found[replace(name, slice=plan.to)]) for name in plan.instances}


def put_there(heal: HealRun, plan: Planned, release: Release) -> str:
    """Put the software of an instance there, stopped; return why not, if so: data that is there already is not touched."""
    secrets = secret_values(release, heal.ports)
    work = replace(work_there(heal, plan, release), steps=awaiting.held_back(release, steps(release, secrets)))
    done = act(work, heal.workspace.inventory.slice(plan.to), heal.ports)
    return "" if done.outcome == "done" else done.detail


def _switched(heal: HealRun, plan: Planned, chosen: core.Chosen) -> str:
    step = core.switch(chosen, heal.run, secret_values(chosen.release, heal.ports))
    work = replace(work_there(heal, plan, chosen.release), steps=(step,))
    done = act(work, heal.workspace.inventory.slice(plan.to), heal.ports)
    return "done" if done.outcome == "done" else f"{done.outcome}: {done.detail}"


def work_there(heal: HealRun, plan: Planned, release: Release) -> Work:
    """Return work on a release on the other slice, without any step yet."""
    return Work(
        verb="restore",
        release=release,
        steps=(),
        secrets=secret_values(release, heal.ports),
        why=f"restore of backup {plan.backup.id} to {plan.to}",
        run=heal.run,
        generation=max((item.generation for item in heal.ports.journal.deployed(plan.app)), default=1),
        identity=f"{plan.to} {heal.ports.marker()}",
        held_back=True,
    )


def _all(plan: Planned, how: str) -> dict[InstanceName, str]:
    return dict.fromkeys(plan.instances, how)
