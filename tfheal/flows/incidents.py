"""`tfheal incidents` and `tfheal ack`: what ailed, what was done about it, and who knows of it."""

import difflib
from dataclasses import replace
from datetime import datetime

from tfheal.base.errors import UsageError
from tfheal.model.ports import Journal
from tfheal.model.record import ActionRecord, Incident, Story

_MOST_ACTIONS = 100_000


def incidents(journal: Journal, limit: int, *, open_only: bool) -> tuple[Story, ...]:
    """Return the newest incidents, oldest first; `open_only` leaves out those that are over."""
    found = journal.incidents(open_only=open_only)[-limit:]
    if not found:
        return ()
    since = min(incident.opened for incident in found)
    actions: dict[str | None, list[ActionRecord]] = {}
    for action in journal.actions(since=since, limit=_MOST_ACTIONS):
        actions.setdefault(action.incident, []).append(action)
    return tuple(Story(incident, tuple(actions.get(incident.id, ()))) for incident in found)


def ack(journal: Journal, incident: str, who: str, now: datetime) -> Incident:
    """Record that a person took an incident upon themselves, and return it; raise UsageError if there is nothing to take.

    Nobody is called for it any more; its rungs go on, which is what a pause is for to stop.
    """
    known = {one.id: one for one in journal.incidents()}
    one = known.get(incident)
    if one is None:
        near = difflib.get_close_matches(incident, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "tfheal incidents --open lists them"
        raise UsageError(f"there is no incident {incident}", hint=hint)
    if one.state == "resolved":
        why = f"it is over since {one.closed:%Y-%m-%d %H:%M} UTC" if one.closed else "it is over"
        raise UsageError(f"there is nothing to take of {incident}", why=why)
    journal.ack(incident, who, now)
    return replace(one, acked=now, acked_by=who)
