"""`tfheal upgrade`: an app goes to another version, one instance after the other, and takes itself back where that fails.

What is begun is written down first. Each instance gets the new release beside the old one, is switched, has to be ready, and
to stay so; the first that does lets the others follow. The version is written into the app spec at the very end. A run
that was killed is gone on with by the same command, or taken back by `tfheal rollback`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tfheal.base.errors import Refused, TfhealError, UsageError
from tfheal.base.moments import rfc3339
from tfheal.core import upgrade as core
from tfheal.core.deploy import liveness
from tfheal.core.mistakes import nearest
from tfheal.core.resources import steps
from tfheal.core.standing import REFUSALS, rule
from tfheal.core.windows import next_start, window_open
from tfheal.flows import restore as restores
from tfheal.flows import standing
from tfheal.flows.act import Done, Work, act
from tfheal.flows.at_rest import await_backups
from tfheal.flows.backup import backup
from tfheal.flows.calls import call
from tfheal.flows.fleet import Limits
from tfheal.flows.look import Look, Scope, judged, look
from tfheal.flows.pauses import check
from tfheal.flows.place import is_pending
from tfheal.flows.releases import expected, make_secrets, secret_values, wanted
from tfheal.flows.repository import lease_of
from tfheal.flows.verify import verify
from tfheal.model.backup import STORE
from tfheal.model.facts import Known, SliceFacts
from tfheal.model.ports import Ports
from tfheal.model.record import Deployed, Expected
from tfheal.model.release import InstanceName, Release
from tfheal.model.upgrade import Upgrade, Upgraded
from tfheal.model.workspace import Workspace

_EACH = 60.0  # seconds that an instance is expected to take besides its soak
_PATIENCE = 30.0  # seconds after its start time-out in which an instance has to be ready
_LOOKS = 5.0  # seconds between two looks at one that soaks, at most


@dataclass(frozen=True, slots=True)
class Wish:
    """What the operator asked for; `soak` in seconds in place of the playbook's, `backup` False: without one before."""

    to: str
    plan: bool = False
    again: bool = False
    backup: bool = True
    soak: float | None = None


@dataclass(slots=True)
class _Course:
    """One upgrade under way: from which releases to which, in which order, and how each instance ended so far."""

    workspace: Workspace
    ports: Ports
    limits: Limits
    run: str
    upgrade: Upgrade
    before: Mapping[InstanceName, Expected]
    after: tuple[Release, ...]
    soak: float
    outcomes: dict[InstanceName, str] = field(default_factory=dict)


def upgrade(workspace: Workspace, app: str, wish: Wish, ports: Ports, limits: Limits) -> Upgraded:
    """Given an app and a version of its playbook, bring it there, or only say what that would be.

    Raise UsageError for what cannot be meant, and Refused with what stands in the way, before anything is changed.
    """
    if app not in workspace.apps:
        raise UsageError(f"there is no app {app}", hint=f"the apps are {', '.join(workspace.apps) or 'none yet'}")
    versions = workspace.folder(app).playbook.versions
    if wish.to not in versions:
        raise UsageError(f"{app} has no version {wish.to}", hint=nearest(wish.to, versions, "its playbook lists"))
    begun = _begun(app, wish.to, ports)
    planned = _planned(workspace, app, wish, begun, ports)
    if planned.upgrade.state == "unchanged" or wish.plan:
        return planned
    if begun is None:
        _permitted(workspace, planned, wish, ports, limits)
    run = ports.journal.begin_run(f"upgrade {app}", ports.clock.now())
    started = ports.clock.monotonic()
    await_backups(app, ports)
    record = begun or replace(
        planned.upgrade, id=run.id, state="running", backup=_backed_up(workspace, planned, ports, limits)
    )
    with ports.leases.hold(app, "upgrade", run.id):
        ports.upgrades.put(record)
        course = _course(workspace, record, _soak(workspace, app, wish), run.id, ports, limits)
        make_secrets(course.workspace, app, ports)
        ended = _gone(course)
    ports.journal.end_run(run.id, int(replace(planned, upgrade=ended).exit), ports.clock.now())
    return replace(planned, upgrade=ended, outcomes=course.outcomes, seconds=ports.clock.monotonic() - started)


