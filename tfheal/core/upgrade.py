"""Upgrading, as far as it is judged and not done: in which order, what to expect, and whether a version has proven itself."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from tfheal.base import sh
from tfheal.core.apply import Report
from tfheal.core.order import stages
from tfheal.core.resources import cluster, packages, venv
from tfheal.core.resources.migrate import series
from tfheal.core.resources.software import trees
from tfheal.core.resources.step import Step, apply_script, check_script
from tfheal.core.resources.tree import beside as tree_beside
from tfheal.core.resources.tree import tree_id
from tfheal.core.stores import holds_data
from tfheal.model import paths
from tfheal.model.findings import Health
from tfheal.model.playbook import Migrate, Playbook
from tfheal.model.record import Outcome
from tfheal.model.release import InstanceName, Release
from tfheal.model.resources import Packages, Venv

READY: Final = 3  # looks in a row at which an instance is healthy before it counts as ready
READY_WITHIN: Final = 30.0  # seconds after its start time-out in which an instance has to be ready
_CONFIRMED: Final = 2  # looks in a row at which one that was ready is ill before that counts
SILENT_FOR: Final = 120.0  # seconds in which what could not be asked has to answer again: its slice may start anew
_CLOSE: Final = 1.0  # seconds by which a slice's word on how long something runs may be off
_MOVING_LEAST: Final = 15.0  # seconds that data is away at least that moves to another server
_MOVING_RATE: Final = 4e6  # bytes of a dump that are dumped, restored, compared and read in a second, or more
_CLOSED_FOR: Final = {
    True: "the data is migrated",
    False: "it goes to the other version, so that nothing is lost if the data of before has to come back",
}
_SPARE: Final = 64 << 20  # bytes that stay free
ROOM: Final = "room"  # the step that fails where there is none
# What is built already needs no more room than is to stay free.
_ROOM: Final = """\
need=0
place=
while IFS=' ' read -r id releases; do
    place=${place:-$releases}
    [ ! -e "$releases/$id/.complete" ] || continue
    used=$(du -sxk "$releases" 2>/dev/null | cut -f 1)
    need=$((need + ${used:-0}))
