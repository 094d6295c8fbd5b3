"""`tfheal backup prune` and `forget`: what no rule keeps, and what the owner wants erased, is deleted on the store.

What is to go is written down before, so that a run that was killed is finished by the next one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from tfheal.base.errors import ActionFailed, Refused, TfhealError, UsageError
from tfheal.base.exits import Exit, winning
from tfheal.core.backup import capture, recovery
from tfheal.core.backup import prune as core
from tfheal.core.backup import verify as reading
from tfheal.core.backup.job import Job, TaskReply
from tfheal.core.windows import waits
from tfheal.flows import ledger
from tfheal.flows.backup import one
from tfheal.flows.repository import lease_of, replied, run_on_store, stored
from tfheal.flows.verify import damaged, told
from tfheal.model.backup import Backup
from tfheal.model.ports import Ports
from tfheal.model.pruning import Pruned, PruneState, Pruning
from tfheal.model.verification import WHOLE, Verification
from tfheal.model.window import Waiting
from tfheal.model.workspace import Workspace

_LONGEST: Final = 3_600.0  # seconds
_WORST: Final[tuple[PruneState, ...]] = ("running", "damaged", "failed")


@dataclass(frozen=True, slots=True)
class _Repository:
    """What one run did to the repository of a slice: which of the snapshots that were to go are left; None: nobody knows."""

    left: set[str] | None
    freed: int = 0
    pruned: bool = False
    state: PruneState = "done"
    error: str = ""
    exit: Exit = Exit.OK


@dataclass(frozen=True, slots=True)
class _Run:
    """One run under way: what it deletes, and what an earlier one that was cut may have deleted."""

    workspace: Workspace
    ports: Ports
    pruning: Pruning
    going: tuple[Backup, ...]
    doubtful: tuple[Backup, ...]
    must: Mapping[str, set[str]] = field(default_factory=dict)

    @property
    def all(self) -> tuple[Backup, ...]:
        """Return each backup that may be gone at the end."""
        return (*self.going, *(one for one in self.doubtful if one not in self.going))


def planned(workspace: Workspace, apps: tuple[str, ...], ports: Ports) -> tuple[Pruned, ...]:
    """Given apps that want backups, return which of them a prune would delete now."""
    found = [(app, _going(workspace, app, ports)) for app in apps]
    return tuple(Pruned(app, going, exit=Exit.FINDINGS if going else Exit.OK) for app, going in found)


def prune(workspace: Workspace, apps: tuple[str, ...], ports: Ports) -> tuple[Pruned, ...]:
    """Given apps that want backups, delete what may go, where all that is stored is read and sound."""
    record = ports.journal.begin_run("backup prune " + " ".join(apps), ports.clock.now()).id
    results = []
    for app in apps:
        try:
            with ports.leases.hold(lease_of(app), "backup prune", record):
                results.append(_pruned(workspace, app, ports))
        except TfhealError as error:
            results.append(Pruned(app, refused=str(error), exit=error.exit))
    ports.journal.end_run(record, code(results), ports.clock.now())
    return tuple(results)


def code(results: Iterable[Pruned]) -> int:
    """Return the exit code of them all."""
    return int(winning(result.exit for result in results))


def due(workspace: Workspace, ports: Ports) -> tuple[str, ...]:
    """Return the apps of which backups are to be deleted now; none where what is stored is known to be damaged."""
    found = (app for app, spec in workspace.apps.items() if spec.backup and _is_due(workspace, app, ports))
    return tuple(app for app in found if _waits(workspace, app, ports) is None)


def waiting(workspace: Workspace, ports: Ports) -> tuple[Waiting, ...]:
    """Return the prunes that are due and wait for a window, for half their period at most."""
    found = (app for app, spec in workspace.apps.items() if spec.backup and _is_due(workspace, app, ports))
    return tuple(Waiting(app, "prune", until) for app in found if (until := _waits(workspace, app, ports)))


def forget(workspace: Workspace, backup_id: str, why: str, ports: Ports) -> Backup:
    """Given a backup and why its owner wants it erased, never use it again; the next prune erases it.

    Raise Refused for one that is held, or has nothing in it.
    """
    found = one(backup_id, ports)
    if not why.strip():
        raise UsageError("it has to be said why", hint="--why TEXT; it goes into the owner's journal too")
    _not_held(found)
    if not found.holds_data:
        raise Refused("there is nothing in it to forget", where=found.id, why=f"it is {found.state}")
    _allowed(workspace, found.app)
    record = ports.journal.begin_run(f"backup forget {found.id}: {why}", ports.clock.now()).id
    with ports.leases.hold(lease_of(found.app), "backup forget", record):
        ledger.learn(workspace, found.app, ports)
        _not_held(one(found.id, ports))
        found = replace(one(found.id, ports), state="forgotten", detail=f"the owner asked: {' '.join(why.split())}")
        ports.catalogue.put(found)
        ledger.keep(workspace, found.app, ports)
    ports.journal.end_run(record, 0, ports.clock.now())
    return found


def _not_held(found: Backup) -> None:
    if found.held:
        raise Refused("it is held", where=found.id, hint=f"first: tfheal backup hold {found.id} --release")


def _allowed(workspace: Workspace, app: str) -> None:
    """Raise Refused where the store is no slice, and its owner gave no right to delete."""
    spec = workspace.apps[app].backup
    if spec is None or not spec.may_delete:
        hint = (
            "its owner deletes there, by restic's `forget --prune`, or lets us by `delete: true` in the app's `backup`"
        )
        raise Refused("nothing is deleted where the store is no slice", where=app, hint=hint)


def _going(workspace: Workspace, app: str, ports: Ports) -> tuple[Backup, ...]:
    spec = workspace.apps[app].backup
    if spec is None or not spec.may_delete:
        return ()
    return core.going(stored(workspace, app, ports), spec.keep, spec.grace, ports.clock.now())


def _is_due(workspace: Workspace, app: str, ports: Ports) -> bool:
    spec, last = workspace.apps[app].backup, ports.catalogue.last_pruning(app)
    if spec is None or damaged(workspace, app, ports):
        return False
    going = _going(workspace, app, ports)
    if not going and not (last and last.state == "running"):
        return False
    asked = any(one.state == "forgotten" for one in going)
    return core.is_due(last, spec.prune, ports.clock.now(), asked=asked)


def _waits(workspace: Workspace, app: str, ports: Ports) -> datetime | None:
    """Given an app of which a prune is due, return till when it waits for its window."""
    spec, now = workspace.apps[app].backup, ports.clock.now()
    if spec is None:
        return None
    last, going = ports.catalogue.last_pruning(app), _going(workspace, app, ports)
    return waits(workspace.window(app), now, core.latest(last, going, spec.prune, spec.grace, now))


def _pruned(workspace: Workspace, app: str, ports: Ports) -> Pruned:
    _allowed(workspace, app)
    ledger.learn(workspace, app, ports)  # a colleague may hold what we would delete
    backups, last = stored(workspace, app, ports), ports.catalogue.last_pruning(app)
    if any(each.state == "running" for each in backups):
        raise Refused("a backup is under way", where=app, hint=f"tfheal backup run {app} reads how it ended")
    going = _going(workspace, app, ports)
    cut = last.backups if last and last.state == "running" else ()
    doubtful = tuple(each for each in backups if each.id in cut and each.holds_data)
    if not going and not doubtful:
        return Pruned(app)
    names = tuple(dict.fromkeys((*(each.id for each in going), *cut)))
    pruning = Pruning(ports.journal.new_id(), app, ports.clock.now(), "running", names)
    must = reading.repositories([each for each in backups if each not in doubtful])
    run = _Run(workspace, ports, pruning, going, doubtful, must)
    ports.catalogue.put_pruning(pruning)
    return _ended(run, {name: _emptied(run, name) for name in _slices(run)})


def _slices(run: _Run) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for each in run.all for name in each.snapshots.values()))


def _ended(run: _Run, done: Mapping[str, _Repository]) -> Pruned:
    ports, app = run.ports, run.pruning.app
    left = {name: each.left for name, each in done.items() if each.left is not None}
    for changed in core.after(run.all, left, [name for name, each in done.items() if each.pruned]):
        ports.catalogue.put(changed)
    states = {each.state for each in done.values()}
    state: PruneState = next((each for each in _WORST if each in states), "done")
    detail = "; ".join(f"{name}: {each.error}" for name, each in done.items() if each.error)
    freed = sum(each.freed for each in done.values())
    ended = replace(run.pruning, state=state, freed=freed, detail=detail)
    ports.catalogue.put_pruning(ended)
    ledger.keep(run.workspace, app, ports)
    return Pruned(app, run.going, ended, exit=winning(each.exit for each in done.values()))


def _emptied(run: _Run, name: str) -> _Repository:
    """Delete from the repository of one slice; what is not known for sure stays in doubt until the next run."""
    gone = core.own(run.going, stored(run.workspace, run.pruning.app, run.ports), name)
    try:
        gone |= _changes(run, name)
    except TfhealError as error:
        return _Repository(None, state="failed", error=str(error), exit=error.exit)
    words = core.entry(run.ports.writer, run.pruning.app, run.going)
    cut = [each for each in run.doubtful if each not in run.going]
    asked = gone | {snapshot for each in cut for snapshot, place in each.snapshots.items() if place == name}
    spec = run.workspace.apps[run.pruning.app].backup
    tasks = core.tasks(gone, run.must.get(name, ()), words, away=bool(spec and spec.address))
    job = Job(run.pruning.id, run.pruning.app, run.ports.writer, tasks)
    try:
        replies = run_on_store(run.workspace, job, name, run.ports)
    except Refused as refusal:
        return _Repository(None, state="failed", error=str(refusal), exit=refusal.exit)
    except TfhealError as error:  # what was begun goes on there without us
        return _Repository(None, state="running", error=str(error), exit=error.exit)
    return _judged(run, name, replies, asked)


def _changes(run: _Run, name: str) -> set[str]:
    """Return the snapshots of the changes of a server on a slice that nothing can be replayed from any more."""
    app, ports, spec = run.pruning.app, run.ports, run.workspace.apps[run.pruning.app].backup
    staying = [each for each in stored(run.workspace, app, ports) if each not in run.all]
    since = core.changes_since(staying, spec.keep, name, ports.clock.now()) if spec else None
    if since is None:
        return set()
    tasks = recovery.older_tasks(recovery.first_kept(since))
    job = Job(ports.journal.new_id(), app, ports.writer, tasks, longest=_LONGEST)
    return recovery.older(replied(run_on_store(run.workspace, job, name, ports), recovery.OLDER, name).out)


def _judged(run: _Run, name: str, replies: Mapping[str, TaskReply], asked: set[str]) -> _Repository:
    left = core.remaining(replies, asked)
    try:
        if first := next((replies[task] for task in ("reach", core.SHUT, "open") if replies[task].status != 0), None):
            raise ActionFailed("the repository cannot be pruned", where=name, why=capture.why_failed(first))
        if not _read(run, name, replies).sound:
            why = "what is stored is damaged, so nothing was removed"
            return _Repository(left, state="damaged", error=why, exit=Exit.HUMAN)
        if replies[core.FORGET].status == capture.LOCKED:
            raise Refused("nothing was removed", where=name, why=capture.why_failed(replies[core.FORGET]))
        replied(replies, core.SOUND, name)
    except TfhealError as error:
        unknown: PruneState = "running" if left is None else "failed"
        return _Repository(left, state=unknown, error=str(error), exit=error.exit)
    return _Repository(left, core.freed(replies), pruned=True, state="done")


def _read(run: _Run, name: str, replies: Mapping[str, TaskReply]) -> Verification:
    """Judge what was read before anything went, and have it count as a verification."""
    app, ports = run.pruning.app, run.ports
    begun = Verification(app, name, run.pruning.at, WHOLE, sound=False)
    known = reading.known(ports.catalogue.backups(app))
    return told(reading.judged(begun, replies, run.must.get(name, ()), known), ports)