def rollback(workspace: Workspace, app: str, ports: Ports, limits: Limits) -> Upgraded:
    """Given an app, take its last upgrade back, as far as the playbook says that this is safe; raise Refused if it is not."""
    last = ports.upgrades.last(app)
    if last is None or last.state in {"rolled-back", "unchanged"}:
        raise Refused("there is no upgrade to take back", where=app)
    strictest = rule(last.new, last.old, workspace.folder(app).playbook)
    if strictest != "safe":
        hint = f"tfheal restore {app} --snapshot {last.backup} has the data of before" if last.backup else ""
        raise Refused(f"from {last.new} to {last.old} {REFUSALS[strictest]}", where=app, hint=hint)
    run = ports.journal.begin_run(f"rollback {app}", ports.clock.now())
    started = ports.clock.monotonic()
    await_backups(app, ports)
    with ports.leases.hold(app, "rollback", run.id):
        items = {item.release.instance: item for item in _deployed(app, ports)}
        old = {release.instance: release for release in _releases(_at(workspace, app, last.old), app, ports)}
        before = {name: _former(item, old[name]) for name, item in items.items() if name in old}
        now = tuple(item.release for item in items.values())
        course = _Course(workspace, ports, limits, run.id, last, before, now, 0.0)
        ended = _taken_back(course, "the operator took it back")
        if ended.state == "rolled-back" and workspace.written(app).version != last.old:
            ports.specs.put_version(app, last.old)
    result = Upgraded(ended, strictest, tuple(before), course.outcomes, seconds=ports.clock.monotonic() - started)
    ports.journal.end_run(run.id, int(result.exit), ports.clock.now())
    return result


def _begun(app: str, to: str, ports: Ports) -> Upgrade | None:
    """Return the upgrade that another run did not bring to its end; raise Refused if it was to another version."""
    last = ports.upgrades.last(app)
    if last is None or last.state not in {"running", "frozen"}:
        return None
    if last.new != to:
        hint = f"tfheal upgrade {app} --to {last.new} goes on, tfheal rollback {app} takes it back"
        raise Refused(f"its upgrade to {last.new} did not come to its end", where=app, hint=hint)
    return last


def _planned(workspace: Workspace, app: str, wish: Wish, begun: Upgrade | None, ports: Ports) -> Upgraded:
    items, playbook = _deployed(app, ports), workspace.folder(app).playbook
    after = core.in_order(_releases(_at(workspace, app, wish.to), app, ports))
    if {item.release.instance for item in items} != {one.instance for one in after}:
        raise Refused("it is not deployed as its spec says", where=app, hint=f"first: tfheal deploy {app}")
    now = {item.release.instance: item for item in items}
    changed = [
        one for one in after if (now[one.instance].release.id, now[one.instance].deployed.phase) != (one.id, "deployed")
    ]
    old = begun.old if begun else workspace.apps[app].version
    there = begun is None and not changed
    made = Upgrade("", app, old, wish.to, "unchanged" if there else "planned", ports.clock.now())
    return Upgraded(
        begun or made if not wish.plan else made,
        rule(old, wish.to, playbook),
        tuple(one.instance for one in changed),
        interruption=core.interruption(changed),
        backs_up=wish.backup and begun is None and core.keeps_data(playbook, STORE),
    )


