"""`tfheal backup revoke-provider`: the owner is told how we lose the backups; then it is proven, and our secrets go."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from tfheal.base.errors import ActionFailed, Refused, UsageError
from tfheal.core.backup import capture, revoke
from tfheal.core.backup.job import Job
from tfheal.core.backup.sheet import Chest, Facts
from tfheal.core.stores import copy_key_name, held, key_name, password_name, repository, sources
from tfheal.flows.repository import lease_of, run_on_copy, run_on_store
from tfheal.model.backup import STORE
from tfheal.model.ownership import Revoked
from tfheal.model.ports import Ports
from tfheal.model.workspace import Workspace

_LONGEST = 60.0  # seconds of one try


def revoke_provider(workspace: Workspace, app: str, ports: Ports) -> Revoked:
    """Given an app, try every password that we ever held: if one opens a repository, return the guide, else delete them.

    Raise Refused where a repository is not in its place: that proves nothing.
    """
    if app not in workspace.apps or workspace.apps[app].backup is None:
        raise UsageError(f"{app} has no backups", hint="tfheal backup list shows which apps have")
    if STORE not in workspace.apps[app].place:
        why = "no way to it is ours alone: where its owner takes back what was given to us, we get in no more"
        hint = "the owner copies all of it with `restic copy` into a new repository, by a password of the owner's"
        raise Refused("its store is no slice", where=app, why=why, hint=hint)
    ours = _held(workspace, app, ports)
    if not ours:
        raise Refused("we hold no password of it", where=app, why="it was revoked before, or never deployed")
    record = ports.journal.begin_run(f"backup revoke-provider {app}", ports.clock.now()).id
    with ports.leases.hold(lease_of(app), "backup revoke-provider", record):
        opening = tuple(one for one in ours if _opens(workspace, app, one, ports))
        if not opening:
            _forget(app, {one.slice for one in ours}, ports)
    guide = _guide(workspace, app, opening, ports) if opening else ""
    made = Revoked(app, {str(one): one.versions for one in ours}, tuple(map(str, opening)), guide)
    ports.journal.end_run(record, int(made.exit), ports.clock.now())
    return made


@dataclass(frozen=True, slots=True)
class _Held:
    """A repository to which we hold so many versions of a password: that of a slice, or the `copy` of it on a store."""

    slice: str
    versions: int
    copy: str = ""

    def __str__(self) -> str:
        return f"{self.slice}@{self.copy}" if self.copy else self.slice


def _held(workspace: Workspace, app: str, ports: Ports) -> tuple[_Held, ...]:
    """Return the repositories of an app to which we hold a password, those of slices that it left too, and their copies."""
    spec = workspace.apps[app].backup
    second = (spec.copy_to if spec else None) or ""
    counts = {name: ports.vault.latest(app, password_name(name)) for name in held(ports.vault.names(app))}
    found = [_Held(name, count) for name, count in counts.items() if count]
    copies = [replace(one, copy=second) for one in found if ports.vault.latest(app, copy_key_name(one.slice))]
    return (*found, *(copies if second else ()))


def _forget(app: str, names: Collection[str], ports: Ports) -> None:
    ports.vault.drop(app, [kind(name) for name in names for kind in (password_name, key_name, copy_key_name)])


def _opens(workspace: Workspace, app: str, ours: _Held, ports: Ports) -> bool:
    """Return whether any version of our password opens a repository; raise if that cannot be told."""
    found = [_status(workspace, app, ours, version, ports) for version in range(1, ours.versions + 1)]
    current = sources(workspace.apps[app], workspace.folder(app).playbook)
    if capture.NO_REPOSITORY in found and ours.slice in current:
        why = "so that it does not open proves nothing"
        hint = f"if its owner deleted it: take copy_to out of apps/{app}.yaml, and deploy" if ours.copy else ""
        raise Refused("the repository is not in its place", where=f"{app} on {ours}", why=why, hint=hint)
    return 0 in found


def _status(workspace: Workspace, app: str, ours: _Held, version: int, ports: Ports) -> int | None:
    """Return restic's exit status for one of our passwords: 0, 12, or 10 for no repository; raise for any other."""
    job = Job(ports.journal.new_id(), app, ports.writer, revoke.tries(), longest=_LONGEST)
    replies = (run_on_copy if ours.copy else run_on_store)(workspace, job, ours.slice, ports, version=version)
    if replies["reach"].status == 1:
        return capture.NO_REPOSITORY
    reply = replies[revoke.TRY]
    if reply.status not in {0, capture.NO_REPOSITORY, revoke.WRONG_PASSWORD}:
        raise ActionFailed("it cannot be told whether we get in", where=str(ours), why=capture.why_failed(reply))
    return reply.status


def _guide(workspace: Workspace, app: str, opening: tuple[_Held, ...], ports: Ports) -> str:
    """Return what the owner does about the repositories that open yet, on one store after the other."""
    spec, stores = workspace.apps[app], []
    for copy in dict.fromkeys(one.copy for one in opening):
        store = workspace.inventory.slice(copy or spec.place[STORE][0])
        chests = tuple(Chest(one.slice, repository(app, one.slice), "", ()) for one in opening if one.copy == copy)
        pins = ports.keys.pinned(store.name)
        stores.append(Facts(app, spec.owner, ports.writer, ports.clock.now(), store, pins, chests, copies=bool(copy)))
    return revoke.guide(stores, ports.catalogue.backups(app))
