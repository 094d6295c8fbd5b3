"""What a person says of a backup: `tfheal backup hold` keeps it whatever the rules say, `accept` calls a suspect one normal."""

from dataclasses import replace

from tfheal.base.errors import Refused
from tfheal.core.backup import ledger as core
from tfheal.flows import ledger
from tfheal.flows.backup import one
from tfheal.flows.repository import lease_of
from tfheal.model.backup import Backup
from tfheal.model.ports import Ports
from tfheal.model.workspace import Workspace


def hold(workspace: Workspace, backup_id: str, ports: Ports, *, release: bool = False) -> Backup:
    """Given a backup, have it kept whatever the rules say (`release`: no more); raise Refused if there is nothing in it."""
    found = one(backup_id, ports)
    if not found.holds_data and not release:
        raise Refused("there is nothing in it to keep", where=found.id, why=f"it is {found.state}")
    return _put(workspace, "backup hold", replace(found, held=not release), ports)


def accept(workspace: Workspace, backup_id: str, ports: Ports) -> Backup:
    """Given a suspect backup, call what it holds the new normal: it is good; raise Refused for any other."""
    found = one(backup_id, ports)
    if found.state != "suspect":
        raise Refused("only a suspect backup can be accepted", where=found.id, why=f"it is {found.state}")
    return _put(workspace, "backup accept", core.accepted(found), ports)


def _put(workspace: Workspace, verb: str, changed: Backup, ports: Ports) -> Backup:
    changed = replace(changed, said=ports.clock.now())
    record = ports.journal.begin_run(f"{verb} {changed.id}", ports.clock.now()).id
    with ports.leases.hold(lease_of(changed.app), verb, record):
        ports.catalogue.put(changed)
        ledger.keep(workspace, changed.app, ports)
    ports.journal.end_run(record, 0, ports.clock.now())
    return changed
