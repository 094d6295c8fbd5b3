"""The ladder: which rung an open incident is on, whether its budget and back-off allow a try, and when a human is called."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from tfheal.core.diagnose import family
from tfheal.core.heal.situation import DAY, Return, Situation
from tfheal.core.heal.storm import RESCUES
from tfheal.core.resources.software import software
from tfheal.model.findings import Cause
from tfheal.model.plan import Action, Waiting
from tfheal.model.playbook import SHIPPED_LADDER, Rung
from tfheal.model.record import ActionRecord, Incident
from tfheal.model.workspace import HealPolicy

OF_SLICES: Final[tuple[Rung, ...]] = ("recreate", "rehome", "page")  # what helps where a whole slice is lost
LOST: Final[frozenset[Cause]] = frozenset({"slice-unreachable", "slice-wiped", "host-key-changed"})
JITTER: Final = 0.25  # Nomad's
_MOST_DOUBLINGS: Final = 30
_ENDS: Final = frozenset({"redeploy", "remove"})  # what brings to its end what was interrupted
_NOT_TRIED: Final = frozenset({"refused", "undone"})
# What helps against these causes; and what some rungs are good for, by the family of the cause. A release is not blamed
# for what others changed on the slice: drift is put back, and the same release stays.
ONLY: Final[Mapping[Cause, Rung]] = {
    "disk-full": "free-disk",
    "not-ready": "rollback",
    "data-missing": "restore",
    "inconsistent": "restore",
    "data-damaged": "restore",
}
HELPS: Final[Mapping[Rung, frozenset[str]]] = {
    "free-disk": frozenset(),
    "rollback": frozenset({"service", "interrupted"}),
    "rebuild": frozenset({"service"}),
    "restore": frozenset(),
}


def next_step(incident: Incident, situation: Situation) -> Action | Waiting:
    """Return the next step of an open incident: the first rung from its present one that is allowed and has budget."""
    policy = situation.policy
    forbidden: list[str] = []
    for rung in _ladder(incident, situation):
        if rung == "page":
            break
        if (hindrance := _hindrance(incident, rung, situation)) is not None:
            forbidden.append(f"{rung} ({hindrance})" if hindrance else rung)
            continue
        tries = _tries(incident, rung, situation)
        if refused := _refused(incident, tries, situation):
            return Waiting(incident.id, rung, f"it was refused: {tries[-1].detail}", refused)
        tries = [action for action in tries if action.outcome not in _NOT_TRIED]
        failed_hard = bool(tries) and tries[-1].incident == incident.id and tries[-1].outcome == "failed"
        if failed_hard or len(tries) >= policy.budget:
            continue
        if tries and (until := tries[-1].over + _pause(incident, rung, len(tries), situation)) > situation.now:
            why = f"try {len(tries) + 1} of {policy.budget} waits for its back-off"
            return Waiting(incident.id, rung, why, until)
        return _action(incident, rung, situation)
    return _call(incident, forbidden, situation)


def _hindrance(incident: Incident, rung: Rung, situation: Situation) -> str | None:
    """Return why a rung may not be taken, nothing said where the app does not allow it; None if it may."""
    if incident.cause == "inconsistent" and rung == "restore":
        return _spoilt(incident, situation) or None
    if rung not in RESCUES and rung not in situation.allow.get(incident.app, ()):
        return ""
    if rung not in RESCUES:
        return _pointless(incident, rung, situation) or None
    rescue = situation.rescues.get(incident.slice)
    return (rescue.hindrance(rung) or None) if rescue else "nothing is known of its slice"


def _spoilt(incident: Incident, situation: Situation) -> str:
    """Return why data that is not right may not go back to an earlier time, with the times that a person could choose of."""
    instance = incident.instance
    comes = situation.returns.get(instance) if instance else None
    if comes is None or comes.why:
        return comes.why if comes else "nothing is known of its backups"
    allowed = "restore-logical" in situation.allow.get(incident.app, ())
    return "" if allowed else f"restore-logical is not in heal: allow:; {comes.words}"


def _call(incident: Incident, forbidden: Sequence[str], situation: Situation) -> Action | Waiting:
    """Return the call for a human, once for an incident that nobody took; one that did not get out is made again later."""
    if incident.acked:
        return Waiting(incident.id, "page", f"{incident.acked_by} took it, {incident.acked:%Y-%m-%d %H:%M} UTC")
    if incident.paged:
        why = f"needs a human, called {incident.paged:%Y-%m-%d %H:%M} UTC"
        return Waiting(incident.id, "page", why + (f"; not possible: {', '.join(forbidden)}" if forbidden else ""))
    calls = [action for action in situation.actions if action.verb == "page" and action.incident == incident.id]
    if calls and (until := calls[-1].over + _backoff(incident, len(calls), situation.policy)) > situation.now:
        return Waiting(incident.id, "page", f"needs a human, who could not be called: {calls[-1].detail}", until)
    call = _action(incident, "page", situation)
    why = f"{call.why}; not possible: {', '.join(forbidden)}" if forbidden else call.why
    return replace(call, why=why[:1_000])


def _pointless(incident: Incident, rung: Rung, situation: Situation) -> str:
    """Return why a rung cannot help this instance, whatever its budget; nothing if it can."""
    if incident.instance is None:
        return ""
    release, back = situation.releases.get(incident.instance), situation.ways_back.get(incident.instance)
    if rung == "rollback" and (back is None or back.release is None):
        return back.why if back else "no earlier release is known good"
    if rung == "restore":
        return situation.returns.get(incident.instance, Return(why="nothing is known of its backups")).why
    if rung == "rebuild" and not (release and software(release)):
        return "nothing of it can be made anew"
    return ""


def _ladder(incident: Incident, situation: Situation) -> tuple[Rung, ...]:
    """Return the rungs of the playbook from where the incident is; a full disk is freed, and nothing else is."""
    start = _start(incident, situation)
    if incident.instance is None and incident.cause != "storm":
        return OF_SLICES[OF_SLICES.index(start) :] if start in OF_SLICES else ("page",)
    release = situation.releases.get(incident.instance) if incident.instance else None
    rungs: tuple[Rung, ...] = release.ladder if release else ("page",)
    if start in rungs:
        rungs = rungs[rungs.index(start) :]
    else:
        later = SHIPPED_LADDER[SHIPPED_LADDER.index(start) :]
        rungs = tuple(rung for rung in rungs if rung in later)
    return tuple(rung for rung in rungs if rung == "page" or _helps(rung, incident.cause))


def _helps(rung: Rung, cause: Cause) -> bool:
    return rung == ONLY[cause] if cause in ONLY else family(cause) in HELPS.get(rung, {family(cause)})


def _start(incident: Incident, situation: Situation) -> Rung:
    """Return the rung that an incident is on; for a lost slice one that was only forbidden until now is still before it.

    What was interrupted is finished first of all, also a rollback: of the release that it was to, nothing was tried yet.
    """
    rung = incident.rung or "page"
    if situation.now - incident.opened >= DAY:
        return rung
    mine = [action for action in situation.actions if action.incident == incident.id]
    ends = [one for one in mine if one.verb in _ENDS and not _is_of_another(one, situation)]
    if incident.cause == "interrupted" and not ends:
        return "redeploy"
    if incident.cause == "inconsistent" and not any(one.verb == "restore" for one in mine):
        return "restore"  # it was only forbidden until now
    if incident.cause not in LOST:
        return rung
    tried = {action.verb for action in mine}
    untried = [other for other in OF_SLICES if other in RESCUES and other not in tried]
    return min([rung, *untried], key=SHIPPED_LADDER.index)


def _pause(incident: Incident, rung: Rung, tries: int, situation: Situation) -> timedelta:
    """Return the wait after so many tries: the back-off, or what a provisioner wants between two of its commands."""
    rescue = situation.rescues.get(incident.slice) if rung == "recreate" else None
    return max(_backoff(incident, tries, situation.policy), timedelta(seconds=rescue.pause if rescue else 0.0))


def _tries(incident: Incident, rung: Rung, situation: Situation) -> list[ActionRecord]:
    """Return the tries of a rung that ended within its budget's window; to finish a removal is to redeploy what is to be gone."""
    window = timedelta(seconds=situation.policy.budget_window)
    verbs = _ENDS if rung == "redeploy" else {rung}
    found = [
        action
        for action in situation.actions
        if action.verb in verbs
        and action.incident
        and action.slice == incident.slice
        and (action.instance == incident.instance or rung in RESCUES)
        and situation.now - action.over < window
        and not (incident.cause == "interrupted" and rung == "redeploy" and _is_of_another(action, situation))
    ]
    # A slice is given up as a whole, and each instance on it has its own line about that.
    return list({action.started: action for action in found}.values()) if rung in RESCUES else found


