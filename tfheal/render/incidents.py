"""Incidents in words, and as scripts read them."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from tfheal.base.amounts import span
from tfheal.base.moments import rfc3339
from tfheal.model.record import ActionRecord, Incident, Story
from tfheal.render.heal import STYLES


def incidents_words(found: Sequence[Story]) -> RenderableType:
    """Given incidents with their actions, oldest first, return each as an entry of a few lines."""
    return Group(*(part for story in found for part in _entry(story))) if found else Text("no incidents")


def incidents_document(found: Sequence[Story]) -> dict[str, object]:
    """Given incidents with their actions, return them as scripts read them."""
    return {"incidents": [_document(story) for story in found]}


def acked_words(incident: Incident) -> str:
    """Given an incident that a person took, return what that means."""
    where = incident.instance or incident.slice
    return f"{incident.id} ({where}, {incident.cause}) is {incident.acked_by}'s now: nobody is called for it again"


def acked_document(incident: Incident) -> dict[str, object]:
    """Given an incident that a person took, return it as scripts read it."""
    return _facts(incident)


def outcome(story: Story) -> str:
    """Return how an incident ended, or how it stands."""
    incident = story.incident
    if incident.state == "resolved":
        done = [action.verb for action in story.actions if action.outcome == "done" and action.verb != "page"]
        return f"healed by {done[-1]}" if done else "over without a remedy"
    return "healthy again, and watched" if incident.state == "watching" else f"{incident.state} at {incident.rung}"


def _entry(story: Story) -> tuple[RenderableType, ...]:
    incident = story.incident
    lasted = span(((incident.closed or incident.last_seen) - incident.opened).total_seconds())
    head = Text.assemble(
        (incident.id, "bold"),
        f"  {_time(incident)}  {incident.instance or incident.slice}  {incident.cause}  ",
        (outcome(story), STYLES.get(incident.state, "")),
        f", {lasted}",
    )
    lines = [incident.detail] if incident.detail else []
    lines += [_action(action) for action in story.actions]
    if incident.acked:
        lines.append(f"taken by {incident.acked_by}, {rfc3339(incident.acked)}")
    return head, *(Padding(Text(line), (0, 0, 0, 2), expand=False) for line in lines)


def _action(action: ActionRecord) -> str:
    ended = f" in {(action.ended - action.started).total_seconds():.1f} s" if action.ended else ""
    told = f": {action.detail}" if action.outcome not in {"done", None} and action.detail else ""
    return f"{action.started:%H:%M:%S}Z {action.verb} {action.outcome or 'under way'}{ended}{told}"


def _document(story: Story) -> dict[str, object]:
    rungs = [
        {
            "rung": action.verb,
            "started": rfc3339(action.started),
            "outcome": action.outcome or {"unknown": "it has not told"},
            "seconds": round((action.ended - action.started).total_seconds(), 3)
            if action.ended
            else {"unknown": "it has not told"},
            "detail": action.detail,
            "run": action.run,
        }
        for action in story.actions
    ]
    return {**_facts(story.incident), "outcome": outcome(story), "rungs": rungs}


def _facts(incident: Incident) -> dict[str, object]:
    return {
        "id": incident.id,
        "app": incident.app or {"unknown": "an incident of the slice"},
        "instance": str(incident.instance) if incident.instance else {"unknown": "an incident of the slice"},
        "slice": incident.slice,
        "cause": incident.cause,
        "detail": incident.detail,
        "state": incident.state,
        "rung": incident.rung or False,
        "opened": rfc3339(incident.opened),
        "last_seen": rfc3339(incident.last_seen),
        "closed": rfc3339(incident.closed) if incident.closed else False,
        "paged": rfc3339(incident.paged) if incident.paged else False,
        "acked": rfc3339(incident.acked) if incident.acked else False,
        "acked_by": incident.acked_by or False,
    }


def _time(incident: Incident) -> str:
    return f"{incident.opened:%Y-%m-%d %H:%M:%S}Z"
