"""Which backups are worth keeping: a pure function over our own catalogue.

A time here is the one at which we heard of a backup, never one that a slice wrote: a slice that was broken into can add
snapshots of any date, and a rule that believed them would let the good ones go (restic#22057).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

from tfheal.model.backup import GONE, Backup, Keep

FLOOR: Final = 3  # good backups that no rule lets go
_BUCKETS: Final[Mapping[str, Callable[[datetime], object]]] = {
    "hourly": lambda at: (at.date(), at.hour),
    "daily": lambda at: at.date(),
    "weekly": lambda at: at.isocalendar()[:2],
    "monthly": lambda at: (at.year, at.month),
}


def kept(backups: Iterable[Backup], keep: Keep) -> dict[str, tuple[str, ...]]:
    """Given the backups of one app and the rules, return by id why each is kept; one without a reason may go.

    One that is under way, or has nothing in it, is nobody's to let go: its reason says so.
    """
    every = list(backups)
    reasons: dict[str, list[str]] = {backup.id: [] for backup in every}
    every = [backup for backup in every if backup.state not in GONE]
    for backup, reason in (*_by_rules(every, keep), *_by_state(every)):
        if reason not in reasons[backup.id]:
            reasons[backup.id].append(reason)
    return {backup: tuple(why) for backup, why in reasons.items()}


def _by_rules(every: list[Backup], keep: Keep) -> Iterator[tuple[Backup, str]]:
    """Yield what the rules keep of the good ones, and of those that no drill found damaged: its word lets nothing go."""
    good = _newest_first(backup for backup in every if backup.state == "good")
    sure = [backup for backup in good if backup.is_sure]
    return (kept for ones in ([good] if sure == good else [good, sure]) for kept in _of(ones, keep))


def _of(good: list[Backup], keep: Keep) -> Iterator[tuple[Backup, str]]:
    for backup in good[:FLOOR]:
        yield backup, "newest"
    for rule, bucket in _BUCKETS.items():
        seen: list[object] = []
        for backup in good:
            if backup.received is None or bucket(backup.received) in seen:
                continue
            if len(seen) == getattr(keep, rule):
                break
            seen.append(bucket(backup.received))
            yield backup, rule


def _by_state(every: list[Backup]) -> Iterator[tuple[Backup, str]]:
    """Yield what is kept for what it is: held, suspect, the last that passed a drill, and newer than the last sure one."""
    sure = _newest_first(backup for backup in every if backup.is_sure)
    drilled = [[backup for backup in ones if backup.drilled is not None] for ones in (every, sure)]
    last = [max(ones, key=lambda backup: backup.drilled or backup.started) for ones in drilled if ones]
    for backup in every:
        if backup.held:
            yield backup, "held"
        if backup.state == "suspect":
            yield backup, "suspect"
        if backup in last:
            yield backup, "drilled last"
        if backup.state == "running":
            yield backup, "under way"
        if backup.state == "partial" and (not sure or backup.started > sure[0].started):
            yield backup, "no newer good one"


def _newest_first(backups: Iterable[Backup]) -> list[Backup]:
    return sorted(
        (backup for backup in backups if backup.received),
        key=lambda backup: backup.received or backup.started,
        reverse=True,
    )