def _permitted(workspace: Workspace, planned: Upgraded, wish: Wish, ports: Ports, limits: Limits) -> None:
    """Raise Refused with what stands in the way of an upgrade that is not begun yet."""
    app, now = planned.upgrade.app, ports.clock.now()
    if is_pending(workspace, app, ports):
        raise Refused("its spec asks for something else besides", where=app, hint=f"first: tfheal deploy {app}")
    takes = len(planned.order) * (_EACH + _soak(workspace, app, wish))
    if not window_open(window := workspace.window(app), now, takes):
        start = next_start(window, now, takes)
        why = (
            f"it would take {takes:.0f} s, and its window opens at {rfc3339(start)}"
            if start
            else "its window is too short"
        )
        raise Refused("it is outside its maintenance window", where=app, why=why)
    if planned.backs_up and workspace.apps[app].backup is None:
        hint = f"write backup: {{to: SLICE}} into apps/{app}.yaml, or say --no-backup"
        raise Refused("it holds data, and has no backups", where=app, hint=hint)
    found = look(workspace, Scope((app,)), ports, limits)
    for item in found.meant:
        check(app, item.release.slice, ports)
    if ill := {
        name: one for name, one in judged(workspace, (app,), found, ports).instances.items() if one != "healthy"
    }:
        told = ", ".join(f"{name} is {health}" for name, health in ill.items())
        raise Refused(
            "it is not well",
            where=app,
            why=told,
            hint="tfheal heal first: what fails then would be blamed on the upgrade",
        )
    for release in () if wish.again else _releases(_at(workspace, app, wish.to), app, ports):
        if why := standing.held(release, found.seen.get(release.slice), ports):
            raise Refused(f"version {wish.to} is held", where=str(release.instance), why=why, hint="--again tries it")


def _backed_up(workspace: Workspace, planned: Upgraded, ports: Ports, limits: Limits) -> str:
    """Make a backup and read what is stored, and return its id; raise Refused where either is not good."""
    app = planned.upgrade.app
    if not planned.backs_up:
        return ""
    (made,) = backup(workspace, (app,), ports, limits)
    if made.backup is None or made.backup.state != "good":
        why = made.refused or (f"it is {made.backup.state}: {made.backup.detail}" if made.backup else "")
        raise Refused("there is no good backup of now", where=app, why=why)
    if wrong := [one for one in verify(workspace, (app,), ports) if one.exit]:
        raise Refused("what is stored could not be verified", where=app, why=wrong[0].refused or "it is damaged")
    return made.backup.id


def _course(workspace: Workspace, record: Upgrade, soak: float, run: str, ports: Ports, limits: Limits) -> _Course:
    app, there = record.app, _at(workspace, record.app, record.new)
    old = {release.instance: release for release in _releases(_at(workspace, app, record.old), app, ports)}
    items = {item.release.instance: item for item in _deployed(app, ports)}
    before = {name: _former(item, old[name]) for name, item in items.items()}
    after = core.in_order(_releases(there, app, ports))
    return _Course(there, ports, limits, run, record, before, after, soak)


def _former(item: Expected, old: Release) -> Expected:
    """Return what was deployed before: of an upgrade that was killed the journal has the new release already."""
    return Expected(replace(item.deployed, release=old.id, version=old.version), old, item.reached)


def _gone(course: _Course) -> Upgrade:
    """Bring instance after instance to the new version, and write it down; the first that fails takes all of it back."""
    ports = course.ports
    for release in course.after:
        item = next(one for one in _deployed(course.upgrade.app, ports) if one.release.instance == release.instance)
        if (item.release.id, item.deployed.phase) != (release.id, "deployed"):
            ports.reporter.say(f"{release.instance}  from {item.deployed.version} to {release.version}")
            done = _switched(course, item, release)
            if done.outcome != "done":
                course.outcomes[release.instance] = f"{done.outcome}: {done.detail}"
                return _failed(course, f"{release.instance}: {done.detail}", served=False)
        why, served = _watched(course, release)
        if why:
            course.outcomes[release.instance] = why
            return _failed(course, f"{release.instance}: {why}", served=served)
        course.outcomes[release.instance] = "done"
    ports.specs.put_version(course.upgrade.app, course.upgrade.new)
    return _ended(course, "done", "")


