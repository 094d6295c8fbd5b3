"""A drill on a slice of a lab: on a machine of the provider's, so only where each owner's charter lets data leave."""

from collections.abc import Mapping

from tfheal.base.errors import Refused, TfhealError
from tfheal.core.charter import DATA_LEAVES, withholds
from tfheal.core.probe import charter
from tfheal.core.probe.script import answers, composed
from tfheal.flows.fleet import Limits, ask_all
from tfheal.flows.releases import everywhere
from tfheal.model.backup import Backup
from tfheal.model.facts import Fact, Unknown
from tfheal.model.inventory import Slice
from tfheal.model.lab import LAB_LABEL, LAB_OWNER
from tfheal.model.ports import Exec, Ports
from tfheal.model.workspace import Workspace

_BUDGET = 10.0  # seconds that a slice has to show its charter


def lab_slice(workspace: Workspace, backup: Backup, ports: Ports, limits: Limits) -> str:
    """Given what is to be drilled, return a free slice of a lab for it; raise Refused where its owner did not allow that."""
    sources = dict.fromkeys(part.slice for part in backup.parts if part.snapshot)
    for name, found in charters(workspace, sources, ports, limits).items():
        why = found.reason if isinstance(found, Unknown) else withholds(found.value, DATA_LEAVES)
        if why:
            hint = f'the owner writes allow = ["{DATA_LEAVES}"] into it, on the slice'
            raise Refused("its data may not leave it", where=name, why=why, hint=hint)
    used = {item.release.slice for item in everywhere(ports)}
    meant = {name for spec in workspace.apps.values() for names in spec.place.values() for name in names}
    for name, entry in sorted(workspace.inventory.slices.items()):
        if entry.owner == LAB_OWNER and LAB_LABEL in entry.labels and name not in used | meant:
            return name
    raise Refused("there is no free slice of a lab", where=backup.app, hint="tfheal lab up --slices N makes one more")


def charters(workspace: Workspace, names: Mapping[str, None], ports: Ports, limits: Limits) -> Mapping[str, Fact[str]]:
    """Given names of slices, return the text of each one's charter, empty if it has none."""

    def ask(target: Slice) -> Fact[str]:
        marker = ports.marker()
        script = composed((charter.QUESTION,), marker, _BUDGET)
        reply = ports.transport.run(target, Exec(script, timeout=2 * _BUDGET, cap=1 << 16))
        return charter.charter(answers(reply.stdout, (charter.QUESTION,), marker)[charter.QUESTION.key])

    replies = ask_all([workspace.inventory.slice(name) for name in names], ask, limits)
    return {name: Unknown(str(one)) if isinstance(one, TfhealError) else one for name, one in replies.items()}
