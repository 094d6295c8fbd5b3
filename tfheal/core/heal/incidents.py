"""Incidents over time: opened by findings, watched when these are gone, over when all was well for long enough."""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from tfheal.core.diagnose import family, place
from tfheal.core.heal.situation import DAY, Situation
from tfheal.model.findings import Cause, Diagnosis, Finding, Health
from tfheal.model.record import Incident
from tfheal.model.release import InstanceName

FOR_HUMANS: Final[frozenset[Cause]] = frozenset({"slice-wiped", "host-key-changed"})
# What an instance has to be before an incident of it is over; of other causes it is enough that the finding is gone.
_WELL: Final[Mapping[str, frozenset[Health | None]]] = {
    "service": frozenset({"healthy", "degraded"}),
    "not-ready": frozenset({"healthy"}),
    "inconsistent": frozenset({"healthy"}),
    "data-damaged": frozenset({"healthy"}),
}


def actionable(diagnosis: Diagnosis) -> dict[tuple[str, str], Finding]:
    """Return the findings that ask for a remedy or a human, by place and family of the cause."""
    return {key_of(finding): finding for finding in diagnosis.findings if _asks(finding)}


def only(diagnosis: Diagnosis, confirmed: Collection[tuple[str, str]]) -> Diagnosis:
    """Given a diagnosis and what every ask confirmed, return it with nothing else to act on."""
    kept = []
    for finding in diagnosis.findings:
        if key_of(finding) in confirmed or not _asks(finding):
            kept.append(finding)
        elif finding.cause not in FOR_HUMANS:
            kept.append(replace(finding, entry=None, detail=f"{finding.detail}; not every ask found it so"))
    return replace(diagnosis, findings=tuple(kept))


def updated(diagnosis: Diagnosis, asked: set[str], situation: Situation) -> list[Incident]:
    """Return the incidents of now: those of findings, and earlier ones of which the slice said how it is now."""
    findings = actionable(diagnosis)
    known = {key_of(incident): incident for incident in situation.incidents if incident.cause != "chronic"}
    updated = [_seen(known.get(key), finding, situation) for key, finding in findings.items()]
    still = {key_of(finding) for finding in diagnosis.findings}
    unsure = unsure_of(diagnosis)
    for key, incident in known.items():
        if key in findings or incident.state == "resolved":
            continue
        health = diagnosis.instances.get(incident.instance) if incident.instance else "healthy"
        gone = incident.instance and incident.instance not in situation.releases
        if gone or (incident.instance is None and incident.slice in situation.retired):
            updated.append(replace(incident, state="resolved", closed=situation.now))
        elif incident.cause == "storm":
            updated.append(_recovered(incident, situation))
        elif incident.slice not in asked or incident.instance in unsure or health in {"unknown", "paused"}:
            updated.append(incident)
        elif key in still or health not in _WELL.get(key[1], {health}):
            updated.append(replace(incident, state="open", last_seen=situation.now, healthy_since=None))
        else:
            updated.append(_recovered(incident, situation))
    return updated


def _recovered(incident: Incident, situation: Situation) -> Incident:
    since = incident.healthy_since or situation.now
    if (situation.now - since).total_seconds() < situation.policy.healthy_for:
        return replace(incident, state="watching", healthy_since=since)
    return replace(incident, state="resolved", healthy_since=since, closed=situation.now)


def _seen(known: Incident | None, finding: Finding, situation: Situation) -> Incident:
    now = situation.now
    again = timedelta(seconds=situation.policy.min_healthy_period)
    if known and _deployed_since(known, situation):
        return _opened(finding, now)
    if known and (known.state != "resolved" or (known.closed and now - known.closed < again)):
        return replace(
            known,
            cause=finding.cause,
            state="open",
            rung=known.rung or finding.entry or "page",
            last_seen=now,
            healthy_since=None,
            closed=None,
            detail=finding.detail,
        )
    return _opened(finding, now)


def _deployed_since(known: Incident, situation: Situation) -> bool:
    """Return whether an operator deployed there since an incident that is over: what ails it now is something new."""
    deploys = (
        one for one in situation.actions if one.verb == "deploy" and not one.incident and one.instance == known.instance
    )
    return known.state == "resolved" and any(one.started > known.opened for one in deploys)


def chronic(situation: Situation) -> list[Incident]:
    """Return an incident for each instance that was healed too often in a day, even if every heal worked."""
    now = situation.now
    healed = Counter(
        action.instance
        for action in situation.actions
        if action.instance in situation.releases and action.healed and now - action.started < DAY
    )
    known = {incident.instance: incident for incident in situation.incidents if incident.cause == "chronic"}
    over = [one for one in known.values() if one.state == "open" and healed[one.instance] < situation.policy.chronic]
    found = [replace(incident, state="resolved", closed=now) for incident in over]
    for instance, count in sorted((name, count) for name, count in healed.items() if name):
        incident = known.get(instance)
        told = incident is not None and incident.paged is not None and now - incident.paged < DAY
        if count < situation.policy.chronic or told:
            continue
        detail = f"healed {count} times within a day"
        if incident is None or incident.state == "resolved":
            incident = _opened(Finding("chronic", "warning", instance.slice, detail, instance, "page"), now)
        found.append(replace(incident, last_seen=now, detail=detail))
    return found


def unsure_of(diagnosis: Diagnosis) -> frozenset[InstanceName]:
    """Return the instances of which something could not be asked."""
    found = (finding.instance for finding in diagnosis.findings if finding.cause == "unasked")
    return frozenset(instance for instance in found if instance)


def _asks(finding: Finding) -> bool:
    return not finding.paused and (finding.entry is not None or finding.cause in FOR_HUMANS)


def key_of(item: Finding | Incident) -> tuple[str, str]:
    """Return what makes a finding and an incident the same trouble: the place and the family of the cause."""
    return place(item), family(item.cause)


def _opened(finding: Finding, now: datetime) -> Incident:
    digest = hashlib.sha256(f"{place(finding)} {finding.cause} {now.isoformat()}".encode()).hexdigest()
    return Incident(
        id=f"i-{digest[:8]}",
        app=finding.instance.app if finding.instance else "",
        instance=finding.instance,
        slice=finding.slice,
        cause=finding.cause,
        state="open",
        rung=finding.entry or "page",
        opened=now,
        last_seen=now,
        detail=finding.detail,
    )
