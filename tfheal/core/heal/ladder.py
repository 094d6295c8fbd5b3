"""The ladder: which rung an open incident is on, whether its budget and back-off allow a try, and when a human is called."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from tfheal.core.heal.situation import Situation
from tfheal.model.plan import Action, Waiting
from tfheal.model.playbook import SHIPPED_LADDER, Rung
from tfheal.model.record import ActionRecord, Incident
from tfheal.model.workspace import HealPolicy

JITTER: Final = 0.25  # Nomad's
_MOST_DOUBLINGS: Final = 30


def next_step(incident: Incident, situation: Situation) -> Action | Waiting:
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
