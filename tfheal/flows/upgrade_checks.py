"""What is looked at before an upgrade changes anything: whether it can be meant, what it would be, what stands in its way."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tfheal.base.errors import Refused, Unreachable, UsageError
from tfheal.base.moments import rfc3339
from tfheal.base.untrusted import brief
from tfheal.core import upgrade as core
from tfheal.core.backup.recovery import is_base
from tfheal.core.resources import Step
from tfheal.core.resources.cluster import cluster_of
from tfheal.core.standing import REFUSALS, is_older, rule
from tfheal.core.windows import next_start, window_open
from tfheal.flows import standing
from tfheal.flows import upgrade_canary as canary
from tfheal.flows.backup import backup
from tfheal.flows.charters import heeded
from tfheal.flows.fleet import Limits
from tfheal.flows.look import Look, Scope, judged, look
from tfheal.flows.observe import Asked, observed
from tfheal.flows.pauses import check
from tfheal.flows.place import is_pending
from tfheal.flows.releases import by_slice, secret_values
from tfheal.flows.repository import stored
from tfheal.flows.verify import verify
from tfheal.flows.versions import at_version, deployed_of, releases_of, unfinished, ways_on
from tfheal.model.backup import STORE
from tfheal.model.facts import Known, SliceFacts
from tfheal.model.findings import Finding
from tfheal.model.playbook import CanaryRules
from tfheal.model.ports import Ports
from tfheal.model.release import InstanceName, Release
from tfheal.model.upgrade import WAITING, Strategy, Upgrade, Upgraded
from tfheal.model.workspace import Workspace

_EACH = 60.0  # seconds that an instance is expected to take besides its soak
_LAST = 3  # backups by which the next one is estimated

Room = tuple[Release, tuple[Step, ...]]  # a release, and what asks its slice for room


@dataclass(frozen=True, slots=True)
class Wish:
    """What the operator asked for; `soak` in seconds in place of the playbook's, `backup` False: without one before.

    `share` in percent and `time` in seconds of a canary in place of the playbook's; `go_on`: one that proved nothing is good.
    """

    to: str
    plan: bool = False
    again: bool = False
    backup: bool = True
    soak: float | None = None
    strategy: Strategy | None = None
    share: float | None = None
    time: float | None = None
    go_on: bool = False


def begun_before(app: str, wish: Wish, ports: Ports) -> Upgrade | None:
    """Return the upgrade that another run did not bring to its end; raise Refused if it was to another version.

    Raise UsageError where a word about a canary is said, and there is none.
    """
    begun = unfinished(app, ports)
    if wish.go_on and (begun is None or begun.strategy != "canary" or begun.state == "taking-back"):
        raise UsageError(f"no canary of {app} waits for a word", hint="--go-on is for one that proved nothing")
    if (wish.share or wish.time) and (wish.strategy or (begun.strategy if begun else "rolling")) != "canary":
        raise UsageError("--share and --time are of a canary", hint="say --strategy canary too")
    if begun is not None and begun.new != wish.to:
        raise Refused(f"its upgrade to {begun.new} did not come to its end", where=app, hint=ways_on(begun))
    return begun


def findings(app: str, ports: Ports) -> Iterator[Finding]:
    """Yield the information that an upgrade of an app is under way, was cut off or waits for a human, and what ends it then."""
    last, items = unfinished(app, ports), deployed_of(app, ports)
    if last is None or not items:
        return
    way = {"returning": "is taken back", "taking-back": "is taken back"}.get(last.state, "is under way")
    now = f"is {last.state} ({brief(last.detail)}):" if last.state in WAITING else f"{way}, or was cut off: then"
    detail = f"its upgrade from {last.old} to {last.new} {now} {ways_on(last)}"
    name = items[0].release.instance
    yield Finding("upgrade-unfinished", "info", name.slice, detail, name)


def going_on(begun: Upgrade | None, wish: Wish) -> Upgrade | None:
    """Given an upgrade that was begun, if one was, return it as it goes on: a canary that a human calls good is one no more."""
    if begun is None or begun.strategy != "canary" or begun.state == "taking-back":
        return begun
    return replace(begun, state="running", strategy="rolling" if wish.go_on else "canary")


def planned(workspace: Workspace, app: str, wish: Wish, begun: Upgrade | None, ports: Ports) -> Upgraded:
    """Return what an upgrade would do, in which order, and what users would notice; raise Refused if it is not deployed."""
    items, playbook = deployed_of(app, ports), workspace.folder(app).playbook
    after = core.in_order(releases_of(at_version(workspace, app, wish.to), app, ports))
    if {item.release.instance for item in items} != {one.instance for one in after}:
        raise Refused("it is not deployed as its spec says", where=app, hint=f"first: tfheal deploy {app}")
    now = {item.release.instance: item for item in items}
    changed = [
        one for one in after if (now[one.instance].release.id, now[one.instance].deployed.phase) != (one.id, "deployed")
    ]
    old = begun.old if begun else next((item.deployed.version for item in items), wish.to)
    there = begun is None and not changed
    were = (
        [item.release for item in items]
        if begun is None
        else list(releases_of(at_version(workspace, app, old), app, ports))
    )
    made = Upgrade("", app, old, wish.to, "unchanged" if there else "planned", ports.clock.now())
    moving = {
        one.instance: core.Moving(cluster_of(before), cluster_of(one), _size(workspace, one.instance, ports))
        for one in changed
        if core.moves(before := now[one.instance].release, one)
    }
    made = replace(made, strategy=wish.strategy or (begun.strategy if begun else "rolling"))
    trial = trial_of(workspace, app, wish)
    backs_up = wish.backup and begun is None and core.keeps_data(playbook, STORE)
    way_back, backup = rule(old, wish.to, playbook), _took(workspace, app, ports)
    restores = way_back == "needs-restore" and (backs_up or bool(begun and begun.backup))
    stays = core.stays_behind(were, _moved(were, after))
    soak = soak_of(workspace, app, wish)
    closes = core.closes(were, after, restores=restores and not stays)
    closed = core.closed_for(after, soak) if closes else None
    rolled = len(changed) * soak + core.migrating_for(were, after) + sum(one.expected for one in moving.values())
    takes = len(changed) * _EACH + (rolled if closed is None else closed + backup.making)
    return Upgraded(
        begun or made if not wish.plan else made,
        way_back,
        tuple(one.instance for one in changed),
        interruption=core.interruption(were, changed, moving, closed=closed),
        closes=closes,
        moving=sum(one.expected for one in moving.values()),
        backs_up=backs_up,
        takes=takes + (trial.time if made.strategy == "canary" else 0.0),
        backing=backup.making + backup.reading if backs_up else 0.0,
        share=trial.share if made.strategy == "canary" else 0.0,
        trial=trial.time if made.strategy == "canary" else 0.0,
    )


@dataclass(frozen=True, slots=True)
class _Took:
    """For how many seconds the last good backup of an app was made, and what is stored of it read."""

    making: float = 0.0
    reading: float = 0.0


def _took(workspace: Workspace, app: str, ports: Ports) -> _Took:
    """Return how long a backup of an app and its verification took the last time; where that is not known nothing, or as long as the other."""
    good = [one for one in stored(workspace, app, ports) if one.state == "good" and one.received]
    last = max(good, key=lambda one: one.started, default=None)
    making = (last.received - last.started).total_seconds() if last and last.received else 0.0
    reading = ports.upgrades.took(f"backup verify {app}")
    return _Took(max(0.0, making), making if reading is None else reading)


def _moved(before: list[Release], after: tuple[Release, ...]) -> frozenset[InstanceName]:
    """Return the instances whose databases are in another server after than before."""
    then = {one.instance: one for one in after}
    return frozenset(one.instance for one in before if one.instance in then and core.moves(one, then[one.instance]))


def _size(workspace: Workspace, instance: InstanceName, ports: Ports) -> int:
    """Return how many bytes the dumps of an instance had in its last good backup, 0 if there is none."""
    good = [one for one in stored(workspace, instance.app, ports) if one.state == "good"]
    last = max(good, key=lambda one: one.started, default=None)
    parts = last.parts if last else ()
    ours = (one for one in parts if one.slice == instance.slice and one.what.startswith(f"{instance.component}/"))
    return sum(one.bytes for one in ours if not is_base(one.what))


def _is_due(workspace: Workspace, plan: Upgraded, ports: Ports) -> None:
    """Raise Refused where an upgrade may not begin by what is written of its app, or by its window."""
    app, now = plan.upgrade.app, ports.clock.now()
    if not ports.specs.takes_version(app):
        hint = "write version: on a line of its own: the upgrade writes it there when it is done"
        raise Refused("the line of its version is not to be found", where=f"apps/{app}.yaml", hint=hint)
    old, new, keeps = plan.upgrade.old, plan.upgrade.new, core.keeps_data(workspace.folder(app).playbook, STORE)
    if is_older(new, old) and (plan.rule == "forbidden" or (keeps and plan.rule != "safe")):
        hint = f"tfheal rollback {app} goes back the way that it came; tfheal deploy --in-place goes over its data as that is"
        raise Refused(f"{new} is older", where=app, why=f"from {old} to {new} {REFUSALS[plan.rule]}", hint=hint)
    if plan.backs_up and workspace.apps[app].backup is None:
        hint = f"write backup: {{to: SLICE}} into apps/{app}.yaml, or say --no-backup"
        raise Refused("it holds data, and has no backups", where=app, hint=hint)
    if is_pending(at_version(workspace, app, plan.upgrade.old), app, ports):
        raise Refused("its spec asks for something else besides", where=app, hint=f"first: tfheal deploy {app}")
    takes = plan.takes + plan.backing
    if not window_open(window := workspace.window(app), now, takes):
        start = next_start(window, now, takes)
        why = (
            f"it would take {takes:.0f} s, and its window opens at {rfc3339(start)}"
            if start
            else "its window is too short"
        )
        hint = f"wait for it, or change window: of apps/{app}.yaml or [window] of tfheal.toml"
        raise Refused("it is outside its maintenance window", where=app, why=why, hint=hint)


def permitted(workspace: Workspace, plan: Upgraded, wish: Wish, ports: Ports, limits: Limits) -> None:
    """Raise Refused with what stands in the way of an upgrade that is not begun yet."""
    app = plan.upgrade.app
    _is_due(workspace, plan, ports)
    found = look(workspace, Scope((app,)), ports, limits)
    for item in found.meant:
        check(app, item.release.slice, ports)
    _is_well(workspace, app, found, ports)
    heeded(workspace, (name.slice for name in plan.order), "upgrade", ports, limits)
    there = releases_of(at_version(workspace, app, wish.to), app, ports)
    _may_be(workspace, plan, wish, there, found, ports)
    due = [one for one in there if one.instance in plan.order]
    rooms = {one.instance: (one, steps) for one in due if (steps := core.room(one))}
    if plan.backs_up:
        rooms |= _store_rooms(workspace, app, found, ports)
    _has_room(workspace, rooms, ports, limits)


def _may_be(
    workspace: Workspace, plan: Upgraded, wish: Wish, there: tuple[Release, ...], found: Look, ports: Ports
) -> None:
    """Raise Refused where a version is held, is not locked, or cannot be tried as it was asked for."""
    app = plan.upgrade.app
    for release in () if wish.again else there:
        if why := standing.held(release, found.seen.get(release.slice), ports):
            raise Refused(f"version {wish.to} is held", where=str(release.instance), why=why, hint="--again tries it")
    if plan.upgrade.strategy == "canary":
        if plan.closes:
            why = "all of it is stopped meanwhile"
            raise Refused("one instance cannot go first", where=app, why=why, hint="leave out --strategy canary")
        canary.permitted(workspace, core.in_order(there), ports)
    for release in there:
        if unlocked := core.unlocked(release):
            raise Refused("its lock has no hash for a package", where=str(release.instance), why=unlocked)


def _is_well(workspace: Workspace, app: str, found: Look, ports: Ports) -> None:
    """Raise Refused where an app is not well, and Unreachable where all that is not known to be well could not be asked."""
    if ill := {
        name: one for name, one in judged(workspace, (app,), found, ports).instances.items() if one != "healthy"
    }:
        told = ", ".join(f"{name} is {health}" for name, health in ill.items())
        if set(ill.values()) == {"unknown"}:
            raise Unreachable("it could not be asked", where=app, why=told, hint="tfheal status says why")
        raise Refused(
            "it is not well",
            where=app,
            why=told,
            hint="tfheal heal first: what fails then would be blamed on the upgrade",
        )


def _store_rooms(workspace: Workspace, app: str, found: Look, ports: Ports) -> dict[InstanceName, Room]:
    """Return what asks the stores of an app for room for what its last backups cost there at most; nothing before the first one."""
    good = [one for one in stored(workspace, app, ports) if one.state == "good"]
    last = sorted(good, key=lambda one: one.started)[-_LAST:]
    stores = [item.release for item in found.meant if item.release.component == STORE]
    wanted = max((one.added for one in last), default=0)
    return {one.instance: (one, (core.store_room(one, wanted),)) for one in stores if last}


def _has_room(workspace: Workspace, rooms: Mapping[InstanceName, Room], ports: Ports, limits: Limits) -> None:
    """Raise Refused where a slice has no room for what is to come to it; what could not be asked, the switch asks again."""
    questions = {
        name: tuple(Asked(one, rooms[one.instance][1], secret_values(one, ports, planning=True)) for one in ours)
        for name, ours in by_slice(release for release, _ in rooms.values()).items()
    }
    seen = observed([workspace.inventory.slice(name) for name in questions], questions, ports, limits)
    for name in rooms:
        there = seen[name.slice]
        resources = there.instances[name.on_slice].resources if isinstance(there, SliceFacts) else None
        for fact in resources.value if isinstance(resources, Known) else ():
            if fact.state == "differs":
                hint = "free some: nothing was changed"
                raise Refused("it cannot be put beside what is there", where=str(name), why=fact.detail, hint=hint)


def backed_up(workspace: Workspace, plan: Upgraded, ports: Ports, limits: Limits) -> str:
    """Make a backup and read what is stored, and return its id; raise Refused where either is not good."""
    app = plan.upgrade.app
    if not plan.backs_up:
        return ""
    (made,) = backup(workspace, (app,), ports, limits)
    if made.backup is None or made.backup.state != "good":
        why = made.refused or (f"it is {made.backup.state}: {made.backup.detail}" if made.backup else "")
        raise Refused("there is no good backup of now", where=app, why=why)
    if wrong := [one for one in verify(workspace, (app,), ports) if one.exit]:
        raise Refused("what is stored could not be verified", where=app, why=wrong[0].refused or "it is damaged")
    return made.backup.id


def may_go_on(workspace: Workspace, app: str, ports: Ports, limits: Limits) -> None:
    """Raise Refused where an upgrade that was begun may not go on: its owner, or a pause, says no by now."""
    there = [item.release.slice for item in deployed_of(app, ports)]
    for name in there:
        check(app, name, ports)
    heeded(workspace, there, "upgrade", ports, limits)


def takes_of(workspace: Workspace, app: str, version: str, ports: Ports) -> float:
    """Return how many seconds an upgrade of an app is expected to take; of one that cannot be planned, none."""
    try:
        plan = planned(workspace, app, Wish(version), None, ports)
    except Refused:
        return 0.0
    return plan.takes + plan.backing


def trial_of(workspace: Workspace, app: str, wish: Wish) -> CanaryRules:
    """Return which share a canary has, and for how long."""
    rules = workspace.folder(app).playbook.upgrade.canary
    asked = {"share": wish.share, "time": wish.time}
    return rules.model_copy(update={key: value for key, value in asked.items() if value is not None})


def soak_of(workspace: Workspace, app: str, wish: Wish) -> float:
    """Return for how many seconds each instance has to stay well."""
    return workspace.folder(app).playbook.upgrade.soak if wish.soak is None else wish.soak
