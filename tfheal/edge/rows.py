"""Rows of the journal and the records of the model, each made from the other."""

from datetime import UTC, datetime

from tfheal.base import untrusted
from tfheal.edge.database import Row
from tfheal.model.record import ActionRecord, Deployed, Incident, Standing
from tfheal.model.release import InstanceName


def written(moment: datetime) -> str:
    """Given an aware time, return it as RFC 3339 in UTC with microseconds; raise ValueError for a naive one."""
    if moment.tzinfo is None:
        msg = "a time without a zone is not a time"
        raise ValueError(msg)
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def written_or_none(moment: datetime | None) -> str | None:
    """Given an aware time or None, return it as `written`."""
    return None if moment is None else written(moment)


def moment(text: str) -> datetime:
    """Given a time as `written`, return it, aware."""
    return datetime.fromisoformat(text)


def moment_or_none(text: str | None) -> datetime | None:
    """Given a time as `written`, or None, return it."""
    return None if text is None else moment(text)


def instance(row: Row) -> InstanceName:
    """Given a row, return the instance that it is about."""
    return InstanceName(row["app"], row["component"], row["slice"])


def instance_or_none(row: Row) -> InstanceName | None:
    """Given a row, return the instance that it is about, if it is about one."""
    return None if row["component"] is None else instance(row)


def columns(action: ActionRecord) -> dict[str, str | None]:
    """Given an action, return the columns of its row."""
    return {
        "id": action.id,
        "run": action.run,
        "verb": action.verb,
        "app": action.app,
        "component": action.instance.component if action.instance else None,
        "slice": action.slice,
        "incident": action.incident,
        "why": untrusted.text(action.why),
        "release": action.release,
        "started": written(action.started),
        "ended": written_or_none(action.ended),
        "outcome": action.outcome,
        "detail": untrusted.text(action.detail),
    }


def action(row: Row) -> ActionRecord:
    """Given a row, return the action."""
    return ActionRecord(
        id=row["id"],
        run=row["run"],
        verb=row["verb"],
        app=row["app"],
        instance=instance_or_none(row),
        slice=row["slice"],
        incident=row["incident"],
        why=row["why"],
        release=row["release"],
        started=moment(row["started"]),
        ended=moment_or_none(row["ended"]),
        outcome=row["outcome"],
        detail=row["detail"],
    )


def deployed(row: Row) -> Deployed:
    """Given a row, return what an instance is meant to be."""
    return Deployed(
        instance=instance(row),
        release=row["release"],
        version=row["version"],
        generation=row["generation"],
        phase=row["phase"],
        at=moment(row["at"]),
    )


def standing(row: Row) -> Standing:
    """Given a row, return how a release did."""
    return Standing(
        instance=instance(row),
        release=row["release"],
        generation=row["generation"],
        healthy_since=moment_or_none(row["healthy_since"]),
        good=moment_or_none(row["good"]),
        held=moment_or_none(row["held"]),
        why=row["why"],
    )


def incident(row: Row) -> Incident:
    """Given a row, return the incident."""
    return Incident(
        id=row["id"],
        app=row["app"],
        instance=instance_or_none(row),
        slice=row["slice"],
        cause=row["cause"],
        state=row["state"],
        rung=row["rung"],
        opened=moment(row["opened"]),
        last_seen=moment(row["last_seen"]),
        healthy_since=moment_or_none(row["healthy_since"]),
        closed=moment_or_none(row["closed"]),
        paged=moment_or_none(row["paged"]),
        detail=row["detail"],
        acked=moment_or_none(row["acked"]),
        acked_by=row["acked_by"],
    )
