"""The lab's fault port: finds whose instance is meant, puts a fault in, proves it, remembers it until it is mended."""

import difflib
import time
from pathlib import Path
from typing import Final

from tfheal.base.errors import ActionFailed, UsageError
from tfheal.lab import groups, instances, machine, places, record
from tfheal.lab.faults import (
    databases,
    disks,
    files,
    links,
    logins,
    losses,
    machines,
    packages,
    ports,
    processes,
    services,
)
from tfheal.lab.faults.fault import Fault, Target
from tfheal.model.lab import FaultKind, FaultReport
from tfheal.model.ports import Reporter

# In this order they are mended: a slice must run and be reached before anything inside it can be.
_TABLE: Final = (
    *losses.FAULTS,
    *machines.FAULTS,
    *links.FAULTS,
    *logins.FAULTS,
    *disks.FAULTS,
    *packages.FAULTS,
    *files.FAULTS,
    *services.FAULTS,
    *ports.FAULTS,
    *databases.FAULTS,
    *processes.FAULTS,
)
_PATIENCE: Final = 30.0


class Faults:
    """The faults of the labs on this machine."""

    def __init__(self, reporter: Reporter) -> None:
        """Keep whom to tell of progress."""
        self._reporter = reporter

    def kinds(self) -> tuple[FaultKind, ...]:
        """Return every fault there is."""
        return tuple(sorted((fault.kind for fault in _TABLE), key=lambda kind: kind.name))

    def put(self, lab: str, name: str, fault: str, app: str | None) -> FaultReport:
        """Put a fault in and prove that it landed; raise UsageError, or ActionFailed if it did not land."""
        begun = time.monotonic()
        found = _named(fault)
        target = _target(lab, name, found, app)
        if target.folder.is_dir() and (proof := found.seen(target)):
            return _report(found, target, f"there already: {proof}", begun)
        self._reporter.step(name, f"putting in {fault}")
        record.forget(target.folder)
        record.write(target.folder / "fault.json", {"fault": fault, "app": target.app, "component": target.component})
        found.put(target)
        proof = _await_proof(found, target)
        if not proof:
            raise ActionFailed(
                f"{fault} did not land",
                where=name,
                why=f"not so within {_PATIENCE:.0f} s: {found.kind.proven}",
                hint=f"tfheal lab mend {name} {fault} cleans up",
            )
        return _report(found, target, proof, begun)

    def mend(self, lab: str, name: str, fault: str | None) -> tuple[FaultReport, ...]:
        """Take one fault away, or all; nothing to mend is nothing done. Raise UsageError, or ActionFailed."""
        wanted = [_named(fault)] if fault else list(_TABLE)
        kept = _record(lab, name)
        return tuple(
            self._mend(each, target) for each in wanted for target in _remembered(lab, name, kept, each.kind.name)
        )

    def _mend(self, fault: Fault, target: Target) -> FaultReport:
        begun = time.monotonic()
        self._reporter.step(target.slice, f"mending {fault.kind.name}")
        there = fault.seen(target)
        fault.mend(target)
        if proof := fault.seen(target):
            raise ActionFailed(f"{fault.kind.name} does not go away", where=target.slice, why=proof)
        record.forget(target.folder)
        if fault is machines.POWER_OFF:
            forget_ended(target.lab, target.slice)
        if fault.silences:
            _await_sshd(target)
        detail = f"mended: {fault.kind.mended}" if there else "was healed already, now forgotten"
        return _report(fault, target, detail, begun)


def _named(fault: str) -> Fault:
    table = {each.kind.name: each for each in _TABLE}
    if fault not in table:
        nearest = difflib.get_close_matches(fault, table, n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else "tfheal lab faults lists them"
        raise UsageError("there is no such fault", where="FAULT", why=fault, hint=hint)
    return table[fault]


def _record(lab: str, name: str) -> record.SliceRecord:
    kept = record.load_slice(lab, name)
    if kept is None:
        raise UsageError("there is no such slice in the lab", where=name, hint="tfheal lab list shows what there is")
    return kept


def _target(lab: str, name: str, fault: Fault, app: str | None) -> Target:
    kept = _record(lab, name)
    if not fault.outside and groups.leader(lab, name) is None:
        raise UsageError("the slice does not run", where=name, hint="tfheal lab up starts it")
    folder = places.faults_folder(lab, name)
    if not fault.kind.of_app:
        if app:
            raise UsageError(f"{fault.kind.name} is a fault of the whole slice", where="--app", hint="leave --app out")
        return Target(lab, name, kept, folder / fault.kind.name)
    one = instances.chosen(lab, name, app)
    return Target(lab, name, kept, folder / f"{fault.kind.name}~{one.app}~{one.component}", one.app, one.component)


def _remembered(lab: str, name: str, kept: record.SliceRecord, fault: str) -> list[Target]:
    folders = sorted(places.faults_folder(lab, name).glob(f"{fault}*"))
    found = ((folder, record.read(folder / "fault.json") or {}) for folder in folders)
    return [
        Target(lab, name, kept, folder, said["app"], said["component"])
        for folder, said in found
        if said.get("fault") == fault
    ]


def _await_proof(fault: Fault, target: Target) -> str:
    deadline = time.monotonic() + _PATIENCE
    while not (proof := fault.seen(target)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return proof


def _await_sshd(target: Target) -> None:
    """Wait until a slice that runs is heard again, if no other fault forbids it."""
    if groups.leader(target.lab, target.slice) is not None and not is_silenced(target.lab, target.slice):
        machine.wait(target.lab, target.slice, target.kept.number)


def _report(fault: Fault, target: Target, detail: str, begun: float) -> FaultReport:
    return FaultReport(target.slice, fault.kind.name, target.instance, detail, round(time.monotonic() - begun, 2))


def names_of(folder: Path) -> tuple[str, ...]:
    """Given the folder of a slice's faults, return the faults in it: `kill-service crm/web`."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return tuple(name.replace("~", " ", 1).replace("~", "/") for name in names)


def is_silenced(lab: str, name: str) -> bool:
    """Return whether a fault that is remembered keeps the sshd of a slice from being heard."""
    folder = places.faults_folder(lab, name)
    return any((folder / fault.kind.name).is_dir() for fault in _TABLE if fault.silences)


def is_kept_off(lab: str, name: str) -> bool:
    """Return whether a fault that is remembered keeps a slice from being started."""
    folder = places.faults_folder(lab, name)
    return any((folder / fault.kind.name).is_dir() for fault in _TABLE if fault.keeps_off)


def forget_ended(lab: str, name: str) -> None:
    """Forget the faults that a boot has ended."""
    for fault in _TABLE:
        if not fault.outlives_boot:
            record.forget(places.faults_folder(lab, name) / fault.kind.name)
