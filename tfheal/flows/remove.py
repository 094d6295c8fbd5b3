"""`tfheal remove`: the intention first, then each instance in the reverse order of needs; begun is finished, never undone."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from tfheal.base.errors import Refused, TfhealError
from tfheal.base.exits import winning
from tfheal.core.order import stages
from tfheal.core.remove import removal
from tfheal.core.resources import steps
from tfheal.core.resources.directory import data_paths
from tfheal.core.select import selected
from tfheal.flows.act import Done, Work, act, act_everywhere
from tfheal.flows.at_rest import await_backups
from tfheal.flows.fleet import Limits
from tfheal.flows.names import settle
from tfheal.flows.pauses import check
from tfheal.flows.recover import close_incidents, close_unfinished
from tfheal.flows.releases import by_slice, everywhere, in_use, secret_values
from tfheal.flows.repository import lease_of
from tfheal.flows.versions import unfinished
from tfheal.model import paths
from tfheal.model.backup import STORE
from tfheal.model.inventory import Slice
from tfheal.model.ports import Ports
from tfheal.model.record import Expected
from tfheal.model.release import InstanceName
from tfheal.model.resources import resource_id
from tfheal.model.results import Removal, Removed
from tfheal.model.workspace import Workspace


@dataclass(frozen=True, slots=True)
class RemoveOptions:
    """What goes besides what tfheal made: packages, the owner's data, and the repositories of its backups."""

    packages: bool = False
    data: bool = False
    backups: bool = False


@dataclass(frozen=True, slots=True)
class _Order:
    """Which run removes, what goes besides, and the incident if healing finishes what was begun."""

    run: str
    options: RemoveOptions
    incident: str | None = None
    why: str = "remove"


def remove(
    workspace: Workspace, chosen: tuple[Expected, ...], ports: Ports, limits: Limits, options: RemoveOptions
) -> tuple[Removal, ...]:
    """Given deployed instances, take them away app by app."""
    run = ports.journal.begin_run("remove", ports.clock.now()).id
    results = []
    for app in dict.fromkeys(item.release.app for item in chosen):
        ours = tuple(item for item in chosen if item.release.app == app)
        try:
            await_backups(app, ports)
            with _alone(workspace, app, ports, run):
                for item in ours:
                    check(app, item.release.slice, ports)
                close_unfinished(app, ports)
                begun = [replace(item.deployed, phase="removing", at=ports.clock.now()) for item in ours]
                ports.journal.set_deployed(*begun)  # all of it first: of a killed removal nothing is forgotten
                removed = _removed(workspace, ours, ports, limits, _Order(run, options))
                results.append(Removal(app, removed, unpublished=settle(workspace, (app,), ports)))
                if not in_use(ports.journal.deployed(app)):
                    ports.journal.drop_placement(app)
                    _forget_upgrade(app, ours, options, ports)
        except Refused as refusal:
            results.append(Removal(app, refused=str(refusal)))
    ports.journal.end_run(run, int(winning(result.exit for result in results)), ports.clock.now())
    return tuple(results)


def _forget_upgrade(app: str, ours: tuple[Expected, ...], options: RemoveOptions, ports: Ports) -> None:
    """End the upgrade of an app that did not come to its end, unless data stays which it may have changed."""
    stays = not options.data and any(data_paths(one.release) or one.release.dumps for one in ours)
    if not stays and (begun := unfinished(app, ports)):
        ports.upgrades.put(replace(begun, state="unchanged", detail="the app was removed"))


@contextmanager
def _alone(workspace: Workspace, app: str, ports: Ports, run: str) -> Iterator[None]:
    """Hold an app, and its backups where its spec wants any, while the context lasts."""
    spec = workspace.apps.get(app)
    with ExitStack() as held:
        if spec and spec.backup:
            held.enter_context(ports.leases.hold(lease_of(app), "remove", run))
        held.enter_context(ports.leases.hold(app, "remove", run))
        yield


def chosen(workspace: Workspace, selectors: tuple[str, ...], ports: Ports) -> tuple[Expected, ...]:
    """Given selectors, names of instances, or apps that have no spec any more, return what is deployed of them.

    Raise UsageError for a word that is none of these.
    """
    have = everywhere(ports)
    found: list[Expected] = []
    for word in selectors:
        mine = [item for item in have if word in {item.release.app, str(item.release.instance)}]
        if not mine:
            apps = selected(workspace, (word,))
            mine = [item for item in have if item.release.app in apps]
        found += [item for item in mine if item not in found]
    return tuple(found)


