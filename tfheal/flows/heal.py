"""`tfheal heal`: observe, confirm, plan, act, observe again, until nothing is left to do; a human at the ladder's end."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from tfheal.base.errors import Refused, TfhealError
from tfheal.base.moments import rfc3339
from tfheal.core import remedies
from tfheal.core.deploy import liveness
from tfheal.core.heal import DAY, Situation, actionable, only, planned
from tfheal.core.resources import steps
from tfheal.core.resources.step import Step
from tfheal.flows.act import Work, act, act_everywhere
from tfheal.flows.fleet import Limits
from tfheal.flows.look import Look, Scope, judged, look
from tfheal.flows.recover import close_unfinished
from tfheal.flows.releases import secret_values
from tfheal.flows.remove import finish_removal
from tfheal.model.facts import SliceFacts
from tfheal.model.findings import Diagnosis
from tfheal.model.inventory import Slice
from tfheal.model.plan import Action, Plan
from tfheal.model.ports import Ports
from tfheal.model.record import ActionRecord, Expected, Incident, Outcome
from tfheal.model.release import InstanceName, Release
from tfheal.model.results import Healing, Taken
from tfheal.model.workspace import Workspace

MOST_ROUNDS = 12  # of acting and looking again in one run; the budgets end it long before


@dataclass(frozen=True, slots=True)
class HealOptions:
    """What the operator asked for; `agree` is asked with the plan before anything is done."""

    plan_only: bool
    agree: Callable[[Plan], bool]


@dataclass(frozen=True, slots=True)
class _Run:
    """A heal run under way."""

    workspace: Workspace
    apps: tuple[str, ...]
    ports: Ports
    limits: Limits
    run: str


def heal(workspace: Workspace, apps: tuple[str, ...], ports: Ports, limits: Limits, options: HealOptions) -> Healing:
    """Given names of apps, heal what ails them; an app whose lease is held elsewhere is left to its holder."""
    run = ports.journal.begin_run("heal " + " ".join(apps), ports.clock.now()).id
    locked: dict[str, str] = {}
    with ExitStack() as leases:
        for app in apps if not options.plan_only else ():
            try:
                leases.enter_context(ports.leases.hold(app, "heal", run))
            except Refused as refusal:
                locked[app] = str(refusal)
        free = tuple(app for app in apps if app not in locked)
        result = replace(_heal(_Run(workspace, free, ports, limits, run), options), locked=locked)
    ports.journal.end_run(run, int(result.exit), ports.clock.now())
    return result


def _heal(run: _Run, options: HealOptions) -> Healing:
    found, diagnosis = _confirmed(run)
    if not options.plan_only:
        for app in run.apps:
            close_unfinished(app, run.ports)
    taken: list[Taken] = []
    plan = _plan(run, found, diagnosis)
    agreed = not options.plan_only and (not plan.actions or options.agree(plan))
    for _ in range(MOST_ROUNDS if agreed else 0):
        _keep(run, plan.incidents)
        if not plan.actions:
            break
        taken += _act(run, found.meant, plan)
        found, diagnosis = _confirmed(run)
        plan = _plan(run, found, diagnosis)
    now = run.ports.clock.now()
    if agreed:
        _keep(run, plan.incidents)
    if not options.plan_only:
        run.ports.journal.note_health(diagnosis.instances, now)
    return Healing(now, _shown(run, plan, taken), plan, tuple(taken), {}, diagnosis, found.seen, agreed)


def _shown(run: _Run, plan: Plan, taken: Iterable[Taken]) -> tuple[Incident, ...]:
    """Return the incidents that are not over, and those that this run acted on, as they are now."""
    touched = {item.action.incident for item in taken}
    now = {incident.id: incident for incident in plan.incidents}
    before = run.ports.journal.incidents() if touched - now.keys() else []
    past = [incident for incident in before if incident.id in touched - now.keys()]
    return (*past, *(incident for incident in plan.incidents if incident.state != "resolved" or incident.id in touched))


def _confirmed(run: _Run) -> tuple[Look, Diagnosis]:
    """Return what was found, and the diagnosis with only those findings to act on that every further ask confirmed."""
    policy = run.workspace.provider.heal
    found = look(run.workspace, Scope(run.apps), run.ports, run.limits)
    diagnosis = judged(run.workspace, run.apps, found)
    confirmed = set(actionable(diagnosis))
    for _ in range(policy.asks - 1):
        suspects = {finding.slice for key, finding in actionable(diagnosis).items() if key in confirmed}
        if not suspects:
            break
        run.ports.clock.sleep(policy.ask_every)
        again = look(run.workspace, Scope(run.apps, only=suspects), run.ports, run.limits)
        found = replace(found, seen={**found.seen, **again.seen})
        diagnosis = judged(run.workspace, run.apps, found)
        confirmed &= set(actionable(diagnosis))
    return found, only(diagnosis, confirmed)


def _plan(run: _Run, found: Look, diagnosis: Diagnosis) -> Plan:
    now, journal = run.ports.clock.now(), run.ports.journal
    policy = run.workspace.provider.heal
    back = max(DAY, timedelta(seconds=policy.min_healthy_period), timedelta(seconds=policy.budget_window))
    ours = tuple(item for item in journal.incidents(since=now - back) if item.app in run.apps or not item.app)
    situation = Situation(
        releases={item.release.instance: item.release for item in found.meant},
        allow={app: run.workspace.apps[app].heal.allow for app in run.apps},
        incidents=ours,
        actions=tuple(journal.actions(since=now - back)),
        policy=policy,
        now=now,
    )
    asked_slices = [name for name, facts in found.seen.items() if isinstance(facts, SliceFacts)]
    return planned(diagnosis, asked_slices, situation)


def _keep(run: _Run, incidents: Iterable[Incident]) -> None:
    for incident in incidents:
        run.ports.journal.put_incident(incident)


def _act(run: _Run, meant: tuple[Expected, ...], plan: Plan) -> list[Taken]:
    have = {item.release.instance: item for item in meant}
    remote: dict[str, list[Action]] = {}
    for action in plan.actions:
        if action.rung != "page":
            remote.setdefault(action.slice, []).append(action)
    targets = tuple(run.workspace.inventory.slice(name) for name in remote)

    def act_here(target: Slice) -> list[Taken]:
        return [_take(run, action, have, target) for action in remote[target.name]]

    taken: list[Taken] = []
    for name, done in act_everywhere(targets, act_here, run.limits).items():
        if isinstance(done, TfhealError):
            outcome = "refused" if isinstance(done, Refused) else "failed"
            taken += [Taken(action, outcome, str(done), 0.0) for action in remote[name]]
        else:
            taken += done
    incidents = {incident.id: incident for incident in plan.incidents}
    return taken + [_page(run, action, incidents[action.incident]) for action in plan.actions if action.rung == "page"]


def _take(run: _Run, action: Action, have: Mapping[InstanceName, Expected], target: Slice) -> Taken:
    item = have[action.instance] if action.instance else None
    if item is None:
        return Taken(action, "refused", "nothing is deployed there", 0.0)
    run.ports.reporter.say(f"{action.instance}  {action.rung}: {action.why}")
    if item.deployed.phase == "removing":
        done = finish_removal(item, target, run.ports, run.run, action.incident)
    else:
        done = act(_work(run, action, item), target, run.ports)
        if done.outcome == "done" and action.rung == "redeploy" and item.deployed.phase == "deploying":
            run.ports.journal.set_deployed(replace(item.deployed, phase="deployed", at=run.ports.clock.now()))
    return Taken(action, done.outcome, done.detail, done.seconds)


def _work(run: _Run, action: Action, item: Expected) -> Work:
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
    )


def _remedy(run: _Run, action: Action, release: Release, secrets: Mapping[tuple[str, int], str]) -> tuple[Step, ...]:
    match action.rung:
        case "restart":
            return remedies.restart(release, secrets)
        case "free-disk":
            return remedies.free_disk(release.app, run.workspace.provider.heal.disk_full_share)
        case "redeploy":
            return steps(release, secrets) + liveness(release, secrets)
        case "page":
            return ()
        case _:
            assert_never(action.rung)


def _page(run: _Run, action: Action, incident: Incident) -> Taken:
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
        run.ports.notifier.page(_message(incident, now))
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


def _message(incident: Incident, now: datetime) -> dict[str, object]:
    return {
        "schema": "tfheal/page/1",
        "at": rfc3339(now),
        "incident": incident.id,
        "app": incident.app,
        "instance": str(incident.instance) if incident.instance else None,
        "slice": incident.slice,
        "cause": incident.cause,
        "detail": incident.detail,
        "opened": rfc3339(incident.opened),
    }