def _switched(course: _Course, item: Expected, release: Release) -> Done:
    """Put a new release beside the old one and switch to it; what is meant is written down before."""
    ports, now = course.ports, course.ports.clock.now()
    ports.journal.save_release(release, now)
    deployed = Deployed(release.instance, release.id, release.version, item.deployed.generation, "deploying", now)
    ports.journal.set_deployed(deployed)
    secrets = secret_values(release, ports)
    room = core.room(release)
    work = Work(
        verb="deploy",
        release=release,
        steps=((room,) if room else ()) + steps(release, secrets) + liveness(release, secrets),
        secrets=secrets,
        why=f"upgrade from {course.upgrade.old} to {course.upgrade.new}",
        run=course.run,
        generation=item.deployed.generation,
    )
    done = act(work, course.workspace.inventory.slice(release.slice), ports)
    if done.outcome == "done":
        standing.lift(release.instance, release.id, ports)
        ports.journal.set_deployed(replace(deployed, phase="deployed", at=ports.clock.now()))
    return done


def _watched(course: _Course, release: Release) -> tuple[str, bool]:
    """Look at an instance until it was ready and stayed so for its soak; return what is wrong with it, and whether it served."""
    ports, app = course.ports, release.app
    pause, since = min(_LOOKS, max(0.3, course.soak / 10)), course.ports.clock.monotonic()
    watch = core.Watch()
    patience = release.start_timeout + _PATIENCE
    while True:
        found = look(course.workspace, Scope((app,), only={release.slice}), ports, course.limits)
        diagnosis = judged(course.workspace, (app,), found, ports)
        now = ports.clock.monotonic()
        watch = watch.seen(diagnosis.instances[release.instance], _up(release, found), now)
        if watch.has_failed(now - since, patience):
            told = [f"{one.cause}: {one.detail}" for one in diagnosis.findings if one.instance == release.instance]
            ill = f"it is {diagnosis.instances[release.instance]}, and did not stay up"
            return "; ".join(told)[:500] or ill, watch.ready is not None
        if watch.has_passed(course.soak, now):
            return "", True
        ports.clock.sleep(pause)


def _up(release: Release, found: Look) -> float | None:
    seen = found.seen.get(release.slice)
    facts = seen.instances.get(release.instance.on_slice) if isinstance(seen, SliceFacts) else None
    return facts.unit.value.active_for if facts and isinstance(facts.unit, Known) else None


def _failed(course: _Course, why: str, *, served: bool) -> Upgrade:
    """Take a failed upgrade back, with the data of before where that is needed; else it stays as it is, and a human is called.

    What was written once the new version `served` would be lost by a restore: that is a human's to decide.
    """
    app = course.upgrade.app
    strictest = rule(course.upgrade.new, course.upgrade.old, course.workspace.folder(app).playbook)
    touched = any(how == "done" for how in course.outcomes.values())
    if strictest == "safe":
        return _taken_back(course, why)
    if strictest == "needs-restore" and course.upgrade.backup and not (served or touched):
        return _taken_back(course, why, restores=True)
    return _frozen(course, f"{why}; {REFUSALS[strictest]}")


def _taken_back(course: _Course, why: str, *, restores: bool = False) -> Upgrade:
    """Put the old releases back, the last first, with the data of before if it `restores`, and hold the new ones."""
    ports = course.ports
    now = {item.release.instance: item for item in _deployed(course.upgrade.app, ports)}
    there = {release.instance: now[release.instance].release.id for release in course.after if release.instance in now}
    for name in core.to_take_back({one: item.release.id for one, item in course.before.items()}, there):
        ports.reporter.say(f"{name}  back to {course.before[name].release.version}: {why}")
        done = _put_back(course, now[name], course.before[name], why, lives=not restores)
        if done.outcome != "done" and not restores:  # what cannot read its data comes up once that is back
            course.outcomes[name] = f"not taken back: {done.detail}"
            return _frozen(course, f"{why}; {name} could not be taken back: {done.detail}")
        course.outcomes[name] = f"taken back: {course.outcomes.get(name, why)}"
    if restores and (wrong := _restored(course)):
        return _frozen(course, f"{why}; the data of before could not be brought back: {wrong}")
    return _ended(course, "rolled-back", why)


