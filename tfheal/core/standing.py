"""How releases stand: one that stayed healthy through its soak is known good, and is what a rollback goes back to.

Only what was observed counts, with its times: what could not be asked proves nothing and disproves nothing, and a
service that was restarted in between has not stayed healthy.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from tfheal.core.resources.software import software
from tfheal.model.findings import Health
from tfheal.model.plan import Back
from tfheal.model.playbook import Playbook, WayBack
from tfheal.model.record import Deployed, Standing
from tfheal.model.release import Release

KEPT: Final = 2  # releases known good whose software stays on the slice: the one that runs, and the one before
_WORST_FIRST: Final[tuple[WayBack, ...]] = ("forbidden", "needs-restore", "safe")
REFUSALS: Final[Mapping[WayBack, str]] = {
    "forbidden": "the playbook forbids to go back",
    "needs-restore": "going back needs a restore of the data",
}


def observed(standing: Standing, health: Health, active_for: float | None, soak: float, now: datetime) -> Standing:
    """Given how a release stood, its health now, for how many seconds its unit runs, its soak and the time, return how it stands."""
    if health in {"unknown", "paused", "blocked"}:
        return standing
    if health != "healthy":
        return replace(standing, healthy_since=None)
    since = standing.healthy_since or now
    if active_for is not None:
        since = min(now, max(since, now - timedelta(seconds=active_for)))
    proven = (now - since).total_seconds() >= soak
    fresh = standing.good is not None and (now - standing.good).total_seconds() < soak
    return replace(standing, healthy_since=since, good=now if proven and not fresh else standing.good)


def known_good(standings: Iterable[Standing]) -> list[Standing]:
    """Given the standings of one instance, return those that are known good and not held, the newest first."""
    found = [(one.good, one) for one in standings if one.good and not one.held]
    return [one for _, one in sorted(found, key=lambda item: item[0], reverse=True)]


def way_back(
    deployed: Deployed, current: Release, standings: Sequence[Standing], kept: Mapping[str, Release], playbook: Playbook
) -> Back:
    """Given what is deployed, how its releases stand, the kept releases and the playbook, return the way back.

    A release that was known good itself is not gone back from: what ails it now is something else.
    """
    if deployed.phase in {"removing", "retired"}:
        return Back(None, "it is to be gone from there")
    good = known_good(standings)
    if any(one.release == deployed.release for one in good):
        return Back(None, "its release is known good")
    for one in good:
        target = kept.get(one.release)
        if target is None or one.generation != deployed.generation or _rotated(current, target):
            continue  # its placement or its secrets are of another time
        strictest = rule(current.version, target.version, playbook)
        if strictest != "safe":
            return Back(None, f"from version {current.version} to {target.version} {REFUSALS[strictest]}")
        return Back(one.release)
    return Back(None, "no earlier release is known good")


def kept_software(standings: Iterable[Standing], kept: Mapping[str, Release]) -> tuple[tuple[str, ...], ...]:
    """Given the standings of one instance and the kept releases, return the software of the newest that are known good."""
    found = (kept.get(one.release) for one in known_good(standings)[:KEPT])
    return tuple(software(release) for release in found if release is not None)


def _rotated(current: Release, target: Release) -> bool:
    now = dict(current.secrets())
    return any(now.get(name, version) != version for name, version in target.secrets())


def rule(current: str, target: str, playbook: Playbook) -> WayBack:
    """Return the strictest rule of the versions above the lower of two, up to the higher one; within a version: safe."""
    if current == target:
        return "safe"
    rules = playbook.upgrade
    low, high = sorted((_order(current), _order(target)))
    passed = {one for one in (*playbook.versions, *rules.versions, current, target) if low < _order(one) <= high}
    strict = {rules.versions.get(version, rules.rollback) for version in passed}
    return next(one for one in _WORST_FIRST if one in strict)


def is_older(version: str, than: str) -> bool:
    """Return whether a version comes before another, in the order in which their rules count."""
    return _order(version) < _order(than)


def _order(version: str) -> list[tuple[int, str]]:
    """Return what sorts versions as people count: 1.9 before 1.10."""
    parts = re.findall(r"\d+|[A-Za-z]+", version)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
