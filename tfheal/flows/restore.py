"""`tfheal restore`: a backup is brought back beside the live data, counted and read again, and only then put in its place.

What is lost by that is said before. A service that is not well with what was restored gets back what it had.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from tfheal.base.errors import Refused, TfhealError, UsageError
from tfheal.base.moments import rfc3339
from tfheal.core.backup import recovery, scratch
from tfheal.core.backup import restore as core
from tfheal.core.backup.capture import messages, why_failed
from tfheal.core.backup.job import Job, Task, TaskReply
from tfheal.core.backup.recovery import Recovery, base_of, is_base
from tfheal.flows.act import Work, act, act_everywhere
from tfheal.flows.at_rest import await_backups
from tfheal.flows.backup import one
from tfheal.flows.fleet import Limits
from tfheal.flows.releases import expected, secret_values
from tfheal.flows.replay import hand_over, recovery_of
from tfheal.flows.repository import lease_of, replied, run, stored
from tfheal.flows.rungs import HealRun
from tfheal.flows.set_down import set_down
from tfheal.model.backup import REFUSED, STORE, Backup, Part, Planned, Restored
from tfheal.model.inventory import Slice
from tfheal.model.ports import Ports
from tfheal.model.record import Expected
from tfheal.model.release import InstanceName
from tfheal.model.workspace import Workspace

_LONGEST = 12 * 3_600.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be restored: which backup, of which instances, and where to if not in place.

    No backup named: the newest good one, of those that began before `at` if that is said. Databases whose changes are stored
    come as they were at that time, or where the `latest` is wished as the last change left them.
    """

    backup: str | None = None
    component: str | None = None
    scratch: str | None = None
    path: str | None = None
    at: datetime | None = None
    slice: str | None = None
    latest: bool = False
    to: str | None = None


def planned(workspace: Workspace, app: str, wish: Wish, ports: Ports) -> Planned:
    """Given an app and what is wished, return what would be done; raise UsageError or Refused where nothing can be."""
    if app not in workspace.apps:
        raise UsageError(f"there is no app {app}", hint=f"the apps are {', '.join(workspace.apps) or 'none yet'}")
    if wish.at and wish.backup:
        raise UsageError("--at and --snapshot exclude each other", why="both say which backup is meant")
    if wish.to and wish.scratch:
        raise UsageError("--to and --scratch exclude each other", why="a scratch folder is on the app's own slices")
    if wish.path and not wish.scratch:
        raise UsageError("--path needs --scratch", why="a part of the data is not put in the place of all of it")
    items = [item for item in expected((app,), ports) if item.release.component != STORE]
    backup, taken_over = core.relocated(_meant(workspace, app, wish, ports), (item.release for item in items))
    chosen = [
        item
        for item in items
        if wish.component in {None, item.release.component} and wish.slice in {None, item.release.slice}
    ]
    if not chosen:
        raise UsageError(f"{app} has no component {wish.component} that is deployed")
    folders = {item.release.instance: found for item in chosen if (found := _folders(item, backup))}
    dumps = {item.release.instance: found for item in chosen if (found := _dumps(item, backup))}
    back = {f"{name.component}/{dump}@{name.slice}" for name, found in dumps.items() for dump in found}
    left = tuple(
        part.name for part in backup.parts if not part.paths and part.name not in back and not is_base(part.what)
    )
    if not folders and not dumps and not (wish.scratch and left):
        hint = "--scratch DIR writes what it holds into a folder" if left else "tfheal backup show tells what it holds"
        raise Refused(f"nothing of backup {backup.id} can be put in place", where=app, hint=hint)
    replay = {
        item.release.instance: base
        for item in chosen
        if (wish.at or wish.latest) and not (wish.scratch or wish.to) and (base := _base(item, backup, dumps))
    }
    to = wish.to or ""
    plan = Planned(app, backup, folders, backup.started, wish.scratch, left, dumps, wish.at, taken_over, replay, to)
    plan = replace(plan, passed_over=_passed_over(workspace, wish, backup, ports))
    return replace(plan, lost_since=wish.at) if wish.at and plan.replays_all else plan


def restore(workspace: Workspace, plan: Planned, wish: Wish, ports: Ports, limits: Limits) -> Restored:
    """Given what is to be done, do it: all of it beside the live data first, then instance by instance in its place."""
    await_backups(plan.app, ports)
    begun = ports.clock.monotonic()
    record = ports.journal.begin_run(f"restore {plan.app}", ports.clock.now()).id
    with ports.leases.hold(lease_of(plan.app), "restore", record), ports.leases.hold(plan.app, "restore", record):
        if plan.to:
            done = Restored(plan, set_down(HealRun(workspace, (plan.app,), ports, limits, record), plan))
        else:
            stage = _Stage(workspace, plan, wish, ports, limits, record)
            done = _scratched(stage) if plan.scratch else _in_place(stage)
    result = replace(done, seconds=ports.clock.monotonic() - begun)
    ports.journal.end_run(record, int(result.exit), ports.clock.now())
    return result


