"""What drills amount to: when a backup last passed one, how long that took, what is wrong with that, and when one is due."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from tfheal.model.backup import Backup, ServiceLevel
from tfheal.model.drill import Drill, Practice
from tfheal.model.findings import Cause

_AGAIN: Final = (
    21_600.0  # seconds after which a drill that did not pass is tried again, unless they are made more often
)


def practice(drills: Sequence[Drill], level: ServiceLevel, now: datetime) -> Practice:
    """Given the drills of an app, oldest first, its service level and the time, return what they amount to."""
    passed = [drill for drill in drills if drill.state == "passed"]
    told = [drill for drill in drills if drill.state in {"passed", "damaged"}]
    damaged = told[-1].detail if told and told[-1].state == "damaged" else ""
    if not passed:
        return Practice(None, None, level.drilled, level.rto, (), damaged)
    last = passed[-1]
    age = max(0.0, (now - last.at).total_seconds())
    return Practice(age, last.seconds, level.drilled, level.rto, last.steps, damaged)


def wrong(found: Practice, since: datetime, now: datetime) -> Iterator[tuple[Cause, str]]:
    """Given what drills amount to, since when there is something to drill, and the time, yield each cause and its words."""
    if found.damaged:
        yield "drill-failed", f"the last drill found damage: {found.damaged}"
    age = found.drilled if found.drilled is not None else (now - since).total_seconds()
    if age > found.drilled_limit:
        last = "no backup has passed a drill yet" if found.drilled is None else f"the last drill passed {age:.0f} s ago"
        yield "drill-late", f"{last}, and one in {found.drilled_limit:.0f} s is promised"
    if found.rto is not None and found.rto > found.rto_limit:
        yield "rto-missed", f"the last drill took {found.rto:.0f} s, and {found.rto_limit:.0f} s are promised"


def due_since(drills: Sequence[Drill], backups: Sequence[Backup], every: float) -> datetime:
    """Given those of an app of which a drill is due, return since when: of none that passed, since there is a good backup."""
    passed = [drill.at for drill in drills if drill.state == "passed"]
    if passed:
        return passed[-1] + timedelta(seconds=every)
    return min(backup.received or backup.started for backup in backups if backup.state == "good")


def takes(drills: Sequence[Drill]) -> float:
    """Given the drills of an app, return how many seconds the next one is expected to take: as many as the last."""
    return next((drill.seconds for drill in reversed(drills) if drill.seconds), 0.0)


def is_due(drills: Sequence[Drill], backups: Sequence[Backup], every: float, now: datetime) -> bool:
    """Given the drills and backups of an app and how often one is to be made, return whether it is time for a drill."""
    if not any(backup.state == "good" for backup in backups):
        return False
    passed = [drill.at for drill in drills if drill.state == "passed"]
    tried = [drill.at for drill in drills]
    old = not passed or (now - passed[-1]).total_seconds() >= every
    return old and (not tried or (now - tried[-1]).total_seconds() >= min(every, _AGAIN))
