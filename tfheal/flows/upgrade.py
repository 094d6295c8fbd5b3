"""`tfheal upgrade`: an app goes to another version, one instance after the other, and takes itself back where that fails.

What is begun is written down first. Each instance gets the new software beside the old one, is switched, has to be ready, and
to stay so; the first that does lets the others follow. The version is written into the app spec at the very end. A run
that was killed is gone on with by the same command, or taken back by `tfheal rollback`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from tfheal.base.errors import Refused, TfhealError, UsageError
from tfheal.core import upgrade as core
from tfheal.core.mistakes import nearest
from tfheal.core.standing import REFUSALS, rule
from tfheal.flows import notices, standing
from tfheal.flows.act import Done
from tfheal.flows.at_rest import await_backups
from tfheal.flows.fleet import Limits
from tfheal.flows.gateway import drained
from tfheal.flows.releases import make_secrets
from tfheal.flows.upgrade_back import Course, came_to, ended, failed, in_the_traffic, lost, taken_back
from tfheal.flows.upgrade_canary import canary_of, compared, let_in
from tfheal.flows.upgrade_checks import (
    Wish,
    backed_up,
    begun_before,
    going_on,
    may_go_on,
    permitted,
    planned,
    soak_of,
    trial_of,
)
from tfheal.flows.upgrade_closed import back, gone_closed
from tfheal.flows.upgrade_moved import based_anew, held_back, open_again
from tfheal.flows.upgrade_still import put_beside
from tfheal.flows.upgrade_watch import proven, usual, watched
from tfheal.flows.versions import Switch, at_version, deployed_of, releases_of, switched
from tfheal.model.playbook import WayBack
from tfheal.model.ports import Ports
from tfheal.model.record import Expected
from tfheal.model.release import Release
from tfheal.model.upgrade import Upgrade, Upgraded
from tfheal.model.workspace import Workspace

_FRESH: Final = 5.0  # seconds for which what was looked at is taken to be as it was


def upgrade(workspace: Workspace, app: str, wish: Wish, ports: Ports, limits: Limits) -> Upgraded:
    """Given an app and a version of its playbook, bring it there, or only say what that would be.

    Raise UsageError for what cannot be meant, and Refused with what stands in the way, before anything is changed.
    """
    if app not in workspace.apps:
        raise UsageError(f"there is no app {app}", hint=f"the apps are {', '.join(workspace.apps) or 'none yet'}")
    versions = workspace.folder(app).playbook.versions
    if wish.to not in versions:
        raise UsageError(f"{app} has no version {wish.to}", hint=nearest(wish.to, versions, "its playbook lists"))
    begun = begun_before(app, wish, ports)
    plan = planned(workspace, app, wish, begun, ports)
    if plan.upgrade.state == "unchanged":
        return plan
    if wish.plan:
        return replace(plan, refused=_refused(workspace, plan, begun, wish, ports, limits))
    started = ports.clock.monotonic()
    if begun is None:
        permitted(workspace, plan, wish, ports, limits)
    with _run(f"upgrade {app}", ports) as run:
        await_backups(app, ports)
        backup = backed_up(workspace, plan, ports, limits) if begun is None else ""
        with ports.leases.hold(app, "upgrade", run):
            _is_as_planned(workspace, plan, begun, wish, ports)
            if begun is not None:
                may_go_on(workspace, app, ports, limits)
            elif ports.clock.monotonic() - started > _FRESH:
                permitted(workspace, replace(plan, backing=0.0), wish, ports, limits)
            record = going_on(begun, wish) or replace(plan.upgrade, id=run, state="running", backup=backup)
            course = _course(workspace, record, soak_of(workspace, app, wish), run, ports, limits)
            course.canary, course.moving = trial_of(workspace, app, wish), plan.moving
            with notices.told(workspace, notices.of_upgrade(plan), run, ports) as told:
                end = _ended(course, plan, begun, wish)
                told(end.state, end.detail)
    seconds = ports.clock.monotonic() - started
    done = replace(plan, upgrade=end, outcomes=course.outcomes, seconds=seconds, away=course.away)
    ports.journal.end_run(run, int(done.exit), ports.clock.now())
    return done


def _ended(course: Course, plan: Upgraded, begun: Upgrade | None, wish: Wish) -> Upgrade:
    """Go the whole way, or what is left of one that was begun, and return how it ended."""
    if begun is None:
        seen = usual(course.workspace, course.after, course.ports)
        course.upgrade = replace(course.upgrade, usual=(seen.requests, seen.failed))
    course.ports.upgrades.put(course.upgrade)
    make_secrets(course.workspace, course.upgrade.app, course.ports)
    if wish.go_on:
        in_the_traffic(course)
    if course.upgrade.state == "opened":
        open_again(course)  # nobody waits any longer for what is proven
    closes = plan.closes and course.upgrade.state not in {"opened", "taking-back"}
    if course.upgrade.state == "taking-back":
        end = taken_back(course, course.upgrade.detail)
    else:
        end = gone_closed(course) if closes else _gone(course)
    if begun:
        in_the_traffic(course)
    if begun and not closes:
        open_again(course)
    return end


@contextmanager
def _run(command: str, ports: Ports) -> Iterator[str]:
    """Give the id of a run that begins; what ends it before its end is written down."""
    run = ports.journal.begin_run(command, ports.clock.now())
    try:
        yield run.id
    except TfhealError as error:
        ports.journal.end_run(run.id, int(error.exit), ports.clock.now())
        raise


def _is_as_planned(workspace: Workspace, plan: Upgraded, begun: Upgrade | None, wish: Wish, ports: Ports) -> None:
    """Raise Refused if others changed an app between the plan and the lease: what was permitted was something else."""
    app = plan.upgrade.app
    last = begun_before(app, wish, ports)
    now = planned(workspace, app, wish, last, ports)
    if (last, now.upgrade.old, now.order) != (begun, plan.upgrade.old, plan.order):
        raise Refused("others changed it meanwhile", where=app, hint="say it again: it is looked at anew then")


def rollback(workspace: Workspace, app: str, ports: Ports, limits: Limits, *, lose: bool = False) -> Upgraded:
    """Given an app, take its last upgrade back, as far as the playbook says that this is safe; raise Refused if it is not.

    Where its data moved to another server that of before takes over again, unless what was written since would be lost; `lose`: it may be.
    """
    last = ports.upgrades.last(app)
    if last is None or last.state in {"rolled-back", "unchanged"}:
        raise Refused("there is no upgrade to take back", where=app)
    _still_there(last, ports)
    strictest = rule(last.new, last.old, workspace.folder(app).playbook)
    closed = last.state in {"migrating", "returning"}
    course = (
        _course(workspace, last, 0.0, "", ports, limits)
        if closed
        else _way_back(workspace, last, strictest, ports, limits)
    )
    if lose and not course.moved:
        raise UsageError(
            "nothing of it would be lost", why="no data moved to another server", hint="leave out --lose-changes"
        )
    run = ports.journal.begin_run(f"rollback {app}", ports.clock.now())
    started = ports.clock.monotonic()
    await_backups(app, ports)
    with ports.leases.hold(app, "rollback", run.id):
        course.run, course.lose = run.id, lose
        if not lose and (why := lost(course)):
            ports.journal.end_run(run.id, int(Refused.exit), ports.clock.now())
            hint = f"tfheal rollback {app} --lose-changes goes back without that"
            raise Refused("it would lose data", where=app, why=why, hint=hint)
        with notices.told(workspace, notices.of_rollback(last, course.before), run.id, ports) as told:
            if last.state == "opened":
                open_again(course)
            end = (back if closed else taken_back)(course, "the operator took it back")
            in_the_traffic(course)
            if not closed:
                open_again(course)
            told(end.state, end.detail)
        if moved := based_anew(course):
            ports.reporter.say(f"{app}  {moved}")
    result = Upgraded(end, strictest, tuple(course.before), course.outcomes, seconds=ports.clock.monotonic() - started)
    ports.journal.end_run(run.id, int(result.exit), ports.clock.now())
    return result


def _way_back(workspace: Workspace, last: Upgrade, strictest: WayBack, ports: Ports, limits: Limits) -> Course:
    """Return the course of an upgrade that a person takes back; raise Refused where its rule forbids it, and no data of before is there."""
    app = last.app
    items = {item.release.instance: item for item in deployed_of(app, ports)}
    old = {one.instance: one for one in releases_of(at_version(workspace, app, last.old), app, ports)}
    before = {name: _former(item, old[name]) for name, item in items.items() if name in old}
    listed = last.new in workspace.folder(app).playbook.versions  # a bad version may be gone from there by now
    now = (
        releases_of(at_version(workspace, app, last.new), app, ports)
        if listed
        else [one.release for one in items.values()]
    )
    course = Course(workspace, ports, limits, "", last, before, core.in_order(now), 0.0)
    stays = strictest == "needs-restore" and core.stays_behind(tuple(old.values()), course.moved)
    if strictest == "safe" or stays or last.state == "taking-back":  # what is begun was judged before
        return course
    hint = f"tfheal restore {app} --snapshot {last.backup} has the data of before" if last.backup else ""
    if last.state == "opened":
        hint = f"tfheal upgrade {app} --to {last.new} lets people in, if they are not yet, and brings it to its end"
    raise Refused(f"from {last.new} to {last.old} {REFUSALS[strictest]}", where=app, hint=hint)


def _refused(
    workspace: Workspace, plan: Upgraded, begun: Upgrade | None, wish: Wish, ports: Ports, limits: Limits
) -> str:
    """Return what stands in the way of a plan, in words, if anything does."""
    try:
        if begun is None:
            permitted(workspace, plan, wish, ports, limits)
        else:
            may_go_on(workspace, plan.upgrade.app, ports, limits)
    except Refused as error:
        return str(error)
    return ""


def _still_there(last: Upgrade, ports: Ports) -> None:
    """Raise Refused if an app was deployed at another version since its last upgrade, which cannot be taken back then."""
    others = {item.deployed.version for item in deployed_of(last.app, ports)} - {last.old, last.new}
    if others:
        why = f"it went from {last.old} to {last.new}, and was deployed at {', '.join(sorted(others))} since"
        raise Refused(
            "its last upgrade cannot be taken back",
            where=last.app,
            why=why,
            hint=f"tfheal upgrade {last.app} --to {last.old}",
        )


def _course(workspace: Workspace, record: Upgrade, soak: float, run: str, ports: Ports, limits: Limits) -> Course:
    app, there = record.app, at_version(workspace, record.app, record.new)
    old = {release.instance: release for release in releases_of(at_version(workspace, app, record.old), app, ports)}
    items = {item.release.instance: item for item in deployed_of(app, ports)}
    if gone := next((name for name in items if name not in old), None):
        hint = f"write place: in apps/{app}.yaml as it was when the upgrade began, until that is over"
        raise Refused("its spec places it there no more", where=str(gone), hint=hint)
    before = {name: _former(item, old[name]) for name, item in items.items()}
    after = core.in_order(releases_of(there, app, ports))
    return Course(there, ports, limits, run, record, before, after, soak)


def _former(item: Expected, old: Release) -> Expected:
    """Return what was deployed before: of an upgrade that was killed the journal has the new release already."""
    return Expected(replace(item.deployed, release=old.id, version=old.version), old, item.reached)


def _gone(course: Course) -> Upgrade:
    """Bring instance after instance to the new version, and write it down; the first that fails takes all of it back.

    While it is worked on, and for the first part of its soak, it gets no requests where a gateway leads to another one that is well.
    """
    first = canary_of(course)
    for release in course.after:
        canary = first if first and first.release == release else None
        try:
            if why := _put_beside(course, release):
                return failed(course, why)
            with drained(course.workspace, release.instance, course.out(release, must=True), course.ports):
                end = _one(course, release) or (let_in(course, canary) if canary else None)
            if end := end or (compared(course, canary) if canary else proven(course, release)):
                return end
            course.ports.reporter.step(str(release.instance), "done", 1, 1)
        except TfhealError as error:
            if release.instance in course.outcomes:
                raise
            course.outcomes[release.instance], course.blamed = str(error), False
            return failed(course, f"{release.instance}: {error}")
    told = (came_to(course, course.upgrade.new), based_anew(course))
    return ended(course, "done", "; ".join(filter(None, told)))


def _put_beside(course: Course, release: Release) -> str:
    """Build the software of one instance while it still serves; return what failed, if anything."""
    return put_beside(course, _there(course, release), release)


def _there(course: Course, release: Release) -> Expected:
    items = deployed_of(course.upgrade.app, course.ports)
    return next(one for one in items if one.release.instance == release.instance)


def _one(course: Course, release: Release) -> Upgrade | None:
    """Bring one instance to the new version; return how the upgrade ended if that fails."""
    ports = course.ports
    item = _there(course, release)
    course.outcomes[release.instance] = "begun"
    if (item.release.id, item.deployed.phase) != (release.id, "deployed"):
        ports.reporter.say(f"{release.instance}  from {item.deployed.version} to {release.version}")
        done = _switched(course, item, release)
        if done.outcome != "done":
            course.outcomes[release.instance] = f"{done.outcome}: {done.detail}"
            course.blamed = core.is_to_blame(done.outcome, done.report)
            return failed(course, f"{release.instance}: {done.detail}")
    why = watched(course, release)
    course.outcomes[release.instance] = why or "done"
    return failed(course, f"{release.instance}: {why}") if why else None


def _switched(course: Course, item: Expected, release: Release) -> Done:
    """Switch an instance to its release of the new version, where there is room for its data beside the old one."""
    why = f"upgrade from {course.upgrade.old} to {course.upgrade.new}"
    switch = Switch(item, release, "deploy", why, first=core.room(release))
    with held_back(course, release):
        done = switched(course.workspace, switch, course.run, course.ports)
    if done.outcome == "done":
        standing.lift(release.instance, release.id, course.ports)
    return done
