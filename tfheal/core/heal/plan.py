"""The plan of the moment: of all that ails, what is done now, and what waits for what."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final

from tfheal.core.heal.incidents import actionable, chronic, key_of, unsure_of, updated
from tfheal.core.heal.ladder import next_step
from tfheal.core.heal.situation import Situation
from tfheal.model.findings import Diagnosis
from tfheal.model.plan import Action, Plan, Waiting
from tfheal.model.playbook import Rung
from tfheal.model.record import Incident

# What is freed or put back first; a human is called last.
ORDER: Final[tuple[Rung, ...]] = ("free-disk", "redeploy", "restart", "page")


def planned(diagnosis: Diagnosis, asked: Iterable[str], situation: Situation) -> Plan:
    """Given the confirmed findings, the slices that could be asked and the situation, return what to do now.

    Of each component at most one instance is acted on at a time. A healed fleet gives no action.
    """
    known = set(asked)
    incidents = updated(diagnosis, known, situation) + chronic(situation)
    asking = actionable(diagnosis)
    actions: list[Action] = []
    waiting: list[Waiting] = []
    busy: set[tuple[str, str]] = set()
    result = []
    for incident in sorted(incidents, key=lambda item: (ORDER.index(item.rung or "page"), item.opened, item.id)):
        if incident.state != "open":
            result.append(incident)
            continue
        if incident.cause != "chronic" and key_of(incident) not in asking:
            step: Action | Waiting = Waiting(incident.id, incident.rung or "page", _why_not(incident, known, diagnosis))
        else:
            step = next_step(incident, situation)
        component = (incident.app, incident.instance.component if incident.instance else incident.slice)
        if isinstance(step, Action) and step.rung != "page" and component in busy:
            step = Waiting(incident.id, step.rung, "another instance of the component, or another cause, goes first")
        if isinstance(step, Action):
            busy |= {component} if step.rung != "page" else set()
            actions.append(step)
        else:
            waiting.append(step)
        result.append(replace(incident, rung=step.rung))
    return Plan(tuple(actions), tuple(waiting), tuple(result))


def _why_not(incident: Incident, asked: Collection[str], diagnosis: Diagnosis) -> str:
    """Return why nothing is done about an open incident for which no finding asks."""
    health = diagnosis.instances.get(incident.instance) if incident.instance else None
    if health == "paused":
        return "paused by the owner"
    if incident.slice not in asked or health == "unknown" or incident.instance in unsure_of(diagnosis):
        return "it could not be asked"
    hushed = [finding.detail for finding in diagnosis.findings if key_of(finding) == key_of(incident)]
    return f"left for now: {hushed[0]}" if hushed else "another cause goes first"
