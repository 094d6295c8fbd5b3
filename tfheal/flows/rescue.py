"""Lost slices in a heal run: which there are, what may be done about each, and doing it, one slice at a time."""

from functools import partial

from tfheal.base.errors import Refused, TfhealError
from tfheal.core.heal.rescue import Lost, Spares, holds_data, lost, rescue
from tfheal.core.heal.situation import Rescue, Return
from tfheal.flows.bring_back import returns
from tfheal.flows.look import Look, judged
from tfheal.flows.observe import observed
from tfheal.flows.pauses import standing
from tfheal.flows.place import is_pending, last_move
from tfheal.flows.recreate import contract, is_destroyed, recreate
from tfheal.flows.rehome import rehome
from tfheal.flows.releases import everywhere
from tfheal.flows.rungs import HealRun
from tfheal.model.backup import STORE
from tfheal.model.facts import Known, SliceFacts
from tfheal.model.findings import Diagnosis
from tfheal.model.plan import Action
from tfheal.model.record import Expected
from tfheal.model.release import InstanceName
from tfheal.model.results import Taken


def judgement(run: HealRun, found: Look) -> Diagnosis:
    """Given what a heal run found, return the judgement, in which lost slices enter the ladder."""
    ports = run.ports
    diagnosis = judged(run.workspace, run.apps, found, ports)
    return lost(diagnosis, ports.journal.silences(), run.workspace.provider.heal.gone_after, ports.clock.now())


def rescues(run: HealRun, found: Look, diagnosis: Diagnosis) -> dict[str, Rescue]:
    """Given what was found and the confirmed judgement, return what may be done about each lost slice."""
    silences = run.ports.journal.silences()
    names = {finding.slice for finding in diagnosis.findings if finding.entry == "recreate"}
    ways = {}
    spares = _spares(run) if names else Spares({})
    pending = [app for app in run.apps if names and is_pending(run.workspace, app, run.ports)]
    for name in sorted(names & run.workspace.inventory.slices.keys()):
        silence = silences.get(name)
        of_slice = Lost(
            entry=run.workspace.inventory.slices[name],
            here=(here := tuple(item for item in everywhere(run.ports) if item.release.slice == name)),
            specs=run.workspace.apps,
            held=run.apps,
            paused=silence is not None and silence.paused,
            pauses=standing({}, run.ports),
            pending=pending,
            pinned={
                app: placed.pinned for app in run.apps if (placed := last_move(run.workspace, app, run.ports.journal))
            },
            spares=spares,
            returns=(back := _returns(run, here, found)),
            unfenced=_unfenced(run, name, found) if back else "",
        )
        ways[name] = rescue(of_slice, partial(contract, run, name))
    return ways


def _unfenced(run: HealRun, name: str, found: Look) -> str:
    """Return why what ran on a lost slice may still run and write: else it came back empty, or is destroyed for certain."""
    facts = found.seen.get(name)
    if isinstance(facts, SliceFacts) and facts.machine.identity == Known(None):
        return ""
    if is_destroyed(run, name):
        return ""
    return "it is not certain that its old machine has stopped (a provisioner's `state` that says `destroyed` is)"


def _returns(run: HealRun, here: tuple[Expected, ...], found: Look) -> dict[InstanceName, Return]:
    """Return what would come back of the data on a slice; from a store that does not answer, nothing does."""
    back = {}
    for item in here:
        name, spec = item.release.instance, run.workspace.apps.get(item.release.app)
        if not holds_data(item.release) or name.component == STORE or spec is None:
            continue
        store = spec.place.get(STORE, ("",))[0]
        if spec.backup and spec.backup.address:  # it is read before anything is given up, and nobody else can read it
            back[name] = Return(why=f"{spec.backup.to} is read by the slice alone, which is lost")
        elif store and not isinstance(found.seen.get(store), SliceFacts):
            back[name] = Return(why=f"its store {store} does not answer")
        else:
            back |= returns(run.workspace, [name], run.ports)
    return back


def _spares(run: HealRun) -> Spares:
    """Ask the spares of the apps of this run, and return what is known of them."""
    inventory = run.workspace.inventory
    names = {name for app in run.apps for name in run.workspace.apps[app].spares}
    seen = observed([inventory.slice(name) for name in sorted(names)], {}, run.ports, run.limits)
    return Spares(inventory.slices, {item.release.slice for item in everywhere(run.ports)}, seen)


def rescued(run: HealRun, action: Action) -> Taken:
    """Given an action for a lost slice, do it and return how it ended; where another is at work, it is left to that one.

    What goes wrong on one is told of it, and stops the healing of no other.
    """
    try:
        for app in sorted({one.release.app for one in everywhere(run.ports) if one.release.slice == action.slice}):
            if app in run.apps and (late := run.ports.leases.lead(app)):
                return Taken(action, "undone", f"another run was at work on {app} until just now: {late}", 0.0)
        return recreate(run, action) if action.rung == "recreate" else rehome(run, action)
    except TfhealError as error:
        return Taken(action, "refused" if isinstance(error, Refused) else "failed", str(error), 0.0)
