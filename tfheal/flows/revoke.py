"""`tfheal backup revoke-provider`: the owner is told how we lose the backups; then it is proven, and our secrets go."""

from tfheal.base.errors import ActionFailed, Refused, UsageError
from tfheal.core.backup import capture, revoke
from tfheal.core.backup.job import Job
from tfheal.core.backup.sheet import Chest, Facts
from tfheal.core.stores import key_name, password_name, repository, sources
from tfheal.flows.repository import lease_of, run_on_store
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
    if len(workspace.apps[app].place[STORE]) > 1:
        second = workspace.apps[app].place[STORE][1]
        hint = f"take copy_to out of the spec, deploy, and have the owner delete what is on {second}"
        raise Refused(f"there are copies on {second}, which open by our passwords too", where=app, hint=hint)
    names = [name for name in workspace.inventory.slices if ports.vault.latest(app, password_name(name))]
    if not names:
        raise Refused("we hold no password of it", where=app, why="it was revoked before, or never deployed")
    record = ports.journal.begin_run(f"backup revoke-provider {app}", ports.clock.now()).id
    with ports.leases.hold(lease_of(app), "backup revoke-provider", record):
        tried = {name: ports.vault.latest(app, password_name(name)) for name in names}
        opening = tuple(name for name, versions in tried.items() if _opens(workspace, app, name, versions, ports))
        if not opening:
            _forget(app, names, ports)
    made = Revoked(app, tried, opening, _guide(workspace, app, opening, ports) if opening else "")
    ports.journal.end_run(record, int(made.exit), ports.clock.now())
    return made


def _forget(app: str, names: list[str], ports: Ports) -> None:
    ports.vault.drop(app, [kind(name) for name in names for kind in (password_name, key_name)])


def _opens(workspace: Workspace, app: str, name: str, versions: int, ports: Ports) -> bool:
    """Return whether any version of our password opens the repository of a slice; raise if that cannot be told."""
    found = [_status(workspace, app, name, version, ports) for version in range(1, versions + 1)]
    current = sources(workspace.apps[app], workspace.folder(app).playbook)
    if capture.NO_REPOSITORY in found and name in current:
        what, why = "the repository is not in its place", "so that it does not open proves nothing"
        raise Refused(what, where=f"{app} on {name}", why=why)
    return 0 in found


def _status(workspace: Workspace, app: str, name: str, version: int, ports: Ports) -> int | None:
    """Return restic's exit status for one of our passwords: 0, 12, or 10 for no repository; raise for any other."""
    job = Job(ports.journal.new_id(), app, ports.writer, revoke.tries(), longest=_LONGEST)
    replies = run_on_store(workspace, job, name, ports, version=version)
    if replies["reach"].status == 1:
        return capture.NO_REPOSITORY
    reply = replies[revoke.TRY]
    if reply.status not in {0, capture.NO_REPOSITORY, revoke.WRONG_PASSWORD}:
        raise ActionFailed("it cannot be told whether we get in", where=name, why=capture.why_failed(reply))
    return reply.status


def _guide(workspace: Workspace, app: str, names: tuple[str, ...], ports: Ports) -> str:
    spec = workspace.apps[app]
    store = workspace.inventory.slice(spec.place[STORE][0])
    chests = tuple(Chest(name, repository(app, name), "", ()) for name in names)
    pins = ports.keys.pinned(store.name)
    facts = Facts(app, spec.owner, ports.writer, ports.clock.now(), store, pins, chests)
    return revoke.guide(facts, ports.catalogue.backups(app))
