"""`backup: {copy_to: SLICE}`: after a backup, every good one that the second store lacks is copied there, store to store.

What was deleted on the first store is then deleted on the second, in the same careful way.
"""

from datetime import datetime

from tfheal.base.errors import ActionFailed, TfhealError
from tfheal.core.backup import copying as core
from tfheal.core.backup import prune, recovery, repair
from tfheal.core.backup.job import Job
from tfheal.core.backup.verify import repositories
from tfheal.flows.releases import in_use
from tfheal.flows.repository import replied, run_on_copy, run_to_copy, stored
from tfheal.model.backup import GONE, STORE
from tfheal.model.copied import Copied
from tfheal.model.findings import Finding
from tfheal.model.ports import Ports
from tfheal.model.release import InstanceName
from tfheal.model.workspace import Workspace


def copied(workspace: Workspace, app: str, ports: Ports) -> str:
    """Given an app by a run that holds its lease of backups, copy what is to be copied; return why not all is, if so."""
    spec = workspace.apps[app].backup
    if spec is None or spec.copy_to is None:
        return ""
    good = [backup for backup in stored(workspace, app, ports) if backup.state == "good"]
    last = ports.catalogue.copied(app)
    marked = last is not None and core.ON_ITS_WAY in last.detail
    failed: list[str] = []
    for name, snapshots in repositories(good).items():
        if marked and (why := _unmarked(workspace, app, name, ports)):
            failed.append(f"{name}: {core.ON_ITS_WAY}: {why}")
            continue
        try:
            listed = _copied(workspace, app, name, snapshots, ports)
            _erased(workspace, app, name, listed, ports)
        except TfhealError as error:
            failed.append(f"{name}: {error}")
    why = "; ".join(failed)
    done = Copied(app, spec.copy_to, ports.clock.now(), None, why)
    ports.catalogue.put_copied(core.after(last, done, good))
    return why


def late(workspace: Workspace, app: str, ports: Ports) -> Finding | None:
    """Given an app, return the finding that its second store is behind by more than its level allows, if it is."""
    spec = workspace.apps[app].backup
    if spec is None or spec.copy_to is None:
        return None
    name = InstanceName(app, STORE, spec.copy_to)
    since = [item.at for item in in_use(ports.journal.deployed(app)) if item.instance == name]
    if not since:
        return None
    limit = workspace.provider.levels[workspace.apps[app].service_level].rpo
    why = core.late(ports.catalogue.copied(app), spec.copy_to, limit, since[0], ports.clock.now())
    return Finding("copy-late", "warning", name.slice, why, name) if why else None


def _unmarked(workspace: Workspace, app: str, name: str, ports: Ports) -> str:
    """Take off the mark that a repair which was cut left on all that is there, or all is copied again; return why not."""
    job = Job(ports.journal.new_id(), app, ports.writer, repair.unmark_tasks())
    try:
        replied(run_on_copy(workspace, job, name, ports), repair.MARKED, f"{app} on {name}")
    except TfhealError as error:
        return str(error)
    return ""


def _copied(workspace: Workspace, app: str, name: str, snapshots: set[str], ports: Ports) -> tuple[str, str]:
    """Copy the snapshots of a slice, and return what both stores then list, the first one's first."""
    job = Job(ports.journal.new_id(), app, ports.writer, core.tasks(snapshots))
    replies = run_to_copy(workspace, job, name, ports)
    there, here = replied(replies, core.ARRIVED, f"{app} on {name}").out, replies[core.HERE].out
    if lacking := snapshots - set(core.copies(snapshots, here, there).values()):
        raise ActionFailed(f"{len(lacking)} snapshots did not arrive", where=f"{app} on {name}")
    return here, there


def _erased(workspace: Workspace, app: str, name: str, listed: tuple[str, str], ports: Ports) -> None:
    """Delete the copies of what is deleted on the first store, if there are any, and changes that nothing is replayed from."""
    spec, every = workspace.apps[app].backup, stored(workspace, app, ports)
    gone = [backup for backup in every if backup.state in GONE]
    going = core.copies(prune.own(gone, every), *listed)
    if not going or spec is None:
        return
    staying = [backup for backup in every if backup not in gone]
    stays = core.copies({snapshot for each in staying for snapshot in each.snapshots}, *listed)
    since = prune.changes_since(staying, spec.keep, name, ports.clock.now())
    older = _older(workspace, app, name, since, ports) if since else set()
    concerned = [backup for backup in gone if set(backup.snapshots) & set(going.values())]
    words = prune.entry(ports.writer, app, concerned)
    job = Job(ports.journal.new_id(), app, ports.writer, prune.tasks({*going, *older}, set(stays), words))
    replied(run_on_copy(workspace, job, name, ports), prune.SOUND, f"{app} on {name}")


def _older(workspace: Workspace, app: str, name: str, since: datetime, ports: Ports) -> set[str]:
    """Return the snapshots of changes in the copy that are older than the oldest base that stays."""
    job = Job(ports.journal.new_id(), app, ports.writer, recovery.older_tasks(recovery.first_kept(since)))
    where = f"{app} on {name}"
    return recovery.older(replied(run_on_copy(workspace, job, name, ports), recovery.OLDER, where).out)
