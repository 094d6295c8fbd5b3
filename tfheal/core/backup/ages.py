"""How old backups are, by our own clock: a slice that is dead or lies cannot make its backups look younger."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from tfheal.core.archiving import is_archived, stored_until
from tfheal.model.backup import STORE, Ages, Backup
from tfheal.model.facts import InstanceFacts
from tfheal.model.release import Release
from tfheal.model.resources import Directory

_AGAIN: Final = 900.0  # seconds after which one that failed is tried again, unless they are made more often anyway


def ages(backups: Sequence[Backup], limit: float, now: datetime) -> Ages:
    """Given the backups of an app, the age that its level allows in seconds and the time, return how old they are.

    The age is that of the data: from when a backup began, and not from when it was over.
    """
    taken = [backup.started for backup in backups if backup.received and backup.holds_data]
    complete = [backup.started for backup in backups if backup.state == "good"]
    return Ages(_age(taken, now), _age(complete, now), limit)


def with_changes(
    found: Ages, asked: Iterable[tuple[Release, InstanceFacts | None]], now: datetime, *, based: bool = True
) -> Ages:
    """Given ages, the releases of the app with their facts if there are any, and the time, return how far changes are stored.

    What is not known of one server is not known of the app. What is not `based` was restored since its last base: there is
    nothing to replay its changes on.
    """
    ours = [(release, facts) for release, facts in asked if release.component != STORE]
    of_data = [(release, facts) for release, facts in ours if release.dumps or _folders(release)]
    archived = [(release, facts) for release, facts in of_data if is_archived(release)]
    said = [
        stored_until(check.detail)
        for _, facts in archived
        for check in (facts.checks if facts else ())
        if check.kind == "stored" and check.verdict == "pass"
    ]
    moments = [moment for moment in said if moment]
    known = based and bool(archived) and len(moments) == len(archived)
    alone = bool(archived) and all(is_archived(release) and _only_archived(release) for release, _ in of_data)
    return replace(found, changes=_age([min(moments)], now) if known else None, databases=alone)


def _only_archived(release: Release) -> bool:
    return not _folders(release) and all(dump.wal for dump in release.dumps)


def _folders(release: Release) -> bool:
    return bool(release.data) or any(isinstance(one, Directory) and one.data for one in release.resources)


def late(found: Ages, backups: Sequence[Backup], deployed: datetime, now: datetime) -> str:
    """Given ages, the backups, when the app was deployed and the time, return what is wrong with them, if anything is."""
    age = found.complete if found.complete is not None else (now - deployed).total_seconds()
    if age <= found.limit:
        return ""
    newest = (
        "there is no complete backup" if found.complete is None else f"the newest complete backup is {age:.0f} s old"
    )
    ended = [backup for backup in backups if backup.received]
    why = f"; the last one, {ended[-1].id}, is {ended[-1].state}" if ended and ended[-1].state != "good" else ""
    return f"{newest}, and {found.limit:.0f} s are promised{why}"


def is_due(backups: Sequence[Backup], every: float, now: datetime) -> bool:
    """Given the backups of an app and how often one is to be made, return whether it is time for one."""
    done = _age([backup.started for backup in backups if backup.state not in {"failed", "running"}], now)
    return (done is None or done >= every) and may_try(backups, every, now)


def may_try(backups: Sequence[Backup], every: float, now: datetime) -> bool:
    """Given backups that were tried, how often one is to be made and the time, return whether the last is long enough ago."""
    began = _age([backup.started for backup in backups], now)
    return began is None or began >= min(every, _AGAIN)


def base_began(backups: Iterable[Backup], slice_name: str, what: str) -> datetime | None:
    """Given backups and what the base of a server on a slice is called, return when the last one began that holds it."""
    bases = (
        one.started
        for one in backups
        for part in one.parts
        if part.snapshot and (part.slice, part.what) == (slice_name, what)
    )
    return max(bases, default=None)


def _age(moments: Sequence[datetime], now: datetime) -> float | None:
    return max(0.0, (now - max(moments)).total_seconds()) if moments else None
