"""The stories of the lab: slices come up and into the inventory, break, are mended, and leave nothing behind."""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tfheal.base.errors import TfhealError, UsageError
from tfheal.model.inventory import Inventory, Slice
from tfheal.model.lab import (
    LAB_LABEL,
    LAB_OWNER,
    MOST_SLICES,
    FaultReport,
    Lab,
    LabHands,
    LabHost,
    LabPorts,
    LabSlice,
    LabSpec,
    key_path,
)
from tfheal.model.names import NAME_PATTERN, size_in_bytes

_AT_ONCE: Final = 8
_GIB: Final = 1 << 30
_MIB: Final = 1 << 20
_LEAST: Final = 128 * _MIB


def up(spec: LabSpec, inventory: Inventory, cpus: int, ports: LabPorts) -> Lab:
    """Given what is wanted, make what is missing, and return the lab; raise UsageError before anything is touched."""
    missing = ports.host.missing_packages()
    _check(spec, inventory, ports)
    if missing:
        _agree(missing, ports)
    with ports.host.lock():
        # Asked again: whoever held the lock may have installed them meanwhile.
        if missing := ports.host.missing_packages():
            ports.host.install(missing)
        names = ports.host.prepare(spec)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            booted = list(pool.map(lambda name: _boot(spec, name, ports.host), names))
        ports.book.put_owner(LAB_OWNER, "")
        for each in booted:
            if isinstance(each, LabSlice):
                _adopt(spec.name, each, cpus, ports)
    for failed in (each for each in booted if isinstance(each, TfhealError)):
        raise failed
    return known(spec.name, ports.host)


def _boot(spec: LabSpec, name: str, host: LabHost) -> LabSlice | TfhealError:
    """Boot one slice, or return why not: the others come up all the same."""
    try:
        return host.boot(spec, name)
    except TfhealError as error:
        return error


def _adopt(lab: str, made: LabSlice, cpus: int, ports: LabPorts) -> None:
    """Write a slice into the inventory, and pin its host key."""
    ports.book.put_slice(made.name, entry(lab, made, cpus))
    ports.keys.pin(made.name, (made.host_key,))


def down(name: str, inventory: Inventory, ports: LabPorts, *, cache: bool = False) -> bool:
    """Leave nothing of a lab, and of the image cache if so asked; return whether there was anything to take down."""
    ports.host.missing_packages()
    with ports.host.lock():
        there = ports.host.lab(name) is not None
        ports.host.destroy(name)
        for listed in of_lab(inventory, name):
            ports.book.remove_slice(listed)
            ports.keys.forget(listed)
        if cache and not ports.host.drop_cache():
            ports.reporter.say("the image cache stays: another lab stands on it")
    return there


def recreate(lab: str, name: str, cpus: int, ports: LabPorts) -> LabSlice:
    """Throw a slice's disk away, boot it anew and pin its new host key; return the slice."""
    ports.host.missing_packages()
    the_slice(lab, name, ports.host)
    with ports.host.lock():
        made = ports.host.recreate(lab, name)
        _adopt(lab, made, cpus, ports)
    return made


def put_fault(lab: str, name: str, fault: str, app: str | None, hands: LabHands) -> FaultReport:
    """Put a fault into a slice and return the proof that it landed; raise UsageError, or ActionFailed if it did not."""
    hands.host.missing_packages()
    the_slice(lab, name, hands.host)
    return hands.faults.put(lab, name, fault, app)


def mend(lab: str, name: str, fault: str | None, hands: LabHands) -> tuple[FaultReport, ...]:
    """Take one fault of a slice away, or all, and return which; raise UsageError, or ActionFailed if one stays."""
    hands.host.missing_packages()
    the_slice(lab, name, hands.host)
    return hands.faults.mend(lab, name, fault)


def known(name: str, host: LabHost) -> Lab:
    """Return a lab of this machine; raise UsageError if there is none of that name."""
    lab = host.lab(name)
    if lab is None:
        raise UsageError("there is no such lab on this machine", where=name, hint=f"tfheal lab up --name {name}")
    return lab


def the_slice(lab: str, name: str, host: LabHost) -> LabSlice:
    """Return a slice of a lab; raise UsageError if there is none of that name."""
    slices = {each.name: each for each in known(lab, host).slices}
    if name not in slices:
        raise UsageError("there is no such slice in the lab", where=name, hint=f"it has: {', '.join(slices) or 'none'}")
    return slices[name]


