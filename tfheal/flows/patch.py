"""`tfheal patch`: which updates are pending, asked of every slice at once; and their installation, never on two slices of an app."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from tfheal.base.errors import ActionFailed, Refused, TfhealError
from tfheal.base.exits import Exit
from tfheal.core.exploited import ranked, urgency
from tfheal.core.patch_rules import Wish, chosen, left_out, waves
from tfheal.core.probe import patches, vulnerabilities
from tfheal.core.probe.script import answers, composed
from tfheal.flows.act import act_everywhere
from tfheal.flows.fleet import Limits, ask_all
from tfheal.flows.hidden import hushed
from tfheal.flows.patch_acts import PatchJob
from tfheal.flows.patch_lists import fetched
from tfheal.flows.patch_slice import patch_slice
from tfheal.flows.releases import in_use, placed
from tfheal.model.facts import Fact, Known, Unknown
from tfheal.model.inventory import Slice
from tfheal.model.patches import Patch, Patched, PatchPlan, PatchRun, Pending
from tfheal.model.ports import Exec, Ports
from tfheal.model.workspace import Workspace

_BUDGET = 30.0  # seconds that a slice has for its answer
_CAP = 1 << 20
_GOOD = frozenset({"done", "idle", "refused", "unknown"})  # what is no reason to leave the other slices alone


@dataclass(frozen=True, slots=True)
class PatchOptions:
    """What the operator asked for; `agree` is asked with what is pending before anything is done."""

    wish: Wish
    agree: Callable[[PatchPlan], None]


def planned(workspace: Workspace, slices: Iterable[str], ports: Ports, limits: Limits) -> PatchPlan:
    """Given names of slices, return what is pending on each."""
    targets = [workspace.inventory.slice(name) for name in workspace.inventory.slices if name in set(slices)]
    hidden, known = ports.hidden([target.name for target in targets]), ports.exploited()
    found: dict[str, Fact[Pending]] = {}
    for name, reply in ask_all(targets, lambda one: _ask(one, hidden[one.name], known, ports), limits).items():
        found[name] = Unknown(str(hushed(reply, hidden[name]))) if isinstance(reply, TfhealError) else reply
    return PatchPlan(found, {name: apps_on(workspace, name, ports) for name in found})


def fetch(workspace: Workspace, slices: Iterable[str], ports: Ports, limits: Limits) -> None:
    """Given names of slices, fetch their package lists; raise ActionFailed where that does not succeed."""
    run = ports.journal.begin_run("patch --fetch", ports.clock.now()).id
    failed = fetched(workspace, slices, run, ports, limits)
    ports.journal.end_run(run, int(Exit.FAILED if failed else Exit.OK), ports.clock.now())
    if failed:
        names = ", ".join(failed)
        raise ActionFailed("the package lists could not be fetched", where=names, why=next(iter(failed.values())))


def patch(
    workspace: Workspace, slices: Iterable[str], ports: Ports, limits: Limits, options: PatchOptions
) -> tuple[PatchPlan, PatchRun]:
    """Given names of slices, install what is pending there, in waves; after one that goes wrong the others are left alone."""
    plan = planned(workspace, slices, ports, limits)
    wish = options.wish
    if wish.auto:  # what broke an app elsewhere is not tried by itself
        plan = plan.warned({name: workspace.inventory.slices[name].owner for name in plan.slices})
    asked = sorted(plan.slices, key=lambda name: urgency(plan.slices[name]))
    due = {name: plan.apps[name] for name in asked if _is_due(plan.slices[name], wish)}
    if due:
        options.agree(plan)
    run = ports.journal.begin_run("patch", ports.clock.now()).id
    job = PatchJob(workspace, ports, limits, run, wish)
    done = {name: _without(name, found) for name, found in plan.slices.items() if name not in due}
    stopped = ""
    behind = {app: spec.route.gateway for app, spec in workspace.apps.items() if spec.route}
    for wave in waves(due, behind, alone_first=wish.auto):
        if stopped or limits.over:
            why = f"{stopped} went wrong first" if stopped else "the deadline of the run had passed"
            done |= {name: Patched(name, "skipped", why) for name in wave}
            continue
        done |= _wave(job, wave, plan)
        stopped = next((name for name in wave if done[name].outcome not in _GOOD), "")
    told = (replace(done[name], left_out=_left_out(found, wish)) for name, found in plan.slices.items())
    result = PatchRun(tuple(told), plan.apps)
    ports.journal.end_run(run, int(result.exit), ports.clock.now())
    return plan, result


def _wave(job: PatchJob, wave: tuple[str, ...], plan: PatchPlan) -> dict[str, Patched]:
    def here(target: Slice) -> Patched:
        found = plan.slices[target.name]
        assert isinstance(found, Known)  # noqa: S101 (only what is known to be pending is due)
        return patch_slice(job, target, found.value, plan.apps[target.name])

    targets = [job.workspace.inventory.slice(name) for name in wave]
    return {
        name: _failed(name, done) if isinstance(done, TfhealError) else done
        for name, done in act_everywhere(targets, here, job.limits).items()
    }


def _failed(name: str, error: TfhealError) -> Patched:
    return Patched(name, "refused" if isinstance(error, Refused) else "failed", str(error))


def _is_due(found: Fact[Pending], wish: Wish) -> bool:
    if isinstance(found, Unknown):
        return False
    return bool(found.value.unfinished or chosen(found.value, wish) or (wish.reboot and found.value.reboot))


def _left_out(found: Fact[Pending], wish: Wish) -> tuple[Patch, ...]:
    return left_out(found.value, wish) if isinstance(found, Known) else ()


def _without(name: str, found: Fact[Pending]) -> Patched:
    return Patched(name, "unknown", found.reason) if isinstance(found, Unknown) else Patched(name, "idle")


def apps_on(workspace: Workspace, slice_name: str, ports: Ports) -> tuple[str, ...]:
    """Return the apps of the workspace that are on a slice, or are to be."""
    there = {item.instance for item in in_use(ports.journal.deployed())} | {*placed(workspace, workspace.apps)}
    return tuple(sorted({one.app for one in there if one.slice == slice_name and one.app in workspace.apps}))


def _ask(target: Slice, hidden: tuple[str, ...], known: frozenset[str] | None, ports: Ports) -> Fact[Pending]:
    marker = ports.marker()
    questions = (patches.QUESTION,) if known is None else (patches.QUESTION, vulnerabilities.QUESTION)
    script = composed(questions, marker, _BUDGET)
    reply = ports.transport.run(target, Exec(script, timeout=2 * _BUDGET, cap=_CAP))
    said = answers(reply.stdout, questions, marker, hidden)
    found = patches.pending(said[patches.QUESTION.key])
    if known is None or isinstance(found, Unknown):
        return found
    told = vulnerabilities.vulnerabilities(said[vulnerabilities.QUESTION.key])
    return Known(ranked(found.value, known, told))