def _is_of_another(action: ActionRecord, situation: Situation) -> bool:
    """Return whether a try was of another release than the one that is to be there now: it says nothing of that."""
    release = situation.releases.get(action.instance) if action.instance else None
    return release is not None and action.release is not None and action.release != release.id


def _refused(incident: Incident, tries: Sequence[ActionRecord], situation: Situation) -> datetime | None:
    """Return until when a refusal stands: it takes nothing from the budget, but is not asked for again at once.

    What was `undone`, as another was at work until just before, is asked for again at once, but only once.
    """
    mine = [action.outcome for action in tries if action.incident == incident.id]
    if not tries or tries[-1].incident != incident.id or (mine[-1] != "refused" and mine[-2:] != ["undone", "undone"]):
        return None
    until = tries[-1].over + _backoff(incident, 1, situation.policy)
    return until if until > situation.now else None


def _backoff(incident: Incident, tries: int, policy: HealPolicy) -> timedelta:
    digest = hashlib.sha256(f"{incident.id}{tries}".encode()).digest()
    jitter = 1 + JITTER * (digest[0] / 127.5 - 1)
    doubled = policy.backoff * 2 ** min(tries - 1, _MOST_DOUBLINGS)
    return timedelta(seconds=min(doubled, policy.backoff_limit) * jitter)


def _action(incident: Incident, rung: Rung, situation: Situation) -> Action:
    rescue = situation.rescues.get(incident.slice) if rung in RESCUES else None
    release = situation.releases.get(incident.instance) if incident.instance else None
    back = situation.ways_back.get(incident.instance) if incident.instance and rung == "rollback" else None
    comes = situation.returns.get(incident.instance, Return()) if incident.instance and rung == "restore" else Return()
    words = comes.words or (rescue.loses if rescue else "")
    return Action(
        rung=rung,
        incident=incident.id,
        app=incident.app,
        slice=incident.slice,
        instance=incident.instance,
        why=f"{incident.cause}: {incident.detail}"[:500] + (f"; {words}" if words else ""),
        release=back.release if back else release.id if release else None,
        moves=rescue.moves if rescue and rung == "rehome" else {},
    )