def in_place(workspace: Workspace, plan: Planned, ports: Ports, limits: Limits, run_id: str) -> Restored:
    """Given what is to be done by a run that holds both leases of the app, do it, and return how it ended."""
    return _in_place(_Stage(workspace, plan, Wish(), ports, limits, run_id))


@dataclass(frozen=True, slots=True)
class _Stage:
    """One restore under way."""

    workspace: Workspace
    plan: Planned
    wish: Wish
    ports: Ports
    limits: Limits
    run: str

    @property
    def id(self) -> str:
        """Return what the folders of this restore are called after."""
        return self.run


def _meant(workspace: Workspace, app: str, wish: Wish, ports: Ports) -> Backup:
    if wish.backup is not None:
        found = one(wish.backup, ports)
        if found.app != app or not found.holds_data:
            raise UsageError(f"{found.id} holds nothing of {app}", why=f"it is a {found.state} backup of {found.app}")
        return found
    good = [backup for backup in stored(workspace, app, ports) if backup.state == "good"]
    if good and wish.at:
        oldest, at = min(backup.started for backup in good), wish.at
        # What was written while a backup was made may be in it: it is of a time before only if it began and ended before.
        good = [backup for backup in good if backup.received and backup.received <= at]
        if not good:
            why = f"the oldest good one began at {rfc3339(oldest)}"
            raise Refused(f"{app} has no good backup that was whole at {rfc3339(at)}", why=why)
    if not good:
        raise Refused(
            f"{app} has no good backup", hint="tfheal backup list shows what there is; --snapshot ID takes any"
        )
    # Healing drills what it takes before it puts it in place: for want of a better one it may try.
    if not (sure := [backup for backup in good if backup.is_sure] or (good if wish.latest else [])):
        newest = max(good, key=lambda backup: backup.started)
        why = "a drill found each good one damaged"
        raise Refused(
            f"{app} has no backup to be sure of", why=why, hint=f"--snapshot {newest.id} takes one all the same"
        )
    return max(sure, key=lambda backup: backup.received or backup.started)


def _passed_over(workspace: Workspace, wish: Wish, taken: Backup, ports: Ports) -> tuple[str, ...]:
    """Return the good backups newer than the one that is taken, which a drill found damaged, if nobody named any."""
    newer = (one for one in stored(workspace, taken.app, ports) if one.state == "good" and one.started > taken.started)
    wanted = (one for one in newer if wish.at is None or (one.received and one.received <= wish.at))
    return () if wish.backup else tuple(one.id for one in wanted if not one.is_sure)


def _folders(item: Expected, backup: Backup) -> tuple[str, ...]:
    parts = [part for part in backup.parts if part.slice == item.release.slice and part.snapshot]
    return tuple(path for part in parts for path in core.folders_of(item.release, part))


def _dumps(item: Expected, backup: Backup) -> tuple[str, ...]:
    parts = [part for part in backup.parts if part.slice == item.release.slice and part.snapshot]
    return tuple(name for part in parts for name in core.dumps_of(item.release, part))


def _base(item: Expected, backup: Backup, dumps: Mapping[InstanceName, tuple[str, ...]]) -> Part | None:
    """Return the base that the databases of an instance can be replayed from, None if their changes are not stored."""
    release = item.release
    chosen = [dump for dump in release.dumps if dump.name in dumps.get(release.instance, ()) and dump.wal]
    what = base_of(release) if chosen else ""
    parts = [part for part in backup.parts if part.snapshot and (part.slice, part.what) == (release.slice, what)]
    return parts[0] if parts else None


def _in_place(stage: _Stage) -> Restored:
    plan = stage.plan
    meant = {item.release.instance: item for item in expected((plan.app,), stage.ports)}
    names = list(dict.fromkeys(name.slice for name in plan.instances))
    found = {name: _recovery(stage, meant[name], base) for name, base in plan.replay.items()}
    wanted = {
        name: [_chosen(stage, meant[one], found) for one in plan.instances if one.slice == name] for name in names
    }
    done, failed = _everywhere(
        stage, names, lambda name: core.beside_tasks(_parts(stage, name), wanted[name], stage.id)
    )
    if failed:
        others = [name for name in names if name not in failed]
        _everywhere(stage, others, lambda name: core.cleared_tasks(wanted[name], stage.id))
        refused = all(why.startswith(REFUSED) for why in failed.values())
        unchanged = f"{REFUSED if refused else ''}another slice could not, so nothing was changed"
        return Restored(plan, {name: failed.get(name.slice, unchanged) for name in plan.instances})
    how = {
        one.release.instance: _switched(stage, meant[one.release.instance], one)
        for ours in wanted.values()
        for one in ours
    }
    lacking = {name.slice: one.lacking for name, one in found.items()}
    replayed = {
        name: replace(far, lacking=lacking.get(name, ""))
        for name, reply in done.items()
        if (far := recovery.replayed(messages(reply.out)))
    }
    return Restored(plan, how, replayed=replayed)


