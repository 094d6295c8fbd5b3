"""Healing as a pure function: findings become incidents, incidents climb the ladder within their budgets.

The numbers and their sources stand in `HealPolicy`; the rules in `tfheal explain healing`.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from tfheal.core.diagnose import family, place
from tfheal.model.findings import Cause, Diagnosis, Finding, Health
from tfheal.model.plan import Action, Plan, Waiting
from tfheal.model.playbook import SHIPPED_LADDER, Rung
from tfheal.model.record import ActionRecord, Incident
from tfheal.model.release import InstanceName, Release
from tfheal.model.workspace import HealPolicy

# What is freed or put back first; a human is called last.
ORDER: Final[tuple[Rung, ...]] = ("free-disk", "redeploy", "restart", "page")
FOR_HUMANS: Final[frozenset[Cause]] = frozenset({"slice-wiped", "host-key-changed"})
# What an instance has to be before an incident of it is over; of other causes it is enough that the finding is gone.
_WELL: Final[Mapping[str, frozenset[Health | None]]] = {
    "service": frozenset({"healthy", "degraded"}),
    "not-ready": frozenset({"healthy"}),
    "inconsistent": frozenset({"healthy"}),
}
JITTER: Final = 0.25  # Nomad's
_MOST_DOUBLINGS: Final = 30
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
    return {_key(finding): finding for finding in diagnosis.findings if _asks(finding)}


def only(diagnosis: Diagnosis, confirmed: Collection[tuple[str, str]]) -> Diagnosis:
    """Given a diagnosis and what every ask confirmed, return it with nothing else to act on."""
    kept = []
    for finding in diagnosis.findings:
        if _key(finding) in confirmed or not _asks(finding):
            kept.append(finding)
        elif finding.cause not in FOR_HUMANS:
            kept.append(replace(finding, entry=None, detail=f"{finding.detail}; not every ask found it so"))
    return replace(diagnosis, findings=tuple(kept))


def planned(diagnosis: Diagnosis, asked: Iterable[str], situation: Situation) -> Plan:
    """Given the confirmed findings, the slices that could be asked and the situation, return what to do now.

    Of each component at most one instance is acted on at a time. A healed fleet gives no action.
    """
    known = set(asked)
    incidents = _updated(diagnosis, known, situation) + _chronic(situation)
    asking = actionable(diagnosis)
    actions: list[Action] = []
    waiting: list[Waiting] = []
    busy: set[tuple[str, str]] = set()
    result = []
    for incident in sorted(incidents, key=lambda item: (ORDER.index(item.rung or "page"), item.opened, item.id)):
        if incident.state != "open":
            result.append(incident)
            continue
        if incident.cause != "chronic" and _key(incident) not in asking:
            step: Action | Waiting = Waiting(incident.id, incident.rung or "page", _why_not(incident, known, diagnosis))
        else:
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


def _why_not(incident: Incident, asked: Collection[str], diagnosis: Diagnosis) -> str:
    """Return why nothing is done about an open incident for which no finding asks."""
    health = diagnosis.instances.get(incident.instance) if incident.instance else None
    if health == "paused":
        return "paused by the owner"
    if incident.slice not in asked or health == "unknown" or incident.instance in _unsure(diagnosis):
        return "it could not be asked"
    hushed = [finding.detail for finding in diagnosis.findings if _key(finding) == _key(incident)]
    return f"left for now: {hushed[0]}" if hushed else "another cause goes first"


def _unsure(diagnosis: Diagnosis) -> frozenset[InstanceName]:
    """Return the instances of which something could not be asked."""
    found = (finding.instance for finding in diagnosis.findings if finding.cause == "unasked")
    return frozenset(instance for instance in found if instance)


def _updated(diagnosis: Diagnosis, asked: set[str], situation: Situation) -> list[Incident]:
    """Return the incidents of now: those of findings, and earlier ones of which the slice said how it is now."""
    findings = actionable(diagnosis)
    known = {_key(incident): incident for incident in situation.incidents if incident.cause != "chronic"}
    updated = [_seen(known.get(key), finding, situation) for key, finding in findings.items()]
    still = {_key(finding) for finding in diagnosis.findings}
    unsure = _unsure(diagnosis)
    for key, incident in known.items():
        if key in findings or incident.state == "resolved":
            continue
        health = diagnosis.instances.get(incident.instance) if incident.instance else "healthy"
        if incident.instance and incident.instance not in situation.releases:
            updated.append(replace(incident, state="resolved", closed=situation.now))
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


def _asks(finding: Finding) -> bool:
    return finding.entry is not None or finding.cause in FOR_HUMANS


def _key(item: Finding | Incident) -> tuple[str, str]:
    return place(item), family(item.cause)


def _chronic(situation: Situation) -> list[Incident]:
    """Return an incident for each instance that was healed too often in a day, even if every heal worked."""
    now = situation.now
    healed = Counter(
        action.instance
        for action in situation.actions
        if action.instance in situation.releases and action.incident and action.outcome == "done"
        if action.verb != "page" and now - action.started < DAY
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
    policy, forbidden = situation.policy, []
    for rung in _ladder(incident, situation):
        if rung == "page":
            break
        if rung not in situation.allow.get(incident.app, ()):
            forbidden.append(rung)
            continue
        tries = _tries(incident, rung, situation)
        if refused := _refused(incident, tries, situation):
            return Waiting(incident.id, rung, f"it was refused: {tries[-1].detail}", refused)
        tries = [action for action in tries if action.outcome != "refused"]
        failed_hard = bool(tries) and tries[-1].incident == incident.id and tries[-1].outcome == "failed"
        if failed_hard or len(tries) >= policy.budget:
            continue
        if tries and (until := tries[-1].started + _backoff(incident, len(tries), policy)) > situation.now:
            why = f"try {len(tries) + 1} of {policy.budget} waits for its back-off"
            return Waiting(incident.id, rung, why, until)
        return _action(incident, rung, situation)
    return _call(incident, forbidden, situation)


def _call(incident: Incident, forbidden: Sequence[Rung], situation: Situation) -> Action | Waiting:
    """Return the call for a human, once for an incident; one that did not get out is made again later."""
    if incident.paged:
        why = f"needs a human, called {incident.paged:%Y-%m-%d %H:%M} UTC"
        return Waiting(incident.id, "page", why + (f"; not allowed: {', '.join(forbidden)}" if forbidden else ""))
    calls = [action for action in situation.actions if action.verb == "page" and action.incident == incident.id]
    if calls and (until := calls[-1].started + _backoff(incident, len(calls), situation.policy)) > situation.now:
        return Waiting(incident.id, "page", f"needs a human, who could not be called: {calls[-1].detail}", until)
    return _action(incident, "page", situation)


def _ladder(incident: Incident, situation: Situation) -> tuple[Rung, ...]:
    """Return the rungs of the playbook from where the incident is; a full disk is freed, and nothing else is."""
    start = incident.rung or "page"
    release = situation.releases.get(incident.instance) if incident.instance else None
    rungs: tuple[Rung, ...] = release.ladder if release else ("page",)
    if start in rungs:
        rungs = rungs[rungs.index(start) :]
    else:
        later = SHIPPED_LADDER[SHIPPED_LADDER.index(start) :]
        rungs = tuple(rung for rung in rungs if rung in later)
    return tuple(rung for rung in rungs if rung == "page" or (rung == "free-disk") == (incident.cause == "disk-full"))


def _tries(incident: Incident, rung: Rung, situation: Situation) -> list[ActionRecord]:
    """Return the tries of a rung within its budget's window; to finish a removal is to redeploy what is to be gone."""
    window = timedelta(seconds=situation.policy.budget_window)
    verbs = {rung, "remove"} if rung == "redeploy" else {rung}
    return [
        action
        for action in situation.actions
        if action.verb in verbs
        and action.incident
        and action.slice == incident.slice
        and action.instance == incident.instance
        and situation.now - action.started < window
    ]


def _refused(incident: Incident, tries: Sequence[ActionRecord], situation: Situation) -> datetime | None:
    """Return until when a refusal stands: it takes nothing from the budget, but is not asked for again at once."""
    if not tries or tries[-1].outcome != "refused" or tries[-1].incident != incident.id:
        return None
    until = tries[-1].started + _backoff(incident, 1, situation.policy)
    return until if until > situation.now else None


def _backoff(incident: Incident, tries: int, policy: HealPolicy) -> timedelta:
    digest = hashlib.sha256(f"{incident.id}{tries}".encode()).digest()
    jitter = 1 + JITTER * (digest[0] / 127.5 - 1)
    doubled = policy.backoff * 2 ** min(tries - 1, _MOST_DOUBLINGS)
    return timedelta(seconds=min(doubled, policy.backoff_limit) * jitter)


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