def entry(lab: str, made: LabSlice, cpus: int) -> Mapping[str, object]:
    """Given a slice of a lab, return what the inventory says of it."""
    return {
        "owner": LAB_OWNER,
        "address": made.address,
        "user": "root",
        "key": key_path(lab),
        "labels": {LAB_LABEL: lab},
        "size": {"cpu": cpus, "memory": _size(made.memory), "disk": _size(made.disk)},
        "provisioner": {"recreate": f"tfheal lab recreate {made.name} --name {lab}", "host_key": "output"},
    }


def of_lab(inventory: Inventory, lab: str) -> list[str]:
    """Return the names of the slices that the inventory has of a lab."""
    return [
        name
        for name, listed in inventory.slices.items()
        if listed.owner == LAB_OWNER and listed.labels.get(LAB_LABEL) == lab
    ]


def listed(lab: str, name: str, inventory: Inventory) -> Slice:
    """Given a lab and a slice of it, return it as the inventory has it; raise UsageError if it has none."""
    if name not in of_lab(inventory, lab):
        hint = f"it has: {', '.join(of_lab(inventory, lab)) or 'none'}"
        raise UsageError(f"the inventory has no such slice of the lab {lab}", where=name, hint=hint)
    return inventory.slice(name)


def labs_of(inventory: Inventory) -> tuple[str, ...]:
    """Return the names of the labs that the inventory has slices of."""
    found = (entry.labels.get(LAB_LABEL) for entry in inventory.slices.values() if entry.owner == LAB_OWNER)
    return tuple(sorted({name for name in found if name}))


def name_of_lab(written: str) -> str:
    """Return the name of a lab as written; raise UsageError if it is none."""
    if re.fullmatch(NAME_PATTERN, written) is None:
        hint = "small letters, digits and dashes, a letter first, at most 31"
        raise UsageError("that is no name for a lab", where="--name", why=written, hint=hint)
    return written


def size(flag: str, written: str) -> int:
    """Return a size in bytes as written on the command line; raise UsageError if it is none or far too small."""
    try:
        found = size_in_bytes(int(written) if written.isdecimal() else written)
    except ValueError as error:
        raise UsageError("that is no size", where=flag, why=written, hint=str(error)) from error
    if found < _LEAST:
        raise UsageError("that is too small for a slice", where=flag, why=written, hint="at least 128M")
    return found


def _check(spec: LabSpec, inventory: Inventory, ports: LabPorts) -> None:
    if spec.slices is not None and not 1 <= spec.slices <= MOST_SLICES:
        raise UsageError("that is no number of slices", where="--slices", why=f"1 to {MOST_SLICES} are possible")
    _check_workspace(spec, ports)
    for number in range(1, (spec.slices or MOST_SLICES) + 1):
        listed = inventory.slices.get(f"s{number}")
        if listed and (listed.owner, listed.labels.get(LAB_LABEL)) != (LAB_OWNER, spec.name):
            raise UsageError(
                f"the inventory already has another slice s{number}",
                where="inventory.toml",
                why=f"owner {listed.owner}, lab {listed.labels.get(LAB_LABEL, 'none')}",
                hint="slices of a lab are named s1, s2, …: make this lab in a workspace of its own",
            )


def _check_workspace(spec: LabSpec, ports: LabPorts) -> None:
    lab = ports.host.lab(spec.name)
    if lab is not None and lab.workspace not in ("", spec.workspace):
        raise UsageError(
            f"the lab {spec.name} belongs to another workspace",
            where=lab.workspace,
            hint=f"go there, choose another --name, or: tfheal lab down --name {spec.name}",
        )


def _agree(missing: tuple[str, ...], ports: LabPorts) -> None:
    if not ports.consent(f"The lab needs these packages on this machine: {' '.join(missing)}. Install them?"):
        raise UsageError("packages that the lab needs are missing", where="this machine", why=", ".join(missing))


def _size(size: int) -> str:
    for unit, suffix in ((_GIB, "G"), (_MIB, "M")):
        if size % unit == 0:
            return f"{size // unit}{suffix}"
    return str(size)
