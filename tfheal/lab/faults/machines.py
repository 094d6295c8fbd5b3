"""Faults of a whole slice that keeps its disk: it has no power, boots anew, or stands still."""

from typing import Final

from tfheal.lab import groups, machine, record
from tfheal.lab.faults.fault import Fault, Target
from tfheal.model.lab import FaultKind


def _power_off(target: Target) -> None:
    groups.end(target.lab, target.slice)


def _is_off(target: Target) -> str:
    return "" if groups.processes(target.lab, target.slice) else "no process of it is left"


def _power_on(target: Target) -> None:
    if not groups.kept(target.lab, target.slice):
        groups.end(target.lab, target.slice)
        machine.start(target.lab, target.slice, target.kept)


def _freeze(target: Target) -> None:
    groups.freeze(target.lab, target.slice, frozen=True)


def _is_frozen(target: Target) -> str:
    return "all its processes stand still" if groups.is_frozen(target.lab, target.slice) else ""


def _thaw(target: Target) -> None:
    if groups.leader(target.lab, target.slice) is not None:
        groups.freeze(target.lab, target.slice, frozen=False)


POWER_OFF: Final = Fault(
    FaultKind(
        "power-off",
        "machine",
        does="pulls the plug: all processes of the slice end at once, its disk stays",
        proven="no process of it is left",
        mended="the slice boots again; `tfheal lab up` does that too",
    ),
    _power_off,
    _is_off,
    _power_on,
    outside=True,
    silences=True,
    outlives_boot=False,
)

FREEZE: Final = Fault(
    FaultKind(
        "freeze",
        "machine",
        does="stops every process of the slice where it stands; connections still come about, and nothing answers",
        proven="its control group is `frozen`",
        mended="all processes go on",
    ),
    _freeze,
    _is_frozen,
    _thaw,
    silences=True,
    outlives_boot=False,
)

_BOOTED: Final = "booted.json"


def _reboot(target: Target) -> None:
    record.write(target.folder / _BOOTED, {"first": groups.leader(target.lab, target.slice)})
    machine.enter(target.lab, target.slice, "systemctl reboot")


def _is_rebooted(target: Target) -> str:
    before = (record.read(target.folder / _BOOTED) or {}).get("first")
    now = groups.leader(target.lab, target.slice)
    if before is None or now == before:
        return ""
    return "its first process is another one" if now else "its first process has ended"


def _await_boot(target: Target) -> None:
    record.forget(target.folder)
    machine.wait(target.lab, target.slice, target.kept.number)


REBOOT: Final = Fault(
    FaultKind(
        "reboot",
        "machine",
        does="boots the slice anew, in good order: what is not enabled does not come back",
        proven="its first process is another one, or none",
        mended="it is waited for until it has booted",
    ),
    _reboot,
    _is_rebooted,
    _await_boot,
    outlives_boot=False,
)

FAULTS: Final[tuple[Fault, ...]] = (POWER_OFF, FREEZE, REBOOT)
