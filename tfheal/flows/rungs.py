"""One planned action carried out: a rung of the ladder on a slice, or a call for a human."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, assert_never

from tfheal.base.errors import Refused, TfhealError
from tfheal.base.moments import rfc3339
from tfheal.base.untrusted import brief
from tfheal.core import remedies
from tfheal.core.deploy import liveness
from tfheal.core.resources import steps
from tfheal.core.resources.step import Step
from tfheal.flows import standing
from tfheal.flows.act import Done, Work, act
from tfheal.flows.fleet import Limits
from tfheal.flows.put import put
from tfheal.flows.releases import secret_values
from tfheal.flows.remove import finish_removal
from tfheal.model.inventory import Slice
from tfheal.model.plan import Action
from tfheal.model.ports import Ports
from tfheal.model.record import ActionRecord, Expected, Incident, Outcome, Phase
from tfheal.model.release import InstanceName, Release
from tfheal.model.results import Taken
from tfheal.model.workspace import Workspace

_WHOLE: Final = frozenset({"redeploy", "rebuild"})  # what puts a whole release there ends a deploy that was interrupted


@dataclass(frozen=True, slots=True)
class HealRun:
    """A heal run under way."""

    workspace: Workspace
    apps: tuple[str, ...]
    ports: Ports
    limits: Limits
    run: str


def take(run: HealRun, action: Action, have: Mapping[InstanceName, Expected], target: Slice) -> Taken:
    """Given a run, an action, what is deployed and the slice, do it and return how it ended."""
    item = have[action.instance] if action.instance else None
    if item is None:
        return Taken(action, "refused", "nothing is deployed there", 0.0)
    run.ports.reporter.say(f"{action.instance}  {action.rung}: {action.why}")
    if item.deployed.phase == "removing":
        done = finish_removal(item, target, run.ports, run.run, action.incident)
    elif action.rung == "rollback":
        done = _roll_back(run, action, item, target)
    elif action.rung in _WHOLE:
        done = put(_work(run, action, item), item, target, run.ports)
    else:
        done = act(_work(run, action, item), target, run.ports)
    return Taken(action, done.outcome, done.detail, done.seconds)


def _roll_back(run: HealRun, action: Action, item: Expected, target: Slice) -> Done:
    """Put an earlier release there in place of the deployed one, which is held; killed in between, it goes forward."""
    journal, before = run.ports.journal, item.deployed
    release = journal.release(action.release or "")
    if release is None:
        raise Refused("nothing to go back to", where=str(before.instance), why=f"release {action.release} is not kept")
    now = run.ports.clock.now()
    phase: Phase = "remaking" if before.phase == "remaking" else "deploying"
    older = replace(before, release=str(action.release), version=release.version, phase=phase, at=now)
    work = replace(_work(run, action, Expected(older, release)), holds=before.release)
    standing.hold(before, _failure(run, action), run.ports)
    journal.set_deployed(older)
    done = put(work, Expected(older, release), target, run.ports)
    if done.outcome == "refused":
        journal.set_deployed(before)
        standing.lift(before.instance, before.release, run.ports)
    return done


def _failure(run: HealRun, action: Action) -> str:
    """Return what the last failed try of an incident said, else what the incident is."""
    tries = [one for one in run.ports.journal.actions(action.app) if one.incident == action.incident]
    said = [brief(one.detail) for one in tries if one.outcome == "failed" and one.detail.strip()]
    return said[-1][:300] if said else action.why


def _work(run: HealRun, action: Action, item: Expected) -> Work:
    release = item.release
    secrets = secret_values(release, run.ports)
    return Work(
        verb=action.rung,
        release=release,
        steps=_remedy(run, action, release, secrets),
        secrets=secrets,
        why=action.why,
        run=run.run,
        generation=item.deployed.generation,
        incident=action.incident,
        identity=None if item.reached else f"{release.slice} {run.ports.marker()}",
        limit=run.workspace.provider.heal.act_timeout,
        holds=standing.last_held(item.deployed, run.ports) if item.deployed.phase == "deploying" else None,
    )


def _remedy(run: HealRun, action: Action, release: Release, secrets: Mapping[tuple[str, int], str]) -> tuple[Step, ...]:
    match action.rung:
        case "restart":
            return remedies.restart(release, secrets)
        case "free-disk":
            return remedies.free_disk(release.app, run.workspace.provider.heal.disk_full_share)
        case "redeploy" | "rollback":
            return steps(release, secrets) + liveness(release, secrets)
        case "rebuild":
            return remedies.discard(release) + steps(release, secrets) + liveness(release, secrets)
        case "page" | "recreate" | "restore" | "rehome":  # nothing that is done on the slice
            return ()
        case _:
            assert_never(action.rung)


def page(run: HealRun, action: Action, incident: Incident) -> Taken:
    """Given a run, the action that calls a human and its incident, call once, and return whether the call got out."""
    journal, now = run.ports.journal, run.ports.clock.now()
    record = ActionRecord(
        id=journal.new_id(),
        run=run.run,
        verb="page",
        app=action.app,
        instance=action.instance,
        slice=action.slice,
        incident=action.incident,
        why=action.why,
        release=action.release,
        started=now,
    )
    journal.intend(record)
    outcome: Outcome
    try:
        run.ports.notifier.page(_message(incident, action.why, now))
        outcome, detail = "done", "a human was called"
        # Once for an incident; a chronic one is over when it was told.
        over = incident.cause == "chronic"
        told = replace(incident, paged=now, state="resolved" if over else incident.state, closed=now if over else None)
        journal.put_incident(told)
    except TfhealError as error:
        outcome, detail = "failed", str(error)
    ended = run.ports.clock.now()
    journal.conclude(record.id, outcome, detail, ended)
    return Taken(action, outcome, detail, (ended - now).total_seconds())


def _message(incident: Incident, why: str, now: datetime) -> dict[str, object]:
    return {
        "schema": "tfheal/page/1",
        "at": rfc3339(now),
        "incident": incident.id,
        "app": incident.app,
        "instance": str(incident.instance) if incident.instance else None,
        "slice": incident.slice,
        "cause": incident.cause,
        "detail": incident.detail,
        "why": why,
        "opened": rfc3339(incident.opened),
    }
