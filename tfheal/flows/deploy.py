"""`tfheal deploy`: a check trip whose reply is the plan, then an apply trip to the slices that differ and to no other."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tfheal.base.errors import Refused, TfhealError
from tfheal.base.exits import winning
from tfheal.core.deploy import generation, liveness, planned, state_of
from tfheal.core.order import stages
from tfheal.core.upgrade import keeps_data
from tfheal.flows import names
from tfheal.flows.act import Done, Work, act, act_everywhere
from tfheal.flows.at_rest import await_backups
from tfheal.flows.fence import fence
from tfheal.flows.fleet import Limits
from tfheal.flows.observe import Asked, asked, observed
from tfheal.flows.pauses import settle, standing
from tfheal.flows.recover import close_incidents, close_unfinished
from tfheal.flows.releases import in_use, make_secrets, reached, wanted
from tfheal.flows.rungs import HealRun
from tfheal.flows.standing import ANEW, held, lift
from tfheal.flows.store_gone import given_up, leave_behind
from tfheal.flows.versions import unfinished, ways_on
from tfheal.model.backup import STORE
from tfheal.model.facts import Observation, Unasked
from tfheal.model.inventory import Slice
from tfheal.model.plan import InstancePlan
from tfheal.model.ports import Ports
from tfheal.model.record import AWAITING, Deployed, Phase
from tfheal.model.release import InstanceName
from tfheal.model.results import AppResult, InstanceOutcome, InstanceResult
from tfheal.model.workspace import Workspace


@dataclass(frozen=True, slots=True)
class DeployOptions:
    """What the operator asked for: stop after the plan; accept that a slice came back empty; try what is held again.

    `in_place`: put another version over data, without the backup before it and the watch after it that an upgrade has.
    """

    plan: bool = False
    onto_empty: bool = False
    again: bool = False
    in_place: bool = False


@dataclass(frozen=True, slots=True)
class _Trip:
    """One app under way: what it is deployed from, what was asked and seen, and the generation that results."""

    workspace: Workspace
    ports: Ports
    limits: Limits
    run: str
    app: str
    items: Mapping[InstanceName, Asked]
    seen: Mapping[str, Observation]
    known: Mapping[InstanceName, Deployed]
    generation: int


def deploy(
    workspace: Workspace, apps: tuple[str, ...], ports: Ports, limits: Limits, options: DeployOptions
) -> tuple[AppResult, ...]:
    """Given names of apps, bring each to what its spec says, or only say what that would change."""
    if options.plan:
        return tuple(_result(_check_trip(workspace, app, ports, limits, ""), options) for app in apps)
    run = ports.journal.begin_run("deploy " + " ".join(apps), ports.clock.now())
    results = []
    for app in apps:
        try:
            await_backups(app, ports)
            with ports.leases.hold(app, "deploy", run.id):
                results.append(_deploy(workspace, app, ports, limits, run.id, options))
        except Refused as refusal:
            results.append(AppResult(app, refused=str(refusal)))
    ports.journal.end_run(run.id, int(winning(result.exit for result in results)), ports.clock.now())
    return tuple(results)


def _deploy(
    workspace: Workspace, app: str, ports: Ports, limits: Limits, run: str, options: DeployOptions
) -> AppResult:
    make_secrets(workspace, app, ports)
    leave_behind(workspace, app, ports)
    trip = _check_trip(workspace, app, ports, limits, run)
    close_unfinished(app, ports)
    fence(HealRun(workspace, (app,), ports, limits, run))
    settle(workspace, trip.seen, ports, limits)
    plans = _plans(trip)
    if refused := _refusal(trip, plans, options):
        return AppResult(app, refused=refused)
    results = {name: InstanceResult(plan, "unchanged") for name, plan in plans.items() if plan.reason == "unchanged"}
    results |= {
        name: InstanceResult(plan, "unasked", plan.detail) for name, plan in plans.items() if plan.reason == "unasked"
    }
    for name in results:
        if plans[name].reason == "unchanged" and not _is_noted(trip, name):
            _note(trip, [name], "deployed")
    results |= _applied(trip, plans, results)
    return replace(
        _finished(trip, tuple(results[name] for name in plans)), unpublished=names.settle(workspace, (app,), ports)
    )


def _applied(
    trip: _Trip, plans: Mapping[InstanceName, InstancePlan], settled: Mapping[InstanceName, InstanceResult]
) -> dict[InstanceName, InstanceResult]:
    """Apply what is not settled, stage by stage; all of it is noted first, so that of a killed deploy nothing is forgotten."""
    begun = [name for name in plans if name not in settled]
    _note(trip, begun, "deploying")
    results = dict(settled)
    needs = {item.release.component: item.release.needs for item in trip.items.values()}
    stopped = ""
    for components in stages(needs):
        due = [name for name in begun if name.component in components]
        waiting = {} if stopped else _waiting(plans, due, needs, results)
        results |= waiting | _apply_stage(trip, plans, [name for name in due if name not in waiting], stopped)
        failed = [name for name in due if results[name].outcome in {"failed", "refused", "skipped"}]
        stopped = stopped or (str(failed[0]) if failed else "")
    if left := [name for name in begun if results[name].outcome in {"skipped", "unasked"}]:
        trip.ports.leases.check(trip.app, trip.run)  # who lost the lease has no say any more in what is meant
        for name in left:
            _put_back(trip, name)
    return results


def _check_trip(workspace: Workspace, app: str, ports: Ports, limits: Limits, run: str) -> _Trip:
    releases = wanted(workspace, app, ports)
    questions = asked(releases, ports, planning=not run)
    slices = [workspace.inventory.slice(name) for name in questions]
    seen = observed(slices, questions, ports, limits)
    known = {item.instance: item for item in in_use(ports.journal.deployed(app))}
    told = [state for release in releases if (state := state_of(seen.get(release.slice), release))]
    items = {item.release.instance: item for ours in questions.values() for item in ours}
    answered = [name for name, facts in seen.items() if not isinstance(facts, Unasked)]
    number = generation(releases, known.values(), told, answered)
    return _Trip(workspace, ports, limits, run, app, items, seen, known, number)


def _reached(trip: _Trip, name: InstanceName) -> bool:
    return name in trip.known and reached(trip.known[name], trip.ports)


def _plans(trip: _Trip) -> dict[InstanceName, InstancePlan]:
    return {
        name: planned(
            item.release,
            item.steps,
            trip.seen.get(name.slice),
            trip.known.get(name),
            trip.generation,
            reached=_reached(trip, name),
        )
        for name, item in trip.items.items()
    }


def _result(trip: _Trip, options: DeployOptions) -> AppResult:
    outcomes: Mapping[str, InstanceOutcome] = {"unchanged": "unchanged", "unasked": "unasked", "wiped": "refused"}
    plans = _plans(trip)
    shown = (InstanceResult(plan, outcomes.get(plan.reason, "planned"), plan.detail) for plan in plans.values())
    return AppResult(trip.app, tuple(shown), refused=_refusal(trip, plans, replace(options, onto_empty=True)))


def _refusal(trip: _Trip, plans: Mapping[InstanceName, InstancePlan], options: DeployOptions) -> str:
    left = {item.instance for item in given_up(trip.workspace, trip.app, trip.ports)}
    gone = sorted(str(name) for name in trip.known if name not in trip.items and name not in left)
    if gone:
        return f"{', '.join(gone)} is deployed, and the app spec no longer places it (tfheal remove {gone[0]})"
    acts = [name for name, plan in plans.items() if plan.acts]
    for pause in standing(trip.seen, trip.ports):
        if any(pause.concerns(name.app, name.slice) for name in acts):
            return pause.words
    wiped = [plan for plan in plans.values() if plan.reason == "wiped"]
    if wiped and not options.onto_empty:
        return (
            f"{wiped[0].instance}: {wiped[0].detail} (its data is gone from there; --onto-empty starts with empty data)"
        )
    awaiting = [name for name in acts if name in trip.known and trip.known[name].phase in AWAITING]
    if awaiting and not options.onto_empty:
        return f"{awaiting[0]}: its data has not come back yet (tfheal heal or restore; --onto-empty starts without it)"
    if not options.in_place and (upgrading := _cut_off(trip, acts) or _changed_version(trip)):
        return upgrading
    due = [trip.items[name].release for name, plan in plans.items() if plan.acts and not options.again]
    told = [f"{one.instance}: {why}; {ANEW}" for one in due if (why := held(one, trip.seen.get(one.slice), trip.ports))]
    return "; ".join(told)


def _cut_off(trip: _Trip, acts: list[InstanceName]) -> str:
    """Return that something would be done to an app whose upgrade did not come to its end, which would be mixed up by it."""
    begun = unfinished(trip.app, trip.ports) if acts and trip.known else None
    if begun is None:
        return ""
    return f"its upgrade to {begun.new} did not come to its end ({ways_on(begun)}; --in-place goes over it)"


def _changed_version(trip: _Trip) -> str:
    """Return that an app which holds data would change its version, if it would: what fails then has no way back."""
    if not keeps_data(trip.workspace.folder(trip.app).playbook, STORE):
        return ""
    there = {item.version for name, item in trip.known.items() if name in trip.items and name.component != STORE}
    to = trip.workspace.apps[trip.app].version
    if not there - {to}:
        return ""
    return (
        f"it holds data, and would go from {', '.join(sorted(there - {to}))} to {to} "
        f"(tfheal upgrade {trip.app} --to {to}; --in-place does it without backup and watch)"
    )


def _waiting(
    plans: Mapping[InstanceName, InstancePlan],
    due: list[InstanceName],
    needs: Mapping[str, tuple[str, ...]],
    results: Mapping[InstanceName, InstanceResult],
) -> dict[InstanceName, InstanceResult]:
    """Return the instances that are left for later, because no instance of a component that they need was reached."""
    reached = {name.component for name, result in results.items() if result.outcome != "unasked"}
    found = {}
    for name in due:
        if missing := [need for need in needs[name.component] if need not in reached]:
            found[name] = InstanceResult(plans[name], "unasked", f"waits for {missing[0]}, which could not be asked")
    return found


def _apply_stage(
    trip: _Trip, plans: Mapping[InstanceName, InstancePlan], due: list[InstanceName], stopped: str
) -> dict[InstanceName, InstanceResult]:
    if stopped:
        return {name: InstanceResult(plans[name], "skipped", f"{stopped} failed first") for name in due}
    slices: dict[str, list[InstanceName]] = {}
    for name in due:
        slices.setdefault(name.slice, []).append(name)
    targets = tuple(trip.workspace.inventory.slice(name) for name in slices)

    def apply_here(target: Slice) -> dict[InstanceName, Done]:
        return {name: _apply(trip, name, plans[name], target) for name in slices[target.name]}

    results: dict[InstanceName, InstanceResult] = {}
    for slice_name, dones in act_everywhere(targets, apply_here, trip.limits).items():
        for name in slices[slice_name]:
            if isinstance(dones, TfhealError):
                outcome: InstanceOutcome = "refused" if isinstance(dones, Refused) else "failed"
                results[name] = InstanceResult(plans[name], outcome, str(dones))
            else:
                results[name] = _judged(plans[name], dones[name])
    return results


def _apply(trip: _Trip, name: InstanceName, plan: InstancePlan, target: Slice) -> Done:
    item, known = trip.items[name], _reached(trip, name)
    work = Work(
        verb="deploy",
        release=item.release,
        steps=item.steps + liveness(item.release, item.secrets),
        secrets=item.secrets,
        why=f"deploy: {plan.reason}",
        run=trip.run,
        generation=trip.generation,
        identity=None if known and plan.reason != "wiped" else f"{target.name} {trip.ports.marker()}",
    )
    done = act(work, target, trip.ports)
    if done.outcome != "refused":
        lift(name, item.release.id, trip.ports)
        close_incidents(name, trip.ports)
    if done.outcome == "done":
        _note(trip, [name], "deployed")
    elif done.outcome == "refused":
        _put_back(trip, name)
    return done


def _is_noted(trip: _Trip, name: InstanceName) -> bool:
    known, release = trip.known.get(name), trip.items[name].release
    return known is not None and (known.release, known.phase, known.generation) == (
        release.id,
        "deployed",
        trip.generation,
    )


def _note(trip: _Trip, names: Iterable[InstanceName], phase: Phase) -> None:
    """Record that releases are deployed, or are about to be, all at once: a kill leaves all of it known, or nothing."""
    journal, now = trip.ports.journal, trip.ports.clock.now()
    releases = [trip.items[name].release for name in names]
    for release in releases:
        journal.save_release(release, now)
    journal.set_deployed(
        *(Deployed(one.instance, one.id, one.version, trip.generation, phase, now) for one in releases)
    )


def _put_back(trip: _Trip, name: InstanceName) -> None:
    known = trip.known.get(name)
    if known:
        trip.ports.journal.set_deployed(known)
    else:
        trip.ports.journal.drop_deployed(name)


def _judged(plan: InstancePlan, done: Done) -> InstanceResult:
    outcomes: Mapping[str, InstanceOutcome] = {"done": "changed", "refused": "refused"}
    return InstanceResult(plan, outcomes.get(done.outcome, "failed"), done.detail, done.seconds)


def _finished(trip: _Trip, results: tuple[InstanceResult, ...]) -> AppResult:
    secrets = trip.workspace.folder(trip.app).playbook.secrets
    urls = tuple(dict.fromkeys(item.release.url for item in trip.items.values() if item.release.url))
    shown = tuple(name for name, secret in secrets.items() if secret.show)
    return AppResult(trip.app, results, urls, shown)
