"""An upgrade under way, and how it takes itself back: the old releases over the data as it is, or a human.

The data of before comes back only where nobody can have written since it was backed up: in an app that is closed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from tfheal.base.errors import TfhealError
from tfheal.base.untrusted import brief
from tfheal.core import upgrade as core
from tfheal.core.resources import Step, cluster
from tfheal.core.standing import REFUSALS, rule
from tfheal.core.traffic import Rate
from tfheal.flows import restore as restores
from tfheal.flows import standing
from tfheal.flows.act import Done, Work, act
from tfheal.flows.at_rest import await_backups
from tfheal.flows.calls import call
from tfheal.flows.fleet import Limits
from tfheal.flows.gateway import Out, drained
from tfheal.flows.gateway import put_back as undrained
from tfheal.flows.releases import secret_values
from tfheal.flows.repository import lease_of
from tfheal.flows.traffic import even
from tfheal.flows.versions import Switch, at_version, deployed_of, stores_follow, switched
from tfheal.model.playbook import CanaryRules
from tfheal.model.ports import Ports
from tfheal.model.record import Expected
from tfheal.model.release import InstanceName, Release
from tfheal.model.upgrade import Upgrade, UpgradeState
from tfheal.model.workspace import Workspace

WORK: Final = 900.0  # seconds that software may take to be put there, and to be looked at


@dataclass(slots=True)
class Course:
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
    ready: set[InstanceName] = field(
        default_factory=set
    )  # what was seen to be well with the new version, while it is closed
    blamed: bool = True  # what failed is the version's own fault: it is held
    lose: bool = False  # what was written since in another server may be lost by going back
    moving: float = 0.0  # for how many seconds data is away that moves to another server, about
    canary: CanaryRules = field(default_factory=CanaryRules)
    closed: float | None = None  # since when all of the app is stopped, on the monotonic clock
    away: float | None = None  # for how long it was, once it is back

    @property
    def usual(self) -> Rate:
        """Return what gateways counted of the version before."""
        return Rate(*self.upgrade.usual)

    @property
    def moved(self) -> frozenset[InstanceName]:
        """Return the instances whose databases are in another server after it than before."""
        after = {release.instance: release for release in self.after}
        return frozenset(
            name for name, one in self.before.items() if name in after and core.moves(one.release, after[name])
        )

    def out(self, release: Release, *, must: bool) -> Out:
        """Return for how long an instance may be out of the traffic of its gateway, and that its requests wait if it is the last."""
        longest = core.out_of_work(release) + self.soak + WORK
        return Out(self.owner, longest, waits=True, must=must)

    @property
    def owner(self) -> str:
        """Return whose what it does at a gateway is: of any run that goes on with it."""
        return f"upgrade {self.upgrade.app}"


def failed(course: Course, why: str) -> Upgrade:
    """Take a failed upgrade of an app that is not closed back where its data may stay; else all stays as it is, and a human is called.

    Others wrote to that data all the time: a restore would lose it.
    """
    app = course.upgrade.app
    strictest = rule(course.upgrade.new, course.upgrade.old, course.workspace.folder(app).playbook)
    stays = core.stays_behind([one.release for one in course.before.values()], course.moved)
    if strictest == "safe" or (strictest == "needs-restore" and stays) or _is_untouched(course):
        return taken_back(course, why)
    return frozen(course, f"{why}; {REFUSALS[strictest]}")


def _is_untouched(course: Course) -> bool:
    """Return whether nothing of the new version was ever begun."""
    now = {item.release.instance: item for item in deployed_of(course.upgrade.app, course.ports)}
    return all(
        (now[name].release.id, now[name].deployed.phase) == (one.release.id, "deployed")
        for name, one in course.before.items()
    )


def taken_back(course: Course, why: str) -> Upgrade:
    """Put the old releases back, the last first, over the data as it is, and hold the new ones if they are to blame."""
    ports = course.ports
    now = {item.release.instance: item for item in deployed_of(course.upgrade.app, ports)}
    there = {
        name: "" if now[name].deployed.phase == "deploying" else now[name].release.id
        for name in (release.instance for release in course.after)
        if name in now
    }
    if not course.lose and (gone := lost(course)):
        return frozen(course, f"{why}; {gone}")
    ended(course, "taking-back", why)  # whoever goes on after a kill goes on with this
    for name in core.to_take_back({one: item.release.id for one, item in course.before.items()}, there):
        ports.reporter.say(f"{name}  back to {course.before[name].release.version}: {brief(why)}")
        out = course.out(course.before[name].release, must=False)
        with drained(course.workspace, name, out, ports):
            done = put_back(course, now[name], course.before[name], why, lives=True)
        if done.outcome != "done":
            course.outcomes[name] = f"not taken back: {done.detail}"
            return frozen(course, f"{why}; {name} could not be taken back: {done.detail}")
        course.outcomes[name] = f"taken back: {course.outcomes.get(name, why)}"
    stores = came_to(course, course.upgrade.old)
    return ended(course, "rolled-back", "; ".join(filter(None, (why, stores))))


def in_the_traffic(course: Course) -> None:
    """Put back what a run that was killed took out of the traffic of its gateway, with its full share, if no human is asked about that."""
    for release in course.after:
        undrained(course.workspace, release.instance, course.owner, course.ports)
        if course.upgrade.state != "undecided":
            even(course.workspace, release.instance, course.owner, course.ports)


def lost(course: Course) -> str:
    """Return what would be lost if the servers of before took over again; nothing where none was written to since."""
    told = []
    for item in deployed_of(course.upgrade.app, course.ports):
        name = item.release.instance
        if name in course.moved:
            done = acted(course, item, (cluster.lost(course.before[name].release),), held=True)
            told += [f"{name}: {done.detail.partition(': ')[2] or done.detail}"] if done.outcome != "done" else []
    return "; ".join(told)


def acted(course: Course, item: Expected, steps: tuple[Step, ...], *, held: bool) -> Done:
    """Do something to an instance that is no switch of its release; whether it lives then is not asked of one that is `held` back."""
    work = Work(
        verb="restart",
        release=item.release,
        steps=steps,
        secrets=secret_values(item.release, course.ports),
        why=f"the upgrade from {course.upgrade.old} to {course.upgrade.new}, or back",
        run=course.run,
        generation=item.deployed.generation,
        held_back=held,
    )
    return act(work, course.workspace.inventory.slice(item.release.slice), course.ports)


def came_to(course: Course, version: str) -> str:
    """Write the version that an app came to into its spec, once its stores have followed; return which of them did not."""
    app, ports = course.upgrade.app, course.ports
    failed = stores_follow(at_version(course.workspace, app, version), app, course.run, ports)
    ports.specs.put_version(app, version)
    return f"{failed} (tfheal deploy {app} tries again)" if failed else ""


def restored(course: Course) -> str:
    """Bring the data of the backup of before back, and return why that failed, if it did."""
    app, ports = course.upgrade.app, course.ports
    ports.reporter.say(f"{app}  the data of backup {course.upgrade.backup} comes back")
    try:
        await_backups(app, ports)
        with ports.leases.hold(lease_of(app), "upgrade", course.run):
            plan = restores.planned(course.workspace, app, restores.Wish(course.upgrade.backup), ports)
            done = restores.in_place(course.workspace, plan, ports, course.limits, course.run)
    except TfhealError as error:
        return str(error)
    for item in deployed_of(app, ports):
        if item.deployed.phase == "deploying":
            ports.journal.set_deployed(replace(item.deployed, phase="deployed", at=ports.clock.now()))
    return "; ".join(f"{name}: {how}" for name, how in done.outcomes.items() if how != "done")


def put_back(course: Course, item: Expected, before: Expected, why: str, *, lives: bool, rests: bool = False) -> Done:
    """Put an old release back in place of a new one, which is held if it is to blame; one that `lives` has to be alive then.

    One that `rests` is not started: it could not read its data.
    """
    blamed = course.blamed and item.release.id != before.release.id  # else it was cut off on its way back
    if blamed:
        standing.hold(item.deployed, brief(why)[:300], course.ports)
    told = f"the upgrade to {course.upgrade.new} is taken back"
    # What a restore brings back is not lost by it.
    over = cluster.step(before.release, lose=True) if course.lose or not lives else None
    switch = Switch(
        item,
        before.release,
        "rollback",
        told,
        first=(over,) if over else (),
        lives=lives,
        holds=item.deployed.release if blamed else None,
        rests=rests,
    )
    return switched(course.workspace, switch, course.run, course.ports)


def frozen(course: Course, why: str) -> Upgrade:
    """Leave all as it is, call a human, and write that down."""
    upgrade, ports = course.upgrade, course.ports
    where = next((name.slice for name in course.outcomes), course.after[0].slice)
    hint = (
        f"what is healthy serves on; the backup of before is {upgrade.backup}"
        if upgrade.backup
        else "what is healthy serves on"
    )
    call(upgrade.app, where, "upgrade-failed", f"{upgrade.old} to {upgrade.new}: {why}", hint, ports)
    return ended(course, "frozen", why)


def ended(course: Course, state: UpgradeState, why: str) -> Upgrade:
    """Write down how an upgrade ended, or how far it came, and return it."""
    upgrade = replace(course.upgrade, state=state, detail=why)
    course.upgrade = upgrade
    course.ports.upgrades.put(upgrade)
    return upgrade
