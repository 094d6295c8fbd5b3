"""`tfheal patch --plan`: which security updates are pending, asked of every slice at once; nothing is changed there."""

from collections.abc import Iterable

from tfheal.base.errors import TfhealError
from tfheal.core.probe import patches
from tfheal.core.probe.script import answers, composed
from tfheal.flows.fleet import Limits, ask_all
from tfheal.flows.hidden import hushed
from tfheal.model.facts import Fact, Unknown
from tfheal.model.inventory import Slice
from tfheal.model.patches import PatchPlan, Pending
from tfheal.model.ports import Exec, Ports
from tfheal.model.workspace import Workspace

_BUDGET = 30.0  # seconds that a slice has for its answer
_CAP = 1 << 20


def planned(workspace: Workspace, slices: Iterable[str], ports: Ports, limits: Limits) -> PatchPlan:
    """Given names of slices, return what is pending on each."""
    targets = [workspace.inventory.slice(name) for name in workspace.inventory.slices if name in set(slices)]
    hidden = ports.hidden([target.name for target in targets])
    found: dict[str, Fact[Pending]] = {}
    for name, reply in ask_all(targets, lambda one: _ask(one, hidden[one.name], ports), limits).items():
        found[name] = Unknown(str(hushed(reply, hidden[name]))) if isinstance(reply, TfhealError) else reply
    here = ports.journal.apps_by_slice()
    return PatchPlan(found, {name: tuple(sorted(here.get(name, ()))) for name in found})


def _ask(target: Slice, hidden: tuple[str, ...], ports: Ports) -> Fact[Pending]:
    marker = ports.marker()
    script = composed((patches.QUESTION,), marker, _BUDGET)
    reply = ports.transport.run(target, Exec(script, timeout=2 * _BUDGET, cap=_CAP))
    return patches.pending(answers(reply.stdout, (patches.QUESTION,), marker, hidden)[patches.QUESTION.key])