done <<END
$trees
END
while [ ! -d "$place" ]; do place=${place%/*}; [ -n "$place" ] || place=/; done
free=$(df --output=avail -k "$place" | tail -n 1)
need=$((need + spare / 1024))
[ "$free" -ge "$need" ] || differs "$need KiB are needed beside what is there, and $free are free"
"""
_STORE_ROOM: Final = """\
free=$(df --output=avail -B1 "$place" | tail -n 1)
[ "$free" -ge "$wanted" ] || differs "about $wanted bytes are needed for a backup, and $free are free"
"""
_NO_ROOM: Final = 'fail "there is no room for another release: free some, nothing was changed"'


def in_order(releases: Collection[Release]) -> tuple[Release, ...]:
    """Given the releases of an app, return them in the order in which they are put there: one at a time, after what they need."""
    needs = {release.component: release.needs for release in releases}
    return tuple(
        release
        for components in stages(needs)
        for component in components
        for release in releases
        if release.component == component
    )


@dataclass(frozen=True, slots=True)
class Moving:
    """Data that an upgrade moves to another server: from which to which, and how many bytes its last dump had, if there is one."""

    old: str
    new: str
    size: int = 0

    @property
    def expected(self) -> float:
        """Return for how many seconds it is away, about."""
        return _MOVING_LEAST + self.size / _MOVING_RATE


def interruption(
    before: Collection[Release],
    releases: Collection[Release],
    moving: Mapping[InstanceName, Moving] = MappingProxyType({}),
    *,
    closed: float | None = None,
) -> Mapping[str, str]:
    """Given the releases before and those that change, and what of them moves to another server, return of each component what its users notice.

    Where the app is `closed` for its data, for so many seconds at most, that is all that they notice.
    """
    found = {}
    was = {release.instance: series(release) for release in before}
    resting = at_rest(releases) if closed is not None else frozenset()
    migrated = any(_migrating(before, releases))
    for component in dict.fromkeys(release.component for release in releases):
        ours = [release for release in releases if release.component == component]
        if closed is not None:
            if any(release.instance in resting for release in ours):
                found[component] = (
                    f"all of it is stopped while {_CLOSED_FOR[migrated]}, within {closed:.0f} s; "
                    "its gateways, if it has any, answer with 503 and Retry-After until it is proven"
                )
            continue
        longest = max(out_of_work(one, migrates=series(one) != was.get(one.instance)) for one in ours)
        away = f"stops and starts again, within {longest:.0f} s"
        found[component] = away if len(ours) == 1 else f"one of {len(ours)} at a time {away}"
        if moves := next((moving[one.instance] for one in ours if one.instance in moving), None):
            needy = needing(component, releases)
            stopped = (
                f", and {' and '.join(needy)} stopped, its gateways, if it has any, answering in its place"
                if needy
                else ""
            )
            found[component] = (
                f"serves nobody while all of its data goes from {moves.old} to {moves.new} and is compared, "
                f"about {moves.expected:.0f} s by the size of its last backup{stopped}; {moves.old} stays, stopped"
            )
    return found


def moves(before: Release, after: Release) -> bool:
    """Return whether the databases of an instance are in another server after it."""
    return bool(cluster.cluster_of(before)) and cluster.cluster_of(before) != cluster.cluster_of(after)


def stays_behind(before: Collection[Release], moved: Collection[InstanceName]) -> bool:
    """Given the releases before an upgrade and what moved since, return whether all of the data of before is still where it was."""
    holding = [one for one in before if one.data or one.dumps]
    return bool(moved) and all(
        one.instance in moved and not one.data and all(dump.postgres for dump in one.dumps) for one in holding
    )


def needing(component: str, releases: Collection[Release]) -> tuple[str, ...]:
    """Return the components that need one, and those that need them, each once."""
    found = {component}
    for _ in releases:
        found |= {one.component for one in releases if set(one.needs) & found}
    return tuple(dict.fromkeys(one.component for one in releases if one.component in found - {component}))


def out_of_work(release: Release, *, migrates: bool = True) -> float:
    """Given a release, return for how many seconds its instance serves nobody at most, while it is switched."""
    longest = release.stop_timeout + release.start_timeout
    return longest + (release.migrate.timeout if release.migrate and migrates else 0.0)


def stopped(release: Release) -> Step:
    """Given a release with a unit, return the step that stops it; what the slice or its owner starts again is not kept from it."""
    unit = sh.quote(release.unit or "")
    check = f"! systemctl is-active --quiet -- {unit}"
    return Step("stopped", check, f"systemctl stop -- {unit}", None, timeout=release.stop_timeout + 30)


def closes(before: Collection[Release], after: Collection[Release], *, restores: bool) -> bool:
    """Given the releases before and after, return whether all of the app is stopped on the way from the ones to the others.

    It is where data is migrated that those before could not work on; and where a way back `restores` data, as what was
    written beside it would be lost by that: but for what says that the version before works on beside it.
    """
    migrated = list(_migrating(before, after))
    return any(not one.compatible for one in migrated) or (restores and not migrated)


def _migrating(before: Collection[Release], after: Collection[Release]) -> Iterator[Migrate]:
    """Yield the migrations that are run between the releases before and after."""
    was = {release.instance: series(release) for release in before}
    yield from (one.migrate for one in after if one.migrate and series(one) != was.get(one.instance))


def at_rest(releases: Collection[Release]) -> frozenset[InstanceName]:
    """Given all releases of an app that is closed, return what is stopped for that: all but what its data is migrated, or dumped, with."""
    needs = {release.component: release.needs for release in releases}
    needed = {need for release in releases for need in release.needs}
    kept: set[str] = set()
    found = [need for release in releases if release.migrate for need in release.needs]
    found += [one.component for one in releases if one.component in needed and any(not d.sqlite for d in one.dumps)]
    while found:
        if (name := found.pop()) not in kept:
            kept.add(name)
            found += needs.get(name, ())
    return frozenset(release.instance for release in releases if release.unit and release.component not in kept)


def closed_for(releases: Collection[Release], soak: float) -> float:
    """Given the releases that an app comes to while it is closed, return for how many seconds that is at most, by its time-outs."""
    migrations = {release.component: release.migrate.timeout for release in releases if release.migrate}
    return sum(out_of_work(release, migrates=False) for release in releases) + sum(migrations.values()) + soak


def migrating_for(before: Collection[Release], after: Collection[Release]) -> float:
    """Return for how many seconds data is migrated at most between the releases before and after, while others serve on."""
    return sum(one.timeout for one in _migrating(before, after))


def unlocked(release: Release) -> str:
    """Given a release, return the first package of its software that no hash stands for, empty if there is none."""
    return next((found for one in release.resources if isinstance(one, Venv) and (found := venv.unlocked(one))), "")


def store_room(release: Release, wanted: int) -> Step:
    """Given the release of a store, return the step that fails where it has no room for a backup of so many bytes."""
    check = check_script(_STORE_ROOM, place=paths.data(release.app, release.component), wanted=str(wanted + _SPARE))
    return Step(ROOM, check, apply_script(_NO_ROOM), None, timeout=30.0)


def room(release: Release) -> tuple[Step, ...]:
    """Given a release, return the steps that fail where its software, or its data, has no room beside what is there; nothing is changed before."""
    another = cluster.room(release)
    beside = (another,) if another else ()
    if not (found := trees(release)):
        return beside
    listed = "\n".join(f"{tree_id(tree.content)} {tree.home}/releases" for tree in found)
    check = check_script(_ROOM, trees=listed, spare=str(_SPARE))
    return (Step(ROOM, check, apply_script(_NO_ROOM), None, timeout=30.0, check_timeout=60.0), *beside)


def beside(release: Release) -> tuple[Step, ...]:
    """Given a release, return the steps that build its software beside what is in use; the first fails where there is no room.

    Packages that are missing are installed for that; one that is to have another version is in use, and waits for the switch.
    """
    if not (found := trees(release)):
        return ()
    lacking = [
        replace(packages.step(one.model_copy(update={"names": names})), effect="nothing")
        for one in release.resources
        if isinstance(one, Packages) and (names := tuple(name for name in one.names if "=" not in name))
    ]
    return (*room(release), *lacking, *(tree_beside(tree) for tree in found))


def is_to_blame(outcome: Outcome, report: Report | None) -> bool:
    """Given how a switch ended, return whether the version failed, and not its slice, which had no room or did not answer.

    Data that could not be moved to another server is no fault of the version either: it is where it was.
    """
    failures = report.failures if report else ()
    return outcome == "failed" and not any(one.step in {ROOM, cluster.ROOM, cluster.MOVE} for one in failures)


def keeps_data(playbook: Playbook, store: str) -> bool:
    """Given a playbook, return whether the owner's data is in it."""
    return any(holds_data(component) for name, component in playbook.components.items() if name != store)


@dataclass(frozen=True, slots=True)
class Watch:
    """How an instance did since its release was switched: how often in a row it was well, and how often ill; since when it is ready.

    Since when it could not be asked is `silent`: that says nothing of it, unless it goes on.
    """

    well: int = 0
    ill: int = 0
    ready: float | None = None
    silent: float | None = None

    def seen(self, health: Health, up: float | None, now: float) -> "Watch":
        """Return the watch after another look, at a time of the monotonic clock; its unit runs for `up` seconds, if that is known.

        One that started again after it was ready is as good as ill: it died.
        """
        if health == "unknown":
            return replace(self, silent=now if self.silent is None else self.silent)
        if self.ready is not None and up is not None and up + _CLOSE < now - self.ready:
            return replace(self, well=0, ill=_CONFIRMED, silent=None)
        if health != "healthy":
            return replace(self, well=0, ill=self.ill + 1, silent=None)
        well = self.well + 1
        ready = self.ready if self.ready is not None or well < READY else now
        return replace(self, well=well, ill=0, ready=ready, silent=None)

    def has_failed(self, since: float, patience: float) -> bool:
        """Return whether it is ill after it was ready, or was never ready for so many seconds."""
        if self.silent is not None:
            return False
        return self.ill >= _CONFIRMED if self.ready is not None else since > patience

    def is_lost(self, now: float) -> bool:
        """Return whether it could not be asked for so long that it is given up, which is no proof against its version."""
        return self.silent is not None and now - self.silent > SILENT_FOR

    def has_passed(self, soak: float, now: float) -> bool:
        """Return whether it stayed well for so many seconds after it was ready."""
        return self.ready is not None and self.ill == 0 and self.silent is None and now - self.ready >= soak


def to_take_back(before: Mapping[InstanceName, str], now: Mapping[InstanceName, str]) -> Iterator[InstanceName]:
    """Given the releases before an upgrade and now, by instance, yield what is to be put back, the last first."""
    yield from (name for name in reversed(list(now)) if name in before and before[name] != now[name])
