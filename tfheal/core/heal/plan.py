"""The plan of the moment: of all that ails, what is done now, and what waits for what."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final

from tfheal.core.heal.incidents import actionable, chronic, key_of, unsure_of, updated
from tfheal.core.heal.ladder import next_step
from tfheal.core.heal.situation import Situation
from tfheal.core.heal.storm import HOUR, RESCUES, hourly
from tfheal.model.findings import Diagnosis, Finding
from tfheal.model.plan import Action, Plan, Waiting
from tfheal.model.playbook import Rung
from tfheal.model.record import Incident

# What is freed or put back first; a human is called last.
ORDER: Final[tuple[Rung, ...]] = (
    "free-disk",
    "redeploy",
    "restart",
    "rollback",
    "rebuild",
    "recreate",
    "restore",
    "rehome",
    "page",
)


def planned(diagnosis: Diagnosis, asked: Iterable[str], situation: Situation) -> Plan:
    """Given the confirmed findings, the slices that could be asked and the situation, return what to do now.

    Of each component at most one instance is acted on at a time. A healed fleet gives no action.
    """
    known = set(asked)
    incidents = updated(diagnosis, known, situation) + chronic(situation)
    asking = actionable(diagnosis)
    actions: list[Action] = []
    waiting: list[Waiting] = []
    result = []
    for incident in sorted(incidents, key=lambda item: (ORDER.index(item.rung or "page"), item.opened, item.id)):
        if incident.state != "open":
            result.append(incident)
            continue
        if frozen := _frozen(incident, situation):
            step: Action | Waiting = Waiting(incident.id, incident.rung or "page", frozen)
        elif not _is_asking(incident, diagnosis) and key_of(incident) not in asking:
            step = Waiting(incident.id, incident.rung or "page", _why_not(incident, known, diagnosis))
        else:
            step = next_step(incident, situation)
        if isinstance(step, Action) and (held := _held(step, actions, situation)):
            step = Waiting(incident.id, step.rung, held)
        if isinstance(step, Action):
            actions.append(step)
        else:
            waiting.append(step)
        result.append(replace(incident, rung=step.rung))
    return Plan(tuple(actions), tuple(waiting), tuple(result))


def _frozen(incident: Incident, situation: Situation) -> str:
    """Return why nothing at all is done about an incident, if the storm guard freezes healing."""
    storm = situation.storm
    return f"the storm guard holds: {storm.words}" if storm and storm.freezes and incident.cause != "storm" else ""


def _held(step: Action, planned_before: Collection[Action], situation: Situation) -> str:
    """Return why a step has to wait for those planned before it: of a component one instance, of all slices one."""
    acting = [other for other in planned_before if other.rung != "page"]
    if step.rung != "page" and _component(step) in {_component(other) for other in acting}:
        return "another instance of the component, or another cause, goes first"
    if step.rung in RESCUES:
        if any(other.rung in RESCUES for other in acting):
            return "another slice goes first: one at a time is given up"
        recent = [action for action in situation.actions if situation.now - action.started < HOUR]
        return hourly(situation.storm, recent) if situation.storm else ""
    return ""


def _component(action: Action) -> tuple[str, str]:
    return action.app, action.instance.component if action.instance else action.slice


def _why_not(incident: Incident, asked: Collection[str], diagnosis: Diagnosis) -> str:
    """Return why nothing is done about an open incident for which no finding asks."""
    health = diagnosis.instances.get(incident.instance) if incident.instance else None
    if told := _pauses(incident, diagnosis):
        return f"paused {told[0].detail}"
    if health == "paused":
        return "paused by the owner"
    if incident.slice not in asked or health == "unknown" or incident.instance in unsure_of(diagnosis):
        return "it could not be asked"
    hushed = [finding.detail for finding in diagnosis.findings if key_of(finding) == key_of(incident)]
    return f"left for now: {hushed[0]}" if hushed else "another cause goes first"


def _pauses(incident: Incident, diagnosis: Diagnosis) -> list[Finding]:
    """Return the pauses that stop what would be done about an incident."""
    places = {(incident.instance, incident.slice), (None, incident.slice)}
    found = (finding for finding in diagnosis.findings if finding.cause == "paused")
    return [finding for finding in found if (finding.instance, finding.slice) in places]


def _is_asking(incident: Incident, diagnosis: Diagnosis) -> bool:
    """Return whether an incident asks for itself: a chronic one has no finding, and a pause holds it too."""
    health = diagnosis.instances.get(incident.instance) if incident.instance else None
    return incident.cause == "chronic" and health != "paused" and not _pauses(incident, diagnosis)
