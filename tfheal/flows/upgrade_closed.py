"""An upgrade of data that nobody may work on meanwhile: all of the app is stopped, and closed at its gateways.

How far it came is written down before each stage. So who goes on after a kill makes no backup of data that is half migrated,
and brings no data back once people may have used the new version, in whichever run. They may have if the gateway was found
open; where no gateway keeps them out, if it was ready, and if a run that began it did not come to its end.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from tfheal.base.errors import TfhealError
from tfheal.base.untrusted import brief
from tfheal.core import upgrade as core
from tfheal.core.standing import REFUSALS, rule
from tfheal.flows import standing
from tfheal.flows.calls import call
from tfheal.flows.look import Look, Scope, judged, look
from tfheal.flows.maintenance import close, gateways, is_closed, reopen
from tfheal.flows.upgrade_back import WORK, Course, came_to, ended, frozen, put_back, restored, taken_back
from tfheal.flows.upgrade_moved import based_anew
from tfheal.flows.upgrade_still import at_rest, put_beside
from tfheal.flows.versions import Switch, at_version, deployed_of, switched
from tfheal.model.facts import Known, SliceFacts
from tfheal.model.release import InstanceName, Release
from tfheal.model.upgrade import Upgrade, UpgradeState

_RETURN: Final = 43_200.0  # seconds that a way back may take: as long as a restore
_AWAY: Final = "; that it is closed for its way back is not sure: "
_LOOKS: Final = 5.0  # seconds between two looks at one that soaks, at most


def gone_closed(course: Course) -> Upgrade:
    """Bring all of an app to the new version while it is closed, and write down how that ended."""
    state, app, ports = course.upgrade.state, course.upgrade.app, course.ports
    if state == "returning":
        return _gone_back(course, course.upgrade.detail)
    if state == "running" and (why := _put_beside(course)):
        return taken_back(course, why)
    try:
        if state != "running":
            _found(course)
        already = _closed(course, core.closed_for(course.after, course.soak) + WORK * len(course.after))
    except TfhealError as error:
        course.blamed, already = False, False
        if state == "running":
            return taken_back(course, str(error))
        ports.reporter.say(f"{app}  could not be closed: {error}")
        _served(course)
    if state == "running":
        if why := at_rest(course, [item for item in deployed_of(app, ports) if item.release.instance in _rest(course)]):
            course.blamed = False
            end = taken_back(course, why)
            _opened(course)
            return end
        _reached(course, "migrating")
    if why := _moved(course) or _proven(course, course.after, course.soak):
        if already is None and _is_used(course, list(course.outcomes)):
            _served(course)
        return _failed(course, why)
    course.outcomes.update(dict.fromkeys(course.outcomes, "done"))
    _served(course)
    _reached(course, "opened")
    _opened(course)
    return ended(course, "done", "; ".join(filter(None, (came_to(course, course.upgrade.new), based_anew(course)))))


def returned(course: Course, why: str, *, restores: bool) -> Upgrade:
    """Put the old releases back and the data of before where it `restores`, and open the app once it is well with them.

    Found open, as it is where its gateway was started anew, no data comes back: it stays as it is, and a human is called. That is
    asked before it is closed anew, and once all of it is at rest.
    """
    if course.upgrade.state != "returning":
        _reached(course, "returning", why)
    if end := _shut(course, why, restores=restores):
        return end
    if wrong := _put_back(course, why):
        return frozen(course, f"{why}; {wrong}")
    if restores and (end := _shut(course, why, restores=True)):
        return end
    if restores and (wrong := restored(course)):
        return frozen(course, f"{why}; the data of before could not be brought back: {wrong}")
    _served(course)  # by the old version: whoever goes on with the way back brings no data back once more
    if wrong := _up_again(course):
        return frozen(course, f"{why}; with the data of before, {wrong}")
    stores = came_to(course, course.upgrade.old)
    _opened(course)
    return ended(course, "rolled-back", "; ".join(filter(None, (why, stores))))


def back(course: Course, why: str) -> Upgrade:
    """Take back what was begun and not finished, as far as nobody can have used the new version."""
    if course.upgrade.state == "returning":
        return _gone_back(course, why)
    _found(course)
    return _failed(course, why)


def _gone_back(course: Course, why: str) -> Upgrade:
    """Go on with a way back; where the data of before was still to come, and people may have used the app since, a human is called."""
    why = why.partition(_AWAY)[0]
    kept_out = gateways(course.workspace, course.upgrade.app, course.ports)
    if not course.upgrade.served and not kept_out and (_is_healed(course) or _is_used(course, list(course.before))):
        return _used(course, f"{why}; it ran meanwhile, and no gateway kept people out")
    return returned(course, why, restores=not course.upgrade.served)


def _put_back(course: Course, why: str) -> str:
    """Put the old releases back, the last first, and let them rest; return what failed, if anything."""
    ports, app = course.ports, course.upgrade.app
    now = {item.release.instance: item for item in deployed_of(app, ports)}
    there = {release.instance: now[release.instance].release.id for release in course.after if release.instance in now}
    for name in core.to_take_back({one: item.release.id for one, item in course.before.items()}, there):
        ports.reporter.say(f"{name}  back to {course.before[name].release.version}: {brief(why)}")
        done = put_back(course, now[name], course.before[name], why, lives=False, rests=name in _rest(course))
        if done.outcome != "done":
            course.outcomes[name] = f"not taken back: {done.detail}"
            return f"{name} could not be taken back: {done.detail}"
        course.outcomes[name] = f"taken back: {course.outcomes.get(name, why)}"
    return ""


def _shut(course: Course, why: str, *, restores: bool) -> Upgrade | None:
    """Close the app for its way back; return how that ends if it `restores` data and the app is open, or may be."""
    try:
        if restores and is_closed(course.workspace, course.upgrade.app, course.owner, course.ports) is False:
            return _used(course, f"{why}; it was open meanwhile")
        _closed(course, _RETURN)
    except TfhealError as error:
        return _waits(course, why, error)
    return None


def _waits(course: Course, why: str, error: TfhealError) -> Upgrade:
    """Leave a way back where it is while the app cannot be closed for it, and call a human, once; the next run goes on with it."""
    upgrade, detail = course.upgrade, f"{why}{_AWAY}{error}"
    where = next(iter(course.before)).slice
    hint = f"tfheal upgrade {upgrade.app} --to {upgrade.new} goes on with the way back once its gateway answers"
    if _AWAY not in upgrade.detail:
        call(upgrade.app, where, "upgrade-failed", f"{upgrade.old} to {upgrade.new}: {detail}", hint, course.ports)
    _reached(course, "returning", detail)
    return course.upgrade


def _used(course: Course, why: str) -> Upgrade:
    """Leave all as it is where a way back would lose what people may have written; that is kept, and it is not closed anew."""
    course.upgrade = replace(course.upgrade, served=True)
    return frozen(course, f"{why}; {REFUSALS['needs-restore']}")


def _found(course: Course) -> None:
    """Write down that people may have used the new version unless the app is closed still, before it is closed anew."""
    if is_closed(course.workspace, course.upgrade.app, course.owner, course.ports) is not True:
        _served(course)


def _served(course: Course) -> None:
    """Write down that what is there may have been used: from now on no data comes back."""
    if not course.upgrade.served:
        course.upgrade = replace(course.upgrade, served=True)
        course.ports.upgrades.put(course.upgrade)


def _is_healed(course: Course) -> bool:
    """Return whether healing, or a slice by itself, acted on the app since its upgrade began: it may have started what was at rest."""
    done = course.ports.journal.actions(course.upgrade.app, since=course.upgrade.started)
    return any(one.verb == "reflex" or (one.incident is not None and one.verb != "page") for one in done)


def _is_used(course: Course, names: Collection[InstanceName]) -> bool:
    """Return whether any of these that was to be at rest, and that nothing keeps people from, is well, or may be."""
    began = [name for name in names if course.outcomes.get(name) != "begun" and name in _rest(course)]
    if course.ready.intersection(began):
        return True
    app = course.upgrade.app
    found = look(course.workspace, Scope((app,)), course.ports, course.limits)
    health = judged(course.workspace, (app,), found, course.ports).instances
    return any(health[name] in {"healthy", "unknown"} for name in began)


def _put_beside(course: Course) -> str:
    """Build all new software beside what runs, before anybody has to wait; return what failed, if anything."""
    items = {item.release.instance: item for item in deployed_of(course.upgrade.app, course.ports)}
    return next((why for one in course.after if (why := put_beside(course, items[one.instance], one))), "")


def _failed(course: Course, why: str) -> Upgrade:
    """Take it back as the playbook says; what people have used already, or what may not go back, waits for a human."""
    upgrade = course.upgrade
    strictest = rule(upgrade.new, upgrade.old, course.workspace.folder(upgrade.app).playbook)
    if strictest == "safe":
        _served(course)
        return returned(course, why, restores=False)
    if strictest == "needs-restore" and upgrade.backup and not upgrade.served:
        return returned(course, why, restores=True)
    return frozen(course, f"{why}; {REFUSALS[strictest]}")


def _rest(course: Course) -> Collection[InstanceName]:
    return core.at_rest(course.after)


def _closed(course: Course, longest: float) -> bool | None:
    """Close the app at its gateways; return whether it was closed already, None without any gateway."""
    found = close(course.workspace, course.upgrade.app, course.owner, longest, course.ports)
    if course.closed is None:
        course.closed = course.ports.clock.monotonic()
        if found is not None:
            course.ports.reporter.say(f"{course.upgrade.app}  is closed: people read that it is being worked on")
    return found


def _opened(course: Course) -> None:
    """Open the app, and say for how long it was closed."""
    ports, app = course.ports, course.upgrade.app
    answered = reopen(course.workspace, app, course.owner, ports)
    if course.closed is not None:
        course.away = ports.clock.monotonic() - course.closed
        told = "" if answered is None else f"; its gateways told people {answered} times to come back"
        ports.reporter.say(f"{app}  is back after {course.away:.0f} s{told}")


def _reached(course: Course, state: UpgradeState, why: str = "") -> None:
    """Write down how far it came, before anything follows from it."""
    ports = course.ports
    course.upgrade = replace(course.upgrade, state=state, detail=why)
    ports.upgrades.put(course.upgrade)
    if state == "migrating":  # from now on healing, too, goes on to the new version, and starts nothing of the old one
        now = {item.release.instance: item.deployed for item in deployed_of(course.upgrade.app, ports)}
        for one in course.after:
            ports.journal.save_release(one, ports.clock.now())
            meant = replace(now[one.instance], release=one.id, version=one.version, phase="deploying")
            ports.journal.set_deployed(replace(meant, at=ports.clock.now()))


def _moved(course: Course) -> str:
    """Put each instance to the new version, the first of a component migrates the data; return what failed, if anything."""
    ports, migrated = course.ports, set[str]()
    for release in course.after:
        item = next(one for one in deployed_of(course.upgrade.app, ports) if one.release.instance == release.instance)
        if (item.release.id, item.deployed.phase) != (release.id, "deployed"):
            course.outcomes[release.instance] = "begun"
            ports.reporter.say(f"{release.instance}  from {course.upgrade.old} to {release.version}")
            why = f"upgrade from {course.upgrade.old} to {course.upgrade.new}"
            done = switched(
                course.workspace,
                Switch(item, release, "deploy", why, core.room(release), migrated=release.component in migrated),
                course.run,
                ports,
            )
            if done.outcome != "done":
                course.outcomes[release.instance] = f"{done.outcome}: {done.detail}"
                course.blamed = core.is_to_blame(done.outcome, done.report)
                return f"{release.instance}: {done.detail}"
            standing.lift(release.instance, release.id, ports)
        course.outcomes[release.instance] = "is there"
        migrated.add(release.component)
    return ""


def _up_again(course: Course) -> str:
    """Start what was put back, in its order; return what is not well with it, if anything."""
    ports = course.ports
    old = core.in_order([item.release for item in course.before.values()])
    for release in old:
        item = next(one for one in deployed_of(course.upgrade.app, ports) if one.release.instance == release.instance)
        why = f"the upgrade to {course.upgrade.new} is taken back"
        done = switched(course.workspace, Switch(item, release, "rollback", why), course.run, ports)
        if done.outcome != "done":
            return f"{release.instance}: {done.detail}"
    return _proven(course, old, 0.0)


def _proven(course: Course, releases: Collection[Release], soak: float) -> str:
    """Look at all of an app until it was ready and stayed so; return what is wrong with it, if anything. What was ready is noted."""
    ports, app = course.ports, course.upgrade.app
    workspace = at_version(course.workspace, app, next(iter(releases)).version)
    watches = {release.instance: core.Watch() for release in releases}
    pause, since = min(_LOOKS, max(0.3, soak / 10)), ports.clock.monotonic()
    patience = max(release.start_timeout for release in releases) + core.READY_WITHIN
    while True:
        ports.reporter.step(app, "has to be ready, and to stay so")
        found = look(workspace, Scope((app,)), ports, course.limits)
        diagnosis = judged(workspace, (app,), found, ports)
        now = ports.clock.monotonic()
        for one in releases:
            health, runs = diagnosis.instances[one.instance], _up(one, found)
            watches[one.instance] = watches[one.instance].seen(health, runs, now)
            if health == "healthy":
                course.ready.add(one.instance)
        failed = [name for name, watch in watches.items() if watch.has_failed(now - since, patience)]
        lost = [name for name, watch in watches.items() if watch.is_lost(now)]
        if ill := failed or lost:
            course.blamed = bool(failed)
            told = [f"{one.instance}: {one.cause}: {one.detail}" for one in diagnosis.findings if one.instance in ill]
            words = "; ".join(told)[:500] or ", ".join(f"{name} is {diagnosis.instances[name]}" for name in ill)
            course.outcomes.update({name: "did not stay up" for name in ill if name in course.outcomes})
            return words
        if all(watch.has_passed(soak, now) for watch in watches.values()):
            return ""
        ports.clock.sleep(pause)


def _up(release: Release, found: Look) -> float | None:
    seen = found.seen.get(release.slice)
    facts = seen.instances.get(release.instance.on_slice) if isinstance(seen, SliceFacts) else None
    return facts.unit.value.active_for if facts and isinstance(facts.unit, Known) else None
