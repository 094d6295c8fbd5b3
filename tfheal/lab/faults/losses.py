"""Faults by which a slice is lost: its disk is another, or none. The old one is kept here, so that mending brings it back."""

from pathlib import Path
from typing import Final

from tfheal.lab import groups, machine, places, record, seed
from tfheal.lab.faults.fault import Fault, Target
from tfheal.model.lab import FaultKind


def _disk(target: Target) -> Path:
    return places.slice_folder(target.lab, target.slice) / "disk.img"


def _kept(target: Target) -> Path:
    return target.folder / "disk.img"


def _put_aside(target: Target) -> None:
    groups.end(target.lab, target.slice)
    _disk(target).rename(_kept(target))


def _put_back(target: Target) -> None:
    if _kept(target).exists():
        groups.end(target.lab, target.slice)
        _kept(target).replace(_disk(target))


def _lose(target: Target) -> None:
    _put_aside(target)


def _is_lost(target: Target) -> str:
    off = not groups.processes(target.lab, target.slice) and not _disk(target).exists()
    return "no process of it is left, and it has no disk" if off else ""


def _find(target: Target) -> None:
    _put_back(target)
    if not groups.kept(target.lab, target.slice):
        machine.start(target.lab, target.slice, target.kept)


LOSE_SLICE: Final = Fault(
    FaultKind(
        "lose-slice",
        "machine",
        does="ends the slice and takes its disk away: it is gone for good, and `tfheal lab up` does not start it",
        proven="no process of it is left, and it has no disk",
        mended="it has its disk again, and boots; `tfheal lab recreate` makes it anew instead",
    ),
    _lose,
    _is_lost,
    _find,
    outside=True,
    silences=True,
    keeps_off=True,
)


def _wipe(target: Target) -> None:
    known = record.load_lab(target.lab)
    if known is None:
        return
    record.save_slice(target.lab, target.slice, target.kept, target.folder)
    _put_aside(target)
    fresh = seed.sown(known, target.slice, target.kept)
    machine.start(target.lab, target.slice, fresh)
    machine.wait(target.lab, target.slice, fresh.number)


def _is_wiped(target: Target) -> str:
    now = record.load_slice(target.lab, target.slice)
    if now is None or not _kept(target).exists():
        return ""
    return f"its host key is another, {now.fingerprint}"


def _bring_back(target: Target) -> None:
    before = record.load_slice(target.lab, target.slice, target.folder)
    if before is None or not _kept(target).exists():
        return
    _put_back(target)
    record.save_slice(target.lab, target.slice, before)
    machine.start(target.lab, target.slice, before)
    machine.wait(target.lab, target.slice, before.number)


WIPE_SLICE: Final = Fault(
    FaultKind(
        "wipe-slice",
        "machine",
        does="gives the slice an empty disk and boots it: it answers at its address, with another host key and nothing of ours",
        proven="its host key is another",
        mended="it has its old disk again, and its old host key",
    ),
    _wipe,
    _is_wiped,
    _bring_back,
    outside=True,
)

FAULTS: Final[tuple[Fault, ...]] = (LOSE_SLICE, WIPE_SLICE)
