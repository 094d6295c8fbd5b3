"""Healing in words: what would be done and why, what was done, what waits and what would lift it."""

from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tfheal.base.moments import rfc3339
from tfheal.model.plan import Plan
from tfheal.model.record import Incident
from tfheal.model.results import Healing, Taken
from tfheal.render.words import NARROW, table

_SAID: Final = frozenset({"slice-unreachable", "unasked", "not-checked", "paused-by-owner", "paused"})
STYLES: Final = {
    "done": "green",
    "failed": "bold red",
    "refused": "yellow",
    "unknown": "magenta",
    "skipped": "yellow",
    "open": "bold red",
    "watching": "yellow",
    "resolved": "green",
}


def plan_words(plan: Plan) -> RenderableType:
    """Given a plan, return what would be done, and what waits."""
    if not plan.actions and not plan.waiting:
        return Text("nothing to heal")
    made = table("where", "rung", "why")
    for action in plan.actions:
        to = "".join(f" to {spare}" for spare in sorted(set(action.moves.values())))
        made.add_row(str(action.instance or action.slice), Text(f"{action.rung}{to}", style="bold"), Text(action.why))
    for waiting in plan.waiting:
        incident = _incident(plan, waiting.incident)
        until = f" until {waiting.until:%H:%M:%S} UTC" if waiting.until else ""
        made.add_row(_place(incident), Text(f"{waiting.rung} waits", style="yellow"), Text(waiting.why + until))
    return made


def heal_words(healing: Healing, width: int) -> RenderableType:
    """Given what a heal run did, return it for a person's screen of that width."""
    parts: list[RenderableType] = [Text(words, style="yellow") for words in healing.locked.values()]
    if not healing.agreed:
        return Group(*parts, plan_words(healing.plan), *_unasked(healing))
    if not healing.incidents:
        asked = set(healing.diagnosis.instances.values()) - {"unknown", "paused"}
        parts += [Text("nothing to heal", style="green")] if asked else []
    elif width < NARROW:
        parts += [_entry(healing, incident) for incident in healing.incidents]
    else:
        parts.append(_table(healing))
    parts += [
        Text(
            f"{_place(_incident(healing.plan, waiting.incident))}: {waiting.rung} waits: {waiting.why}", style="yellow"
        )
        for waiting in healing.plan.waiting
    ]
    parts += [Text(why, style=STYLES["failed"]) for why in healing.unpublished]
    return Group(*parts, *_unasked(healing))


def _table(healing: Healing) -> Table:
    made = table("where", "cause", "state", "rung", "outcome", "seconds")
    for incident in healing.incidents:
        state = _state(incident, healing)
        mine: list[Taken | None] = [*_of(healing, incident)]
        for taken in mine or [None]:
            made.add_row(_place(incident), incident.cause, Text(state, style=STYLES.get(state, "")), *_cells(taken))
    return made


def _entry(healing: Healing, incident: Incident) -> Text:
    state = _state(incident, healing)
    entry = Text.assemble((_place(incident), "bold"), f"  {incident.cause}  ", (state, STYLES.get(state, "")))
    for taken in _of(healing, incident):
        entry.append(f"\n  {taken.action.rung} {taken.outcome} in {taken.seconds:.1f} s", STYLES.get(taken.outcome, ""))
        entry.append(_told(taken))
    return entry


def heal_document(healing: Healing, round_trips: int) -> dict[str, object]:
    """Given what a heal run did, return it as scripts read it: schema tfheal/heal/1."""
    return {
        "round_trips": round_trips,
        "agreed": healing.agreed,
        "incidents": [_incident_document(healing, incident) for incident in healing.incidents],
        "locked": dict(healing.locked),
        "unpublished": list(healing.unpublished),
        "plan": [
            {"incident": action.incident, "rung": action.rung, "why": action.why, "moves": dict(action.moves)}
            for action in healing.plan.actions
        ],
        "not_checked": sorted(f.slice for f in healing.diagnosis.findings if f.cause == "not-checked"),
        "unknown": sorted(str(name) for name, health in healing.diagnosis.instances.items() if health == "unknown"),
        "paused": sorted(str(name) for name, health in healing.diagnosis.instances.items() if health == "paused"),
    }


def _incident_document(healing: Healing, incident: Incident) -> dict[str, object]:
    waiting = next((item for item in healing.plan.waiting if item.incident == incident.id), None)
    return {
        "id": incident.id,
        "app": incident.app,
        "instance": str(incident.instance) if incident.instance else {"unknown": "an incident of the slice"},
        "slice": incident.slice,
        "cause": incident.cause,
        "detail": incident.detail,
        "state": _state(incident, healing),
        "opened": rfc3339(incident.opened),
        "waits": {"rung": waiting.rung, "why": waiting.why} if waiting else False,
        "actions": [
            {
                "rung": taken.action.rung,
                "outcome": taken.outcome,
                "why": taken.action.why,
                "detail": taken.detail,
                "seconds": round(taken.seconds, 3),
            }
            for taken in _of(healing, incident)
        ],
    }


def _state(incident: Incident, healing: Healing) -> str:
    refused = any(taken.outcome == "refused" for taken in _of(healing, incident))
    return "refused" if refused and incident.state == "open" else incident.state


def _of(healing: Healing, incident: Incident) -> list[Taken]:
    return [taken for taken in healing.taken if taken.action.incident == incident.id]


def _incident(plan: Plan, name: str) -> Incident:
    return next(incident for incident in plan.incidents if incident.id == name)


def _place(incident: Incident) -> str:
    return str(incident.instance or incident.slice)


def _cells(taken: Taken | None) -> list[Text]:
    if taken is None:
        return [Text("-"), Text(""), Text("")]
    outcome = Text(taken.outcome, style=STYLES.get(taken.outcome, ""))
    outcome.append(_told(taken))
    return [Text(taken.action.rung), outcome, Text(f"{taken.seconds:.1f}")]


def _told(taken: Taken) -> str:
    """Return what is to be known of an outcome: why it is not done, and what a restore has lost."""
    return "" if taken.outcome == "done" and taken.action.rung != "restore" else f": {taken.detail}"


def _unasked(healing: Healing) -> list[RenderableType]:
    return [
        Text(f"{finding.instance or finding.slice}  {finding.cause}  {finding.detail}", style="magenta")
        for finding in healing.diagnosis.findings
        if finding.cause in _SAID
    ]
