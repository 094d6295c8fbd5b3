"""`tfheal backup verify`: what is stored is read on the store; damage is told to a human once, and nothing is removed."""

from collections.abc import Iterator
from dataclasses import replace

from tfheal.base.errors import Refused, TfhealError
from tfheal.base.exits import Exit, winning
from tfheal.core.backup import verify as core
from tfheal.core.backup.job import Job
from tfheal.core.stores import keeper
from tfheal.flows.calls import call
from tfheal.flows.repository import lease_of, replied, run_on_copy, run_on_store, stored
from tfheal.model.backup import STORE
from tfheal.model.findings import Finding
from tfheal.model.ports import Ports
from tfheal.model.release import InstanceName
from tfheal.model.verification import WHOLE, Proof, Verification, Verified
from tfheal.model.workspace import Workspace


def verify(
    workspace: Workspace, apps: tuple[str, ...], ports: Ports, *, full: bool = False, only_due: bool = False
) -> tuple[Verified, ...]:
    """Given apps that want backups, read the structure and a share of the payload (`full`: all) of their repositories."""
    record = ports.journal.begin_run("backup verify " + " ".join(apps), ports.clock.now()).id
    results: list[Verified] = []
    for app in apps:
        try:
            with ports.leases.hold(lease_of(app), "backup verify", record):
                results += _of_app(workspace, app, ports, full=full, only_due=only_due)
        except Refused as refusal:
            results.append(Verified(app, "", refused=str(refusal), exit=Exit.REFUSED))
    ports.journal.end_run(record, int(winning(result.exit for result in results)), ports.clock.now())
    return tuple(results)


def due(workspace: Workspace, ports: Ports) -> tuple[str, ...]:
    """Return the apps with a repository that is to be read now."""
    return tuple(app for app, spec in workspace.apps.items() if spec.backup and _due_slices(workspace, app, ports))


def proof_of(workspace: Workspace, app: str, ports: Ports) -> Proof | None:
    """Given an app, return how long ago all that it has stored was read, None if nothing is stored."""
    spec = workspace.apps[app]
    slices = _repositories(workspace, app, ports)
    if spec.backup is None or not slices:
        return None
    limit = workspace.provider.levels[spec.service_level].verified
    return core.proof(ports.catalogue.verifications(app), slices, limit, ports.clock.now())


def findings(workspace: Workspace, app: str, ports: Ports) -> Iterator[Finding]:
    """Given an app, yield what is wrong with what it has stored: damage, what nobody read for too long, and strangers."""
    spec, found = workspace.apps[app].backup, proof_of(workspace, app, ports)
    if spec is None or found is None:
        return
    name, past = keeper(workspace, app), ports.catalogue.verifications(app)
    for one in damaged(workspace, app, ports):
        where = InstanceName(app, STORE, _store(one.slice)) if _store(one.slice) else name
        yield Finding("backup-damaged", "critical", where.slice, core.told(one), where)
    first = min(one.started for one in stored(workspace, app, ports) if one.holds_data)
    if why := core.late(found, first, ports.clock.now()):
        yield Finding("backup-unverified", "warning", name.slice, why, name)
    for one in {one.slice: one for one in past}.values():
        if one.unknown:
            detail = f"{one.unknown} snapshots of {one.slice} are not in our catalogue: none of ours, or cut before it was told"
            yield Finding("backup-unknown", "warning", name.slice, detail, name)


def damaged(workspace: Workspace, app: str, ports: Ports) -> tuple[Verification, ...]:
    """Given an app, return the last word on what is stored and damaged, in the repositories that it has now."""
    names = _repositories(workspace, app, ports)
    return core.damaged([one for one in ports.catalogue.verifications(app) if one.slice in names])


def _repositories(workspace: Workspace, app: str, ports: Ports) -> dict[str, set[str]]:
    """Return the snapshots that must be in each repository of an app, by slice; a copy, SLICE@STORE, is demanded nothing of."""
    spec, copied = workspace.apps[app].backup, ports.catalogue.copied(app)
    found = core.repositories(stored(workspace, app, ports))
    if spec and spec.copy_to and copied and copied.store == spec.copy_to and copied.reached:
        found |= {f"{name}@{spec.copy_to}": set() for name in found}
    return found


def _store(name: str) -> str:
    """Return the second store of which a repository is, nothing if it is on the first."""
    return name.partition("@")[2]


def _due_slices(workspace: Workspace, app: str, ports: Ports) -> tuple[str, ...]:
    limit = workspace.provider.levels[workspace.apps[app].service_level].verified
    past, now = ports.catalogue.verifications(app), ports.clock.now()
    slices = _repositories(workspace, app, ports)
    return tuple(name for name in slices if core.is_due(past, name, limit, now))


def _of_app(workspace: Workspace, app: str, ports: Ports, *, full: bool, only_due: bool) -> Iterator[Verified]:
    backups = stored(workspace, app, ports)
    slices = tuple(_repositories(workspace, app, ports))
    if not slices:
        raise Refused("nothing was backed up yet", where=app, hint=f"first: tfheal backup run {app}")
    if any(one.state == "running" for one in backups):
        raise Refused("a backup is under way", where=app, hint=f"tfheal backup run {app} reads how it ended")
    if (last := ports.catalogue.last_pruning(app)) and last.state == "running":
        raise Refused("a prune did not come to its end", where=app, hint=f"tfheal backup prune {app} finishes it")
    for name in _due_slices(workspace, app, ports) if only_due else slices:
        try:
            done = _of_repository(workspace, app, name, ports, full=full)
            yield Verified(app, name, done, exit=Exit.OK if done.sound else Exit.HUMAN)
        except TfhealError as error:
            yield Verified(app, name, refused=str(error), exit=error.exit)


def _of_repository(workspace: Workspace, app: str, name: str, ports: Ports, *, full: bool) -> Verification:
    past, backups = ports.catalogue.verifications(app), stored(workspace, app, ports)
    share = WHOLE if full else core.next_share(past, name)
    job = Job(ports.journal.new_id(), app, ports.writer, core.tasks(share, copy=bool(_store(name))))
    begun = Verification(app, name, ports.clock.now(), share, sound=False)
    reads = run_on_copy if _store(name) else run_on_store
    replies = dict(reads(workspace, job, name.partition("@")[0], ports))
    opened = {task: replies[task] for task in ("reach", "open")}
    replied(opened, "open", f"{app} on {name}")
    must = _repositories(workspace, app, ports)[name]
    return told(core.judged(begun, replies, must, core.known(backups)), ports)


def told(done: Verification, ports: Ports) -> Verification:
    """Given what reading a repository came to, keep it, call a human once for damage that stands, and return it."""
    if not done.sound:
        done = replace(done, paged=_paged(done, ports.catalogue.verifications(done.app), ports))
    ports.catalogue.verified(done)
    return done


def _paged(done: Verification, past: list[Verification], ports: Ports) -> bool:
    """Call a human once for damage that stands; return whether one knows of it."""
    if any(one.paged and one.slice == done.slice for one in core.damaged(past)):
        return True
    why = "what is stored is damaged; nothing was removed"
    return call(done.app, _store(done.slice) or done.slice, "backup-damaged", core.told(done), why, ports)
