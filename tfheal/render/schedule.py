"""Schedules in words, and as scripts read them."""

from datetime import datetime

from tfheal.base.amounts import span
from tfheal.base.moments import rfc3339
from tfheal.model.schedule import Schedule, Scheduled
from tfheal.render.words import ago


def schedule_words(schedule: Schedule, found: Scheduled | None, now: datetime) -> str:
    """Given a schedule and what there is of it, return what runs, and when."""
    if found is None:
        return f"{schedule.workspace}: nothing is scheduled (tfheal cron install)"
    lines = [f"{schedule.workspace}: {'scheduled' if found.active else 'there, and not active: tfheal cron install'}"]
    lines += [f"  {place}" for place in found.places]
    lines += [f"  last {rfc3339(found.last)} ({ago(found.last, now)} ago)"] if found.last else []
    lines += [f"  next {rfc3339(found.next)} (in {span(_ahead(found.next, now))})"] if found.next else []
    return "\n".join([*lines, *([f"  {found.note}"] if found.note else [])])


def schedule_document(schedule: Schedule, found: Scheduled | None, *, changed: bool) -> dict[str, object]:
    """Given a schedule and what there is of it, return it as scripts read it."""
    unknown = {"unknown": found.note or "not yet" if found else "nothing is scheduled"}
    return {
        "workspace": schedule.workspace,
        "name": schedule.name,
        "changed": changed,
        "scheduled": found is not None,
        "active": found.active if found else False,
        "places": list(found.places) if found else [],
        "last": rfc3339(found.last) if found and found.last else unknown,
        "next": rfc3339(found.next) if found and found.next else unknown,
        "note": found.note if found else "",
    }


def _ahead(then: datetime, now: datetime) -> float:
    return max(0.0, (then - now).total_seconds())