def finish_removal(
    item: Expected, target: Slice, ports: Ports, run: str, incident: str | None, why: str = "remove"
) -> Done:
    """Given an instance that is to be gone, its incident if any, and why, take it away; data and packages stay."""
    return _remove_one(item, target, ports, _Order(run, RemoveOptions(), incident, why))


def _removed(
    workspace: Workspace, ours: tuple[Expected, ...], ports: Ports, limits: Limits, order: _Order
) -> tuple[Removed, ...]:
    needs = {item.release.component: item.release.needs for item in ours}
    results: list[Removed] = []
    for components in reversed(stages(needs)):
        due = [item for item in ours if item.release.component in components]
        left = {result.outcome for result in results} - {"done"}
        if left:
            outcome = "unknown" if left == {"unknown"} else "skipped"
            ports.journal.set_deployed(*(item.deployed for item in due))
            results += [Removed(item.release.instance, outcome, "what needs it is still there", 0.0) for item in due]
        else:
            results += _stage_removed(workspace, due, ports, limits, order)
    return tuple(results)


def _stage_removed(
    workspace: Workspace, due: list[Expected], ports: Ports, limits: Limits, order: _Order
) -> list[Removed]:
    items = {item.release.instance: item for item in due if item.release.slice in workspace.inventory.slices}
    slices = by_slice(item.release for item in items.values())
    targets = [workspace.inventory.slice(name) for name in slices]

    def remove_here(target: Slice) -> dict[InstanceName, Done]:
        return {
            release.instance: _remove_one(items[release.instance], target, ports, order)
            for release in slices[target.name]
        }

    results = [_dropped(item, ports) for item in due if item.release.instance not in items]
    for name, dones in act_everywhere(targets, remove_here, limits).items():
        for release in slices[name]:
            done = dones if isinstance(dones, TfhealError) else dones[release.instance]
            results.append(_result(items[release.instance], done, order.options))
    return results


def _dropped(item: Expected, ports: Ports) -> Removed:
    """Forget an instance whose slice nobody can reach any more, because it was taken out of the inventory."""
    ports.journal.drop_deployed(item.release.instance)
    close_incidents(item.release.instance, ports)
    return Removed(item.release.instance, "done", "its slice is not in the inventory: the record of it is dropped", 0.0)


def _remove_one(item: Expected, target: Slice, ports: Ports, order: _Order) -> Done:
    release, options = item.release, order.options
    ports.journal.set_deployed(replace(item.deployed, phase="removing", at=ports.clock.now()))
    secrets = secret_values(release, ports)
    others = [other for other in everywhere(ports) if other.release.instance != release.instance]
    claimed = {
        resource_id(resource)
        for other in others
        if other.release.slice == release.slice
        for resource in other.release.resources
    }
    data = options.backups if release.component == STORE else options.data
    gone = removal(release, steps(release, secrets), claimed, data=data, packages=options.packages)
    work = Work("remove", release, gone, secrets, order.why, order.run, item.deployed.generation, order.incident)
    done = act(work, target, ports)
    if done.outcome == "done":
        ports.journal.drop_deployed(release.instance)
        close_incidents(release.instance, ports)
        if options.backups and release.component == STORE:
            _erased(release.app, ports)
    elif done.outcome == "refused":
        ports.journal.set_deployed(item.deployed)
    return done


def _erased(app: str, ports: Ports) -> None:
    """Note that what the backups of an app held is gone, so that nobody looks for it."""
    for backup in ports.catalogue.backups(app):
        if backup.snapshots and backup.state != "erased":
            ports.catalogue.put(replace(backup, state="erased", detail="its repository was removed"))


def _result(item: Expected, done: Done | TfhealError, options: RemoveOptions) -> Removed:
    release = item.release
    if isinstance(done, TfhealError):
        return Removed(release.instance, "refused" if isinstance(done, Refused) else "failed", str(done), 0.0)
    stays = not (options.backups if release.component == STORE else options.data)
    kept = (paths.data(release.app, STORE),) if release.component == STORE else sorted(data_paths(release))
    return Removed(release.instance, done.outcome, done.detail, done.seconds, tuple(kept) if stays else ())
