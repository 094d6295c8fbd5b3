"""`tfheal heal`: observe, confirm, plan, act, observe again, until nothing is left to do; a human at the ladder's end."""

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta

from tfheal.base.errors import Refused, TfhealError
from tfheal.core.heal import DAY, Situation, Storm, actionable, only, planned
from tfheal.core.heal.storm import RESCUES, silent, suspected, told
from tfheal.flows import names
from tfheal.flows.act import act_everywhere
from tfheal.flows.aside import aside, ready_again
from tfheal.flows.bring_back import brought_back, returns, ways_to_earlier
from tfheal.flows.fence import fence
from tfheal.flows.fleet import Limits
from tfheal.flows.look import Look, Scope, look
from tfheal.flows.pauses import settle
from tfheal.flows.place import effective
from tfheal.flows.recover import close_unfinished
from tfheal.flows.reflex import note_reflex
from tfheal.flows.releases import everywhere, retired
from tfheal.flows.rescue import judgement, rescued, rescues
from tfheal.flows.rungs import HealRun, page, take
from tfheal.flows.standing import note, ways_back
from tfheal.model.facts import SliceFacts
from tfheal.model.findings import Cause, Diagnosis
from tfheal.model.inventory import Slice
from tfheal.model.plan import Action, Plan
from tfheal.model.ports import Ports
from tfheal.model.record import Expected, Incident
from tfheal.model.release import InstanceName
from tfheal.model.results import Healing, Taken
from tfheal.model.workspace import Workspace

MOST_ROUNDS = 12  # of acting and looking again in one run; the budgets end it long before


@dataclass(frozen=True, slots=True)
class HealOptions:
    """What the operator asked for; `agree` is asked with the plan before anything is done."""

    plan_only: bool
    agree: Callable[[Plan], bool]


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
        result = replace(_heal(HealRun(workspace, free, ports, limits, run), options), locked=locked)
    ports.journal.end_run(run, int(result.exit), ports.clock.now())
    return result


def _heal(run: HealRun, options: HealOptions) -> Healing:
    if not options.plan_only:
        fence(run)
    found, diagnosis, storm = _confirmed(run)
    note_reflex(found.meant, found.seen, run.ports)
    if not options.plan_only:
        for app in ("", *run.apps):  # a call for a human may be of no app
            close_unfinished(app, run.ports)
        settle(run.workspace, found.seen, run.ports, run.limits)
    taken: list[Taken] = []
    plan = _plan(run, found, diagnosis, storm)
    agreed = not options.plan_only and (not plan.actions or options.agree(plan))
    for _ in range(MOST_ROUNDS if agreed else 0):
        _keep(run, plan.incidents)
        if not plan.actions:
            break
        done = _act(run, found.meant, plan)
        taken += done
        if run.limits.over:  # what was done is looked at by the next run
            break
        run = replace(run, workspace=effective(run.workspace, run.ports.journal))
        found, diagnosis, storm = _confirmed(run)
        plan = _plan(run, found, diagnosis, storm)
        if all(item.outcome == "refused" for item in done):
            break  # whatever stands in the way does so for longer than this run
    now = run.ports.clock.now()
    if agreed:
        _keep(run, plan.incidents)
        ready_again(run, plan, diagnosis, found.meant)
    if not options.plan_only:
        run.ports.journal.note_health(diagnosis.instances, now)
        note(run.workspace, found, diagnosis, run.ports)
    unpublished = names.settle(run.workspace, run.apps, run.ports) if agreed else ()
    return Healing(now, _shown(run, plan, taken), plan, tuple(taken), {}, diagnosis, found.seen, agreed, unpublished)


def _shown(run: HealRun, plan: Plan, taken: Iterable[Taken]) -> tuple[Incident, ...]:
    """Return the incidents that are not over, and those that this run acted on, as they are now."""
    touched = {item.action.incident for item in taken}
    now = {incident.id: incident for incident in plan.incidents}
    before = run.ports.journal.incidents() if touched - now.keys() else []
    past = [incident for incident in before if incident.id in touched - now.keys()]
    return (*past, *(incident for incident in plan.incidents if incident.state != "resolved" or incident.id in touched))


