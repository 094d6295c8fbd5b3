"""Healing as a pure function: findings become incidents, incidents climb the ladder within their budgets.

The numbers and their sources stand in `HealPolicy`; the rules in `tfheal explain healing`.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from tfheal.model.findings import Cause, Diagnosis, Finding
from tfheal.model.plan import Action, Plan, Waiting
from tfheal.model.playbook import Rung
from tfheal.model.record import ActionRecord, Incident
from tfheal.model.release import InstanceName, Release
from tfheal.model.workspace import HealPolicy

# The causes of one family are one incident: a service that changes from silent to dead under repair is the same trouble.
FAMILY: Final[Mapping[Cause, str]] = {"unit-failed": "service", "unit-stopped": "service", "not-alive": "service"}
# What is freed or put back first; a human is called last.
ORDER: Final[tuple[Rung, ...]] = ("free-disk", "redeploy", "restart", "page")
FOR_HUMANS: Final[frozenset[Cause]] = frozenset({"slice-wiped", "host-key-changed"})
JITTER: Final = 0.25  # Nomad's
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Situation:
    """What healing knows: the releases, what each app allows, the record, the policy and the time."""

    releases: Mapping[InstanceName, Release]
    allow: Mapping[str, tuple[Rung, ...]]
    incidents: tuple[Incident, ...]
    actions: tuple[ActionRecord, ...]
    policy: HealPolicy
    now: datetime


def actionable(diagnosis: Diagnosis) -> dict[tuple[str, str], Finding]:
    """Return the findings that ask for a remedy or a human, by place and family of the cause."""
    return {
        (place(finding), FAMILY.get(finding.cause, finding.cause)): finding
        for finding in diagnosis.findings
        if finding.entry or finding.cause in FOR_HUMANS
    }


def place(finding: Finding) -> str:
    """Return where a finding is: its instance, else its slice."""
    return str(finding.instance or finding.slice)


def planned(diagnosis: Diagnosis, asked: Iterable[str], situation: Situation) -> Plan:
    """Given the confirmed findings, the slices that could be asked and the situation, return what to do now.

    Of each component at most one instance is acted on at a time. A healed fleet gives no action.
    """
    incidents = _updated(actionable(diagnosis), set(asked), situation)
    incidents += _chronic(situation)
    actions: list[Action] = []
    waiting: list[Waiting] = []
    busy: set[tuple[str, str]] = set()
    result = []
    for incident in sorted(incidents, key=lambda item: (ORDER.index(item.rung or "page"), item.opened, item.id)):
        if incident.state != "open":
            result.append(incident)
            continue
        step = _next(incident, situation)
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


def _updated(findings: Mapping[tuple[str, str], Finding], asked: set[str], situation: Situation) -> list[Incident]:
    now, policy = situation.now, situation.policy
    known = {_key(incident): incident for incident in situation.incidents if incident.cause != "chronic"}
    updated = [_seen(known.get(key), finding, situation) for key, finding in findings.items()]
    for key, incident in known.items():
        if key in findings or incident.state == "resolved" or incident.slice not in asked:
            continue
        since = incident.healthy_since or now
        if (now - since).total_seconds() >= policy.healthy_for:
            updated.append(replace(incident, state="resolved", healthy_since=since, closed=now))
        else:
            updated.append(replace(incident, state="watching", healthy_since=since))
    return updated


def _seen(known: Incident | None, finding: Finding, situation: Situation) -> Incident:
    now = situation.now
    again = timedelta(seconds=situation.policy.min_healthy_period)
    if known and (known.state != "resolved" or (known.closed and now - known.closed < again)):
        return replace(
            known,
            cause=finding.cause,
            state="open",
            last_seen=now,
            healthy_since=None,
            closed=None,
            detail=finding.detail,
        )
    return _opened(finding, now)


def _key(incident: Incident) -> tuple[str, str]:
    return str(incident.instance or incident.slice), FAMILY.get(incident.cause, incident.cause)


def _chronic(situation: Situation) -> list[Incident]:
    """Return an incident for each instance that was healed too often in a day, even if every heal worked."""
    now = situation.now
    healed = Counter(
        action.instance
        for action in situation.actions
        if action.instance and action.incident and action.outcome == "done" and action.verb != "page"
        if now - action.started < DAY
    )
    known = {incident.instance: incident for incident in situation.incidents if incident.cause == "chronic"}
    found = []
    for instance, count in sorted(healed.items()):
        incident = known.get(instance)
        told = incident is not None and incident.paged is not None and now - incident.paged < DAY
        if count < situation.policy.chronic or told:
            continue
        detail = f"healed {count} times within a day"
        if incident is None or incident.state == "resolved":
            incident = _opened(Finding("chronic", "warning", instance.slice, detail, instance, "page"), now)
        found.append(replace(incident, last_seen=now, detail=detail))
    return found


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


def _next(incident: Incident, situation: Situation) -> Action | Waiting:
    """Return the next step of an open incident: the first rung from its present one that is allowed and has budget."""
    ladder = _ladder(incident, situation)
    forbidden = []
    for rung in ladder:
        if rung == "page":
            break
        if rung not in situation.allow.get(incident.app, ()):
            forbidden.append(rung)
            continue
        tries = _tries(incident, rung, situation)
        if tries and tries[-1].incident == incident.id and tries[-1].outcome == "failed":
            continue
        if len(tries) >= situation.policy.budget:
            continue
        if tries and (until := tries[-1].started + _backoff(incident, len(tries), situation.policy)) > situation.now:
            return Waiting(
                incident.id, rung, f"try {len(tries) + 1} of {situation.policy.budget} waits for its back-off", until
            )
        return _action(incident, rung, situation)
    if incident.paged:
        why = f"needs a human, called {incident.paged:%Y-%m-%d %H:%M} UTC"
        return Waiting(incident.id, "page", why + (f"; not allowed: {', '.join(forbidden)}" if forbidden else ""))
    calls = [action for action in situation.actions if action.verb == "page" and action.incident == incident.id]
    if calls and (until := calls[-1].started + _backoff(incident, len(calls), situation.policy)) > situation.now:
        return Waiting(incident.id, "page", f"needs a human, who could not be called: {calls[-1].detail}", until)
    return _action(incident, "page", situation)


def _ladder(incident: Incident, situation: Situation) -> tuple[Rung, ...]:
    release = situation.releases.get(incident.instance) if incident.instance else None
    start = incident.rung or "page"
    if release is None or start not in release.ladder:
        return (start,)
    return release.ladder[release.ladder.index(start) :]


def _tries(incident: Incident, rung: Rung, situation: Situation) -> list[ActionRecord]:
    window = timedelta(seconds=situation.policy.budget_window)
    return [
        action
        for action in situation.actions
        if action.verb == rung
        and action.incident
        and action.slice == incident.slice
        and action.instance == incident.instance
        and situation.now - action.started < window
        and action.outcome != "refused"
    ]


def _backoff(incident: Incident, tries: int, policy: HealPolicy) -> timedelta:
    digest = hashlib.sha256(f"{incident.id}{tries}".encode()).digest()
    jitter = 1 + JITTER * (digest[0] / 127.5 - 1)
    return timedelta(seconds=min(policy.backoff * 2 ** (tries - 1), policy.backoff_limit) * jitter)


def _action(incident: Incident, rung: Rung, situation: Situation) -> Action:
    release = situation.releases.get(incident.instance) if incident.instance else None
    return Action(
        rung=rung,
        incident=incident.id,
        app=incident.app,
        slice=incident.slice,
        instance=incident.instance,
        why=f"{incident.cause}: {incident.detail}"[:500],
        release=release.id if release else None,
    )