def _restored(course: _Course) -> str:
    """Bring the data of the backup of before back, and return why that failed, if it did."""
    app, ports = course.upgrade.app, course.ports
    ports.reporter.say(f"{app}  the data of backup {course.upgrade.backup} comes back")
    try:
        with ports.leases.hold(lease_of(app), "upgrade", course.run):
            plan = restores.planned(course.workspace, app, restores.Wish(course.upgrade.backup), ports)
            done = restores.in_place(course.workspace, plan, ports, course.limits, course.run)
    except TfhealError as error:
        return str(error)
    for item in _deployed(app, ports):
        if item.deployed.phase == "deploying":
            ports.journal.set_deployed(replace(item.deployed, phase="deployed", at=ports.clock.now()))
    return "; ".join(f"{name}: {how}" for name, how in done.outcomes.items() if how != "done")


def _put_back(course: _Course, item: Expected, before: Expected, why: str, *, lives: bool) -> Done:
    """Put an old release back in place of a new one, which is held; one that `lives` has to be alive then."""
    ports, release = course.ports, before.release
    standing.hold(item.deployed, why[:300], ports)
    ports.journal.save_release(release, ports.clock.now())
    older = replace(before.deployed, generation=item.deployed.generation, phase="deploying", at=ports.clock.now())
    ports.journal.set_deployed(older)
    secrets = secret_values(release, ports)
    work = Work(
        verb="rollback",
        release=release,
        steps=steps(release, secrets) + (liveness(release, secrets) if lives else ()),
        secrets=secrets,
        why=f"the upgrade to {course.upgrade.new} is taken back",
        run=course.run,
        generation=item.deployed.generation,
        holds=item.deployed.release,
    )
    done = act(work, course.workspace.inventory.slice(release.slice), ports)
    if done.outcome == "done":
        ports.journal.set_deployed(replace(older, phase="deployed", at=ports.clock.now()))
    return done


def _frozen(course: _Course, why: str) -> Upgrade:
    upgrade, ports = course.upgrade, course.ports
    where = next((name.slice for name in course.outcomes), course.after[0].slice)
    hint = (
        f"what is healthy serves on; the backup of before is {upgrade.backup}"
        if upgrade.backup
        else "what is healthy serves on"
    )
    call(upgrade.app, where, "upgrade-failed", f"{upgrade.old} to {upgrade.new}: {why}", hint, ports)
    return _ended(course, "frozen", why)


def _ended(course: _Course, state: str, why: str) -> Upgrade:
    ended = replace(course.upgrade, state=state, detail=why)  # type: ignore[arg-type]
    course.ports.upgrades.put(ended)
    return ended


def _deployed(app: str, ports: Ports) -> list[Expected]:
    return [item for item in expected((app,), ports) if item.release.component != STORE]


def _releases(workspace: Workspace, app: str, ports: Ports) -> tuple[Release, ...]:
    return tuple(release for release in wanted(workspace, app, ports) if release.component != STORE)


def _soak(workspace: Workspace, app: str, wish: Wish) -> float:
    return workspace.folder(app).playbook.upgrade.soak if wish.soak is None else wish.soak


def _at(workspace: Workspace, app: str, version: str) -> Workspace:
    """Return a workspace in which the spec of an app asks for another version."""
    spec = workspace.apps[app].model_copy(update={"version": version})
    written = workspace.as_written
    changed = {**written, app: written[app].model_copy(update={"version": version})} if written else written
    return replace(workspace, apps={**workspace.apps, app: spec}, as_written=changed)
