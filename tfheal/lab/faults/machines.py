"""Faults of a whole slice: it has no power, stands still, or nobody reaches it. They are made on this side of its link."""

from typing import Final

from tfheal.lab import groups, machine, network
from tfheal.lab.faults.fault import Fault, Target
from tfheal.model.lab import FaultKind


def _cut(target: Target) -> None:
    network.cut(target.lab, target.slice)


def _is_cut(target: Target) -> str:
    if not network.is_cut(target.lab, target.slice) or machine.answers(target.lab, target.kept.number):
        return ""
    return "nothing passes its link, and its sshd is not heard"


def _join(target: Target) -> None:
    network.join(target.lab, target.slice)


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


PARTITION: Final = Fault(
    FaultKind(
        "partition",
        does="drops every packet between the slice and everybody else; inside, it goes on",
        proven="its sshd is not heard any more",
        mended="the packets pass again",
        of_app=False,
    ),
    _cut,
    _is_cut,
    _join,
    outside=True,
    silences=True,
)

POWER_OFF: Final = Fault(
    FaultKind(
        "power-off",
        does="pulls the plug: all processes of the slice end at once, its disk stays",
        proven="no process of it is left",
        mended="the slice boots again; `tfheal lab up` does that too",
        of_app=False,
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
        does="stops every process of the slice where it stands; connections still come about, and nothing answers",
        proven="its control group is `frozen`",
        mended="all processes go on",
        of_app=False,
    ),
    _freeze,
    _is_frozen,
    _thaw,
    silences=True,
    outlives_boot=False,
)

FAULTS: Final[tuple[Fault, ...]] = (POWER_OFF, FREEZE, PARTITION)
