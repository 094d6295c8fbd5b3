"""A drill on a slice of a lab: on a machine of the provider's, so only where each owner's charter lets data leave."""

from tfheal.base.errors import Refused
from tfheal.core.charter import DATA_LEAVES, withholds
from tfheal.flows.charters import charters
from tfheal.flows.fleet import Limits
from tfheal.flows.releases import everywhere
from tfheal.model.backup import Backup
from tfheal.model.facts import Unknown
from tfheal.model.lab import LAB_LABEL, LAB_OWNER
from tfheal.model.ports import Ports
from tfheal.model.workspace import Workspace


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