def _recovery(stage: _Stage, item: Expected, base: Part) -> Recovery:
    """Have a living server hand over what it has, and return what its databases are replayed from.

    Raise Refused where a living server still has what was asked for: it can be brought to hand that over.
    """
    plan, release = stage.plan, item.release
    source = plan.sources.get(release.slice, "")
    handed = None if source else hand_over(stage.workspace, release, stage.ports)
    lacking = ""
    if handed and handed.lacks(plan.asked):
        since = f"since {rfc3339(handed.since)}" if handed.since else "last"
        if plan.asked and handed.lives:
            why = f"what it changed {since} is on it alone: see its log for why archive_command fails"
            hint = f"--at {rfc3339(handed.since)}, or an earlier time, is stored" if handed.since else ""
            raise Refused(
                "the server could not hand over all of before that time",
                where=str(release.instance),
                why=why,
                hint=hint,
            )
        lacking = f"what its server changed {since} was not handed over, and is not in it"
        stage.ports.reporter.say(f"{release.instance}: {lacking}")
    found = recovery_of(stage.workspace, release, (base, plan.backup.started), plan.asked, stage.ports, source)
    return replace(found, lacking=lacking)


def _scratched(stage: _Stage) -> Restored:
    """Restore what is wished of each slice into a folder there; a path is sought on all of them."""
    wish, folder = stage.wish, stage.plan.scratch or ""
    here = [item.release for item in expected((stage.plan.app,), stage.ports)]
    wanted: dict[str, list[tuple[Part, tuple[str, ...]]]] = {}
    for part in stage.plan.backup.parts:
        ours = [one for one in here if one.slice == part.slice and one.component == wish.component]
        folders = core.of_releases(part, ours) if wish.component else ()
        if part.snapshot and folders is not None:
            wanted.setdefault(part.slice, []).append((part, folders))
    if not wanted:
        raise Refused(f"nothing of {wish.component} is in backup {stage.plan.backup.id}", where=stage.plan.app)
    done, failed = _everywhere(stage, list(wanted), lambda name: scratch.scratch_tasks(wanted[name], folder, wish.path))
    how = dict.fromkeys(done, "done") | failed
    if wish.path:
        found = [name for name, reply in done.items() if scratch.came(messages(reply.out))]
        how = dict.fromkeys(found, "done") | failed or dict.fromkeys(done, f"nothing of {wish.path} is in it")
    outcomes = {InstanceName(stage.plan.app, stage.wish.component or "data", name): one for name, one in how.items()}
    return Restored(stage.plan, outcomes)


def _parts(stage: _Stage, slice_name: str) -> list[Part]:
    return [part for part in stage.plan.backup.parts if part.slice == slice_name and part.snapshot]


def _chosen(stage: _Stage, item: Expected, found: Mapping[InstanceName, Recovery]) -> core.Chosen:
    name = item.release.instance
    return core.Chosen(
        item.release,
        stage.plan.folders.get(name, ()),
        stage.plan.dumps.get(name, ()),
        awaited=item.deployed.phase == "restoring",
        recovery=found.get(name),
        moved=name.slice in stage.plan.sources,
    )


def _everywhere(
    stage: _Stage, names: list[str], tasks: Callable[[str], tuple[Task, ...]]
) -> tuple[dict[str, TaskReply], dict[str, str]]:
    """Run tasks on slices, and return what was said where all is well, and the reasons of the others."""
    ports, app = stage.ports, stage.plan.app

    def there(target: Slice) -> Mapping[str, TaskReply]:
        job = Job(stage.id, app, ports.writer, tasks(target.name), longest=_LONGEST)
        return run(stage.workspace, job, target, ports, stage.plan.sources.get(target.name, ""))

    done, failed = {}, {}
    targets = [stage.workspace.inventory.slice(name) for name in names]
    for name, answer in act_everywhere(targets, there, stage.limits).items():
        try:
            done[name] = _beside(answer, name)
        except Refused as refusal:
            failed[name] = f"{REFUSED}{refusal}"
        except TfhealError as error:
            failed[name] = str(error)
    return done, failed


def _beside(answer: Mapping[str, TaskReply] | TfhealError, where: str) -> TaskReply:
    """Return what was said where it is restored beside; raise Refused where it cannot be, and nothing was begun."""
    if isinstance(answer, TfhealError):
        raise answer
    if answer[core.BESIDE].status == core.NOT_BEGUN:
        raise Refused(why_failed(answer[core.BESIDE]), where=where)
    return replied(answer, core.BESIDE, where)


def _switched(stage: _Stage, item: Expected, chosen: core.Chosen) -> str:
    release, ports = item.release, stage.ports
    secrets = secret_values(release, ports)
    work = Work(
        verb="restore",
        release=release,
        steps=(core.switch(chosen, stage.id, secrets),),
        secrets=secrets,
        why=f"restore of backup {stage.plan.backup.id}",
        run=stage.run,
        generation=item.deployed.generation,
    )
    done = act(work, stage.workspace.inventory.slice(release.slice), ports)
    if done.outcome == "done" and item.deployed.phase == "restoring":
        ports.journal.set_deployed(replace(item.deployed, phase="deployed", at=ports.clock.now()))
    return "done" if done.outcome == "done" else f"{done.outcome}: {done.detail}"
