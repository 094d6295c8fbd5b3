"""`tfheal backup`: on each slice with data of an app, one job that takes it all; then a line in the catalogue.

A backup holds a lease of its own, so healing may act meanwhile; what it acted on makes the backup `partial`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from tfheal.base.errors import ConnectionLost, Refused, TfhealError, Unreachable, UsageError
from tfheal.base.exits import winning
from tfheal.core.backup import ages, capture, listing
from tfheal.core.backup.capture import Source
from tfheal.core.backup.job import Job, TaskReply
from tfheal.core.backup.listing import Entry
from tfheal.core.backup.recovery import base_of
from tfheal.core.backup.retention import kept
from tfheal.flows.act import act_everywhere
from tfheal.flows.calls import call
from tfheal.flows.copying import copied
from tfheal.flows.fleet import Limits
from tfheal.flows.ledger import keep
from tfheal.flows.pauses import check
from tfheal.flows.releases import by_slice, expected, in_use
from tfheal.flows.repository import follow, lease_of, replied, run, stored
from tfheal.model.backup import GONE, STORE, Ages, Backup, Keep, Listed, Made, Part, State
from tfheal.model.inventory import Slice
from tfheal.model.ports import Ports
from tfheal.model.record import AWAITING
from tfheal.model.release import InstanceName
from tfheal.model.workspace import Workspace


@dataclass(frozen=True, slots=True)
class _Taking:
    """One backup under way: of what, and what there is to take on each slice."""

    workspace: Workspace
    ports: Ports
    backup: Backup
    sources: Mapping[str, tuple[Source, ...]]
    history: tuple[Backup, ...]
    full: bool = False


def with_backups(workspace: Workspace, apps: tuple[str, ...], *, named: bool) -> tuple[str, ...]:
    """Given apps, return those whose spec wants backups; raise UsageError if one was `named` that does not."""
    wanted = tuple(app for app in apps if workspace.apps[app].backup is not None)
    missing = [app for app in apps if app not in wanted]
    if missing and named:
        hint = f"write into apps/{missing[0]}.yaml: backup: {{to: SLICE}}"
        raise UsageError(f"{missing[0]} has no backups", why="its spec does not say where they go", hint=hint)
    return wanted


def backup(
    workspace: Workspace, apps: tuple[str, ...], ports: Ports, limits: Limits, *, full: bool = False
) -> tuple[Made, ...]:
    """Given apps that want backups, make one of each; what an earlier run left under way is read to its end first.

    `full` reads every file again, whatever is known of it.
    """
    record = ports.journal.begin_run("backup " + " ".join(apps), ports.clock.now()).id
    results = []
    for app in apps:
        try:
            with ports.leases.hold(lease_of(app), "backup run", record):
                _collect(workspace, app, ports, limits)
                taking = replace(_taking(workspace, app, ports), full=full)
                made = _taken(taking, limits)
                results.append(Made(app, made, uncopied=copied(workspace, app, ports)))
                keep(workspace, app, ports)
        except TfhealError as error:  # the others are not to wait for it
            results.append(Made(app, refused=str(error), failure=error.exit))
    ports.journal.end_run(record, int(winning(result.exit for result in results)), ports.clock.now())
    return tuple(results)


def listed(workspace: Workspace, apps: tuple[str, ...], ports: Ports) -> Listed:
    """Given apps, return their backups, newest first, and why each is kept; of one that was erased nothing is left."""
    found: list[Backup] = []
    reasons: dict[str, tuple[str, ...]] = {}
    for app in apps:
        of_app = [backup for backup in ports.catalogue.backups(app) if backup.state != "erased"]
        spec = workspace.apps[app].backup
        found += of_app
        reasons |= kept(of_app, spec.keep if spec else Keep())
    return Listed(tuple(sorted(found, key=lambda one: one.started, reverse=True)), reasons)


def ages_of(workspace: Workspace, app: str, ports: Ports) -> Ages | None:
    """Given an app, return how old its backups are, None if it wants none or was never deployed."""
    spec = workspace.apps[app]
    if spec.backup is None or not in_use(ports.journal.deployed(app)):
        return None
    limit = workspace.provider.levels[spec.service_level].rpo
    return ages.ages(stored(workspace, app, ports), limit, ports.clock.now())


def lateness(workspace: Workspace, app: str, ports: Ports) -> str:
    """Given an app, return what is wrong with the age of its backups, if anything is."""
    found = ages_of(workspace, app, ports)
    if found is None:
        return ""
    deployed = min(item.at for item in in_use(ports.journal.deployed(app)))
    return ages.late(found, stored(workspace, app, ports), deployed, ports.clock.now())


def due(workspace: Workspace, ports: Ports) -> tuple[str, ...]:
    """Return the apps of which a backup is to be made now: those whose store is deployed, and whose last is old enough."""
    now = ports.clock.now()
    return tuple(
        app
        for app, spec in workspace.apps.items()
        if spec.backup
        and any(spec.backup.address or item.instance.component == STORE for item in in_use(ports.journal.deployed(app)))
        and (
            ages.is_due(found := stored(workspace, app, ports), spec.backup.every, now)
            or _anew_due(workspace, app, found, ports)
        )
    )


def begins_anew(workspace: Workspace, app: str, ports: Ports) -> bool:
    """Return whether changes are stored of a server that was restored since its last base: they need one to begin with."""
    return _without_base(workspace, app, ports) is not None


def _without_base(workspace: Workspace, app: str, ports: Ports) -> datetime | None:
    """Return since when a server of an app, whose changes are stored, is without a base of what was restored; None: none is."""
    backups = stored(workspace, app, ports)
    for item in expected((app,), ports):
        if what := base_of(item.release):
            began = ages.base_began(backups, item.release.slice, what)
            for one in ports.journal.actions(app, since=began):
                if (one.verb, one.outcome, one.instance) == ("restore", "done", item.release.instance):
                    return one.started
    return None


def _anew_due(workspace: Workspace, app: str, backups: list[Backup], ports: Ports) -> bool:
    """Return whether a base is to be made now of what was restored: at once, and not at each tick while that fails."""
    since, spec = _without_base(workspace, app, ports), workspace.apps[app].backup
    if since is None or spec is None:
        return False
    tried = [one for one in backups if one.started >= since]
    return ages.may_try(tried, spec.every, ports.clock.now())


def one(backup_id: str, ports: Ports) -> Backup:
    """Given an id, or the beginning of one, return that backup; raise UsageError for none or several."""
    found = [one for one in ports.catalogue.backups() if one.id.startswith(backup_id)]
    exact = [one for one in found if one.id == backup_id] or found
    if len(exact) != 1:
        what = (
            f"there is no backup {backup_id}" if not exact else f"{backup_id} is the beginning of {len(exact)} backups"
        )
        raise UsageError(what, hint="tfheal backup list shows them")
    return exact[0]


def entries(
    workspace: Workspace, found: Backup, path: str, ports: Ports, limits: Limits
) -> dict[str, tuple[Entry, ...]]:
    """Given a backup and a folder, return what is right in that folder, by the part of the backup that has it."""
    if found.state in GONE:
        raise Refused("nothing of it can be seen any more", where=found.id, why=f"it is {found.state}: {found.detail}")
    parts = [part for part in found.parts if part.snapshot]
    result: dict[str, tuple[Entry, ...]] = {}
    for part in parts:
        job = Job(ports.journal.new_id(), found.app, ports.writer, listing.tasks(part.snapshot, path), longest=300.0)
        target = workspace.inventory.slice(part.slice)
        with ports.leases.hold(lease_of(found.app), "backup ls", job.id):
            replies = act_everywhere([target], lambda one, job=job: run(workspace, job, one, ports), limits)[part.slice]  # type: ignore[misc]
        if isinstance(replies, TfhealError):
            raise replies
        result[part.name] = tuple(listing.entries(replied(replies, listing.LIST, part.slice).out))
    return result


def _taking(workspace: Workspace, app: str, ports: Ports, begun: Backup | None = None) -> _Taking:
    """Return what a backup of an app consists of now; raise Refused where it is not deployed."""
    items = expected((app,), ports)
    spec = workspace.apps[app].backup
    store = [item.release.slice for item in items if item.release.component == STORE]
    ready = [item for item in items if item.reached and item.deployed.phase not in AWAITING]
    there = spec is not None and items and (spec.address or set(store) == set(spec.stores))
    if spec is None or not there or len(ready) != len(items):
        raise Refused("it is not deployed as its spec says", where=app, hint=f"first: tfheal deploy {app}")
    releases = by_slice(item.release for item in items if item.release.component != STORE)
    sources = {name: found for name, ours in releases.items() if (found := capture.sources(ours))}
    made = begun or Backup(ports.journal.new_id(), app, spec.to, ports.clock.now(), "running")
    # What was erased counts no more: an app that was removed with its data and began anew may well be smaller.
    history = tuple(one for one in ports.catalogue.backups(app) if one.state not in GONE)
    return _Taking(workspace, ports, made, sources, history)


def _collect(workspace: Workspace, app: str, ports: Ports, limits: Limits) -> None:
    """Read the end of what an earlier run began and could not follow; what a slice knows nothing of has failed."""
    for begun in ports.catalogue.backups(app):
        if begun.state == "running":
            ports.reporter.say(f"{app}: reading how backup {begun.id} ended")
            _taken(_taking(workspace, app, ports, begun), limits, again=True)


def _taken(taking: _Taking, limits: Limits, *, again: bool = False) -> Backup:
    ports, made = taking.ports, taking.backup
    for name in taking.sources:
        check(made.app, name, ports)
    ports.catalogue.put(made)
    targets = [taking.workspace.inventory.slice(name) for name in taking.sources]
    answers = act_everywhere(targets, lambda target: _replies(taking, target, again=again), limits)
    refused = [error for error in answers.values() if isinstance(error, Refused)]
    if refused and len(refused) == len(answers) and not again:
        ports.catalogue.put(_ended(taking, "failed", (), str(refused[0])))
        raise refused[0]
    parts = [part for name, answer in answers.items() for part in _parts(taking, name, answer)]
    for answer in answers.values():
        # What was begun goes on there without us; what we never reached has not begun, unless an earlier run began it.
        if isinstance(answer, Unreachable if again else ConnectionLost):
            return _kept(taking, replace(made, detail=f"the next run reads how it ended: {answer}"))
    state = capture.state_of(parts)
    healed = _healed_meanwhile(taking)
    return _kept(
        taking,
        _ended(taking, "partial" if healed and state in {"good", "suspect"} else state, tuple(parts), healed),
    )


def _ended(taking: _Taking, state: State, parts: tuple[Part, ...], detail: str) -> Backup:
    return replace(taking.backup, state=state, parts=parts, received=taking.ports.clock.now(), detail=detail)


def _kept(taking: _Taking, made: Backup) -> Backup:
    taking.ports.catalogue.put(made)
    before = [one for one in taking.history if one.received and one.id != made.id]
    if made.state == "suspect" and not (before and before[-1].state == "suspect"):
        detail = "; ".join(f"{part.name}: {part.detail}" for part in made.parts if part.state == "suspect")
        why = (
            f"tfheal backup accept {made.id} calls it the new normal, as two more like it do; all earlier ones are kept"
        )
        call(made.app, made.store, "backup-suspect", detail, why, taking.ports)
    return made


def _job(taking: _Taking, name: str) -> Job:
    spec = taking.workspace.apps[taking.backup.app].backup
    limit = spec.upload_limit if spec else None
    tags = {"app": taking.backup.app, "backup": taking.backup.id}
    tasks = capture.tasks(taking.sources[name], name, tags, limit, full=taking.full)
    return Job(taking.backup.id, taking.backup.app, taking.ports.writer, tasks)


def _replies(taking: _Taking, target: Slice, *, again: bool) -> Mapping[str, TaskReply]:
    job = _job(taking, target.name)
    if again:
        return follow(job, target, taking.ports)
    return run(taking.workspace, job, target, taking.ports)


def _parts(taking: _Taking, name: str, answer: Mapping[str, TaskReply] | TfhealError) -> list[Part]:
    """Return the parts that a slice gave, each judged by itself."""
    found: list[Part] = []
    known = {snapshot for each in taking.ports.catalogue.backups(taking.backup.app) for snapshot in each.snapshots}
    for source in taking.sources[name]:
        history = capture.history_of(taking.history, name, source.what)
        if isinstance(answer, TfhealError):
            found.append(Part(name, source.what, "failed", detail=str(answer), paths=source.folders))
        elif first := next((task for task in ("reach", capture.INIT) if answer[task].status != 0), None):
            what = "the store cannot be reached" if first == "reach" else "the repository cannot be opened"
            why = capture.why_failed(answer[first])
            found.append(Part(name, source.what, "failed", detail=f"{what}: {why}", paths=source.folders))
        else:
            found.append(
                capture.judged(source, name, answer[source.what], history, known | {part.snapshot for part in found})
            )
    return found


def _healed_meanwhile(taking: _Taking) -> str:
    """Return what was done meanwhile to an instance whose data was taken, if anything."""
    ours = {(taking.backup.app, name) for name in taking.sources}
    for action in taking.ports.journal.actions(taking.backup.app, since=taking.backup.started):
        touched: InstanceName | None = action.instance
        idle = action.verb in {"page", "reflex"} or (touched is not None and touched.component == STORE)
        if touched and (touched.app, touched.slice) in ours and not idle and action.outcome != "refused":
            return f"meanwhile there was a {action.verb} of {touched}"
    return ""
