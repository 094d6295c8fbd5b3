"""`tfheal backup verify --repair`: what is damaged in a repository is brought again by its copy and by a new full backup.

What was readable stays, no snapshot is removed, and it counts as whole only when all of it was read again. What neither the
copy nor the live data has is lost: then the backups that it touches are named, as before.
"""

from tfheal.base.errors import ActionFailed, Refused, TfhealError
from tfheal.base.exits import winning
from tfheal.core.backup import capture, copying
from tfheal.core.backup import repair as core
from tfheal.core.backup.job import Job, Task
from tfheal.core.backup.prune import SHUT
from tfheal.flows.backup import backup
from tfheal.flows.fleet import Limits
from tfheal.flows.repository import lease_of, replied, run_on_copy, run_on_store, run_to_copy
from tfheal.flows.verify import damaged, verify
from tfheal.model.backup import STORE
from tfheal.model.copied import Copied
from tfheal.model.ports import Ports
from tfheal.model.verification import Verified
from tfheal.model.workspace import Workspace


def repair(workspace: Workspace, apps: tuple[str, ...], ports: Ports, limits: Limits) -> tuple[Verified, ...]:
    """Given apps, read all that they have stored, mend what is damaged, and return what reading it again came to."""
    read = verify(workspace, apps, ports, full=True)
    names = [app for app in apps if _hurt(workspace, app, ports)]
    record = ports.journal.begin_run("backup verify --repair " + " ".join(names), ports.clock.now()).id
    results = [one for one in read if one.app not in names]
    for app in names:
        try:
            results += _repaired(workspace, app, record, ports, limits)
        except TfhealError as error:
            results.append(Verified(app, "", refused=str(error), exit=error.exit))
    ports.journal.end_run(record, int(winning(result.exit for result in results)), ports.clock.now())
    return tuple(results)


def _hurt(workspace: Workspace, app: str, ports: Ports) -> tuple[str, ...]:
    """Return the slices whose repository on the first store is damaged."""
    return tuple(dict.fromkeys(one.slice for one in damaged(workspace, app, ports) if "@" not in one.slice))


def _repaired(workspace: Workspace, app: str, record: str, ports: Ports, limits: Limits) -> tuple[Verified, ...]:
    if STORE not in workspace.apps[app].place:
        raise Refused("its store is no slice", where=app, hint="its owner repairs it there: restic repair packs")
    names = _hurt(workspace, app, ports)
    with ports.leases.hold(lease_of(app), "backup verify --repair", record):
        for name in names:
            ports.reporter.say(f"{app}: taking out what is damaged of {name}; it stays beside the repository")
            job = _job(app, core.salvage_tasks(), ports)
            replies = run_on_store(workspace, job, name, ports)
            if first := next((one for one in ("reach", SHUT, "open", core.SALVAGED) if replies[one].status != 0), None):
                why = capture.why_failed(replies[first])
                raise ActionFailed("what is damaged cannot be taken out", where=f"{app} on {name}", why=why)
            _from_copy(workspace, app, name, ports)
    made = backup(workspace, (app,), ports, limits, full=True)
    ports.reporter.say(
        f"{app}: a new backup of all that is live is {made[0].backup.state if made[0].backup else 'refused'}"
    )
    read = verify(workspace, (app,), ports, full=True)
    with ports.leases.hold(lease_of(app), "backup verify --repair", record):
        for name in names:
            if any(one.slice == name and one.verification and one.verification.sound for one in read):
                replied(run_on_store(workspace, _job(app, core.clear_tasks(), ports), name, ports), core.CLEARED, name)
    return read


def _from_copy(workspace: Workspace, app: str, name: str, ports: Ports) -> None:
    """Bring what is missing from the second store, if there is one; without it what is live has to do."""
    spec = workspace.apps[app].backup
    if spec is None or spec.copy_to is None:
        return
    last = ports.catalogue.copied(app)
    marked = Copied(app, spec.copy_to, ports.clock.now(), None, copying.ON_ITS_WAY)
    ports.catalogue.put_copied(copying.after(last, marked, ()))  # the next copy takes the mark off where we cannot
    try:
        replied(run_on_copy(workspace, _job(app, core.mark_tasks(), ports), name, ports), core.MARKED, name)
        try:
            replied(run_to_copy(workspace, _job(app, core.fetch_tasks(), ports), name, ports), core.FETCHED, name)
        finally:
            replied(run_on_copy(workspace, _job(app, core.unmark_tasks(), ports), name, ports), core.MARKED, name)
            if last:
                ports.catalogue.put_copied(last)
    except TfhealError as error:
        ports.reporter.say(f"{app}: not all came from {spec.copy_to}: {error}")


def _job(app: str, tasks: tuple[Task, ...], ports: Ports) -> Job:
    return Job(ports.journal.new_id(), app, ports.writer, tasks)
