"""Where apps run: as their specs say, until healing or a person moved them; then as the journal says, until the spec changes.

A move is decided as a whole, in one transaction: the new placement with a higher generation, a release for each instance
rendered for it, and the old instance retired. What follows only carries that out, and any later run can go on with it.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace

from tfheal.base.errors import Refused, UsageError
from tfheal.core import stores
from tfheal.core.heal.rescue import Spares, holds_data, unfit
from tfheal.core.mistakes import nearest
from tfheal.flows.fence import fence
from tfheal.flows.fleet import Limits
from tfheal.flows.names import settle
from tfheal.flows.observe import observed
from tfheal.flows.pauses import check
from tfheal.flows.redeploy import Because, redeploy
from tfheal.flows.releases import everywhere, expected, in_use, make_backup_keys, retired, wanted
from tfheal.flows.rungs import HealRun
from tfheal.model.backup import STORE
from tfheal.model.ports import Journal, Ports
from tfheal.model.record import AWAITING, Deployed, Expected, Phase, Place, Placement
from tfheal.model.release import InstanceName, Release
from tfheal.model.results import ComponentPlace, Placed
from tfheal.model.workspace import Workspace


def effective(workspace: Workspace, journal: Journal) -> Workspace:
    """Given a workspace, return it with each app placed where it was moved to, unless its spec has changed since."""
    written = workspace.as_written or workspace.apps
    there = replace(workspace, as_written=written)
    for name, spec in written.items():
        moved = last_move(workspace, name, journal)
        there = _at(there, name, moved.place if moved else spec.place)
    return there


def _at(workspace: Workspace, app: str, place: Place) -> Workspace:
    """Return a workspace in which an app is placed so, with a store for the slices that its data is on now, and was on."""
    written = workspace.written(app)
    spec = written.model_copy(update={"place": dict(place)})
    folder = stores.moved(workspace, spec)
    joined = {**workspace.joined, app: folder} if folder else workspace.joined
    return replace(workspace, apps={**workspace.apps, app: spec}, joined=joined)


def last_move(workspace: Workspace, app: str, journal: Journal) -> Placement | None:
    """Given an app, return where it was moved to, if that still stands: its spec is as it was, and the slices are listed."""
    moved = journal.placement(app)
    if moved is None or dict(moved.spec) != workspace.written(app).place:
        return None
    listed_there = all(name in workspace.inventory.slices for names in moved.place.values() for name in names)
    return moved if listed_there else None


def is_pending(workspace: Workspace, app: str, ports: Ports) -> bool:
    """Return whether an app asks for another release of any instance than the one that was deployed."""
    return {release.id for release in wanted(workspace, app, ports)} != {
        item.release.id for item in expected((app,), ports)
    }


def move(run: HealRun, app: str, place: Place, pinned: frozenset[str], because: Because) -> dict[InstanceName, str]:
    """Given where an app is to run, bring it there, and return what did not come to be, with the reason.

    What names an address that changed is rendered anew, also its gateway and what is led through it, after it and if they are
    of this run; what is left behind is retired. An instance with data that is new waits for that data to come back.
    """
    ports, now = run.ports, run.ports.clock.now()
    ports.leases.check(app, run.run)
    before = effective(run.workspace, ports.journal)  # others may have been moved in this run
    there = _at(before, app, place)
    make_backup_keys(there, app, ports)
    releases = wanted(there, app, ports)
    known = ports.journal.deployed(app)
    here = {item.instance: item.phase for item in in_use(known)}
    number = max((item.generation for item in known), default=0) + 1
    new = [Deployed(one.instance, one.id, one.version, number, _phase(one, here), now) for one in releases]
    instances = {item.instance for item in new}
    left = [replace(item, phase="retired", at=now) for item in known if item.instance not in instances]
    follow = tuple(_following(replace(run, workspace=before), there, app))
    for release in (*releases, *(one for one, _ in follow)):
        ports.journal.save_release(release, now)
    after = [replace(item, release=one.id, phase=_anew(item.phase), at=now) for one, item in follow]
    ports.journal.move(Placement(app, place, run.workspace.written(app).place, pinned, now), [*new, *left, *after])
    run, names = replace(run, workspace=there), {one.instance for one, _ in follow}
    failed = redeploy(run, expected((app,), ports), because)
    led = [item for item in expected(beside(run.workspace, app), ports) if item.release.instance in names]
    return failed | redeploy(run, led, because)


def beside(workspace: Workspace, app: str) -> tuple[str, ...]:
    """Given an app, return the apps that name addresses of it: its gateway, and what is led through it."""
    through = workspace.apps[app].route
    return tuple(
        name
        for name, other in workspace.apps.items()
        if (through and through.gateway == name) or (other.route and other.route.gateway == app)
    )


def _following(run: HealRun, there: Workspace, app: str) -> Iterator[tuple[Release, Deployed]]:
    """Yield the releases that instances beside an app are to have where it runs `there`, each with what is deployed.

    What asks for something else besides, is paused or of another run stays as it is, and is told of.
    """
    for name in beside(run.workspace, app):
        there_now = (item.deployed for item in expected((name,), run.ports) if item.deployed.phase != "removing")
        items = {item.instance: item for item in there_now}
        changed = [one for one in wanted(there, name, run.ports) if one.instance in items]
        changed = [one for one in changed if one.id != items[one.instance].release]
        if why := _held(run, name) if changed else "":
            run.ports.reporter.say(f"{name}  does not follow {app}: {why}")
        else:
            yield from ((one, items[one.instance]) for one in changed)


def _held(run: HealRun, app: str) -> str:
    """Return what keeps an app from following another; empty if nothing does."""
    if app not in run.apps or is_pending(run.workspace, app, run.ports):
        return f"tfheal deploy {app} --plan shows what it is to be"
    try:
        run.ports.leases.check(app, run.run)
        for item in expected((app,), run.ports):
            check(app, item.release.slice, run.ports)
    except Refused as refusal:
        return str(refusal)
    return ""


def _anew(phase: Phase) -> Phase:
    """Return the phase of an instance that is to have another release: what waits for its data does so still."""
    return phase if phase in AWAITING else "deploying"


def _phase(release: Release, here: Mapping[InstanceName, Phase]) -> Phase:
    if release.instance in here:
        return _anew(here[release.instance])
    return "remaking" if holds_data(release) and release.component != STORE else "deploying"


def listed(workspace: Workspace, app: str, ports: Ports) -> Placed:
    """Given an app, return where each of its components runs, and where its spec says."""
    moved = last_move(workspace, app, ports.journal)
    spec, written = workspace.apps[app], workspace.written(app)
    pinned = moved.pinned if moved else frozenset()
    components = tuple(
        ComponentPlace(component, slices, written.place[component], component in pinned)
        for component, slices in spec.place.items()
    )
    known = [item.generation for item in ports.journal.deployed(app)]
    left = tuple(item.instance for item in retired(ports) if item.instance.app == app)
    return Placed(app, components, max(known, default=0), left)


def place(
    workspace: Workspace, app: str, wishes: Mapping[str, tuple[str, ...]], ports: Ports, limits: Limits
) -> Placed:
    """Given where a person wants components of an app, move them there; raise UsageError, or Refused with the reason."""
    _check(workspace, app, wishes)
    record = ports.journal.begin_run(f"place {app}", ports.clock.now()).id
    near = [name for name in beside(workspace, app) if in_use(ports.journal.deployed(name))]
    with ExitStack() as held:
        for name in sorted((app, *near)):
            held.enter_context(ports.leases.hold(name, "place", record))
        run = HealRun(workspace, (app,), ports, limits, record)
        before = expected((app,), ports)
        after = {**workspace.apps[app].place, **wishes}
        for name in {name for names in after.values() for name in names}:
            check(app, name, ports)
        _permitted(run, app, after, before)
        written = workspace.written(app).place
        known = last_move(workspace, app, ports.journal)
        pinned = (known.pinned if known else frozenset()) | wishes.keys()
        kept = frozenset(component for component in pinned if after[component] != written[component])
        if before:
            failed = move(replace(run, apps=(app, *near)), app, after, kept, Because("place: a person moved it"))
        else:
            ports.journal.move(Placement(app, after, written, kept, ports.clock.now()), ())
            failed = {}
        fence(run)
        unpublished = settle(workspace, (app,), ports)
    if after == written:
        ports.journal.drop_placement(app)
    result = listed(effective(workspace, ports.journal), app, ports)
    result = replace(result, failed=failed, unpublished=unpublished)
    ports.journal.end_run(record, int(result.exit), ports.clock.now())
    return result


def _check(workspace: Workspace, app: str, wishes: Mapping[str, tuple[str, ...]]) -> None:
    spec, slices = workspace.apps[app], workspace.inventory.slices
    for component, names in wishes.items():
        if component not in spec.place:
            raise UsageError(f"{app} has no component {component}", hint=nearest(component, spec.place, "it has"))
        if not names or len(set(names)) < len(names):
            raise UsageError(f"{component} needs slices, each once", hint=f"{component}=SLICE,SLICE")
        for name in names:
            if name not in slices:
                raise UsageError(f"there is no slice {name}", hint=nearest(name, slices, "there are"))


def _permitted(run: HealRun, app: str, after: Place, before: tuple[Expected, ...]) -> None:
    """Raise Refused if a move would leave data behind, adopt what nobody deployed, or end on a slice that cannot take it."""
    leaving = [item for item in before if item.release.slice not in after[item.release.component]]
    for item in leaving:
        if holds_data(item.release):
            hint = "its data would stay behind; snapshots, which would move it, are not there yet"
            raise Refused("it holds data", where=str(item.release.instance), hint=hint)
    if before and is_pending(run.workspace, app, run.ports):
        raise Refused(
            "the workspace asks for something newer than what is deployed",
            where=app,
            hint=f"first: tfheal deploy {app}",
        )
    mine = {(item.release.component, item.release.slice) for item in before}
    new = {(component, name) for component, names in after.items() for name in names} - mine
    can_take(run, app, {name for _, name in new})


def can_take(run: HealRun, app: str, names: set[str], owner: str = "") -> None:
    """Given slices that are to have an app, raise Refused if one is in use, out of reach, or not its owner's (or `owner`'s)."""
    inventory = run.workspace.inventory
    others = {item.release.slice for item in everywhere(run.ports) if item.release.app != app}
    reserved = {name for spec in run.workspace.apps.values() if spec.app != app for name in spec.spares}
    seen = observed([inventory.slice(name) for name in sorted(names)], {}, run.ports, run.limits)
    spares = Spares(inventory.slices, others | reserved, seen)
    owner = owner or run.workspace.apps[app].owner
    for name in sorted(names):
        entry = inventory.slices[name].model_copy(update={"owner": owner, "size": None, "labels": {}})
        if why := unfit(entry, name, spares):
            raise Refused(f"it {why}", where=name, hint="choose another slice, or mend this one first")