def _confirmed(run: HealRun) -> tuple[Look, Diagnosis, Storm | None]:
    """Return what was found, the diagnosis with only those findings to act on that every ask confirmed, and the storm."""
    policy = run.workspace.provider.heal
    found = look(run.workspace, Scope(run.apps), run.ports, run.limits)
    diagnosis = judgement(run, found)
    confirmed = set(actionable(diagnosis))
    for _ in range(policy.asks - 1):
        suspects = {finding.slice for key, finding in actionable(diagnosis).items() if key in confirmed}
        suspects |= silent(found.seen) if suspected(found.seen) else frozenset()
        if not suspects:
            break
        run.ports.clock.sleep(policy.ask_every)
        again = look(run.workspace, Scope(run.apps, only=suspects), run.ports, run.limits)
        found = replace(found, seen={**found.seen, **again.seen})
        diagnosis = judgement(run, found)
        confirmed &= set(actionable(diagnosis))
    storm = _storm(run, found)
    return found, told(only(diagnosis, confirmed), storm), storm


def _storm(run: HealRun, found: Look) -> Storm | None:
    """Return the storm, if much of the fleet looks down, with the reference peers that answer all the same."""
    storm = suspected(found.seen)
    peers = run.workspace.provider.uplink.reference_peers
    return replace(storm, peers=peers, answering=run.ports.uplink.answering(peers)) if storm else None


def _plan(run: HealRun, found: Look, diagnosis: Diagnosis, storm: Storm | None) -> Plan:
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
        storm=storm,
        retired=frozenset(item.instance.slice for item in retired(run.ports))
        - {item.release.slice for item in everywhere(run.ports)},
        rescues=rescues(run, found, diagnosis),
        ways_back=ways_back(run.workspace, found.meant, run.ports),
        returns=returns(run.workspace, _of({"data-missing", "data-damaged"}, diagnosis), run.ports)
        | ways_to_earlier(run.workspace, _of({"inconsistent"}, diagnosis), run.ports),
    )
    asked_slices = [name for name, facts in found.seen.items() if isinstance(facts, SliceFacts)]
    return planned(diagnosis, asked_slices, situation)


def _of(causes: Collection[Cause], diagnosis: Diagnosis) -> list[InstanceName]:
    """Return the instances of which something was found."""
    return [one.instance for one in diagnosis.findings if one.cause in causes and one.instance]


def _keep(run: HealRun, incidents: Iterable[Incident]) -> None:
    for incident in incidents:
        run.ports.journal.put_incident(incident)


def _act(run: HealRun, meant: tuple[Expected, ...], plan: Plan) -> list[Taken]:
    have = {item.release.instance: item for item in meant}
    remote: dict[str, list[Action]] = {}
    for action in plan.actions:
        if action.rung != "page" and action.rung not in RESCUES:
            remote.setdefault(action.slice, []).append(action)
    targets = tuple(run.workspace.inventory.slice(name) for name in remote)

    def act_here(target: Slice) -> list[Taken]:
        return [
            _late(action) if run.limits.over else _taken(run, action, have, target) for action in remote[target.name]
        ]

    taken: list[Taken] = []
    for name, done in act_everywhere(targets, act_here, run.limits).items():
        if isinstance(done, TfhealError):
            outcome = "refused" if isinstance(done, Refused) else "failed"
            taken += [Taken(action, outcome, str(done), 0.0) for action in remote[name]]
        else:
            taken += done
    taken += [
        _late(action) if run.limits.over else rescued(run, action) for action in plan.actions if action.rung in RESCUES
    ]
    incidents = {incident.id: incident for incident in plan.incidents}
    return taken + [page(run, action, incidents[action.incident]) for action in plan.actions if action.rung == "page"]


def _taken(run: HealRun, action: Action, have: Mapping[InstanceName, Expected], target: Slice) -> Taken:
    item = have.get(action.instance) if action.instance else None
    if item is None:
        return take(run, action, have, target)
    if action.rung == "restore":
        return aside(run, action, item, lambda: brought_back(run, action, item))
    return aside(run, action, item, lambda: take(run, action, have, target))


def _late(action: Action) -> Taken:
    return Taken(action, "skipped", "the deadline of the run had passed before it began", 0.0)
