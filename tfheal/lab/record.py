"""What a lab remembers on this machine, written before the act: so that a lab that was cut off can be taken down."""

import json
import shutil
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from tfheal.lab import places


@dataclass(frozen=True, slots=True)
class LabRecord:
    """One lab: whose workspace, which image, which IPv4 network (A.B.C of a /24)."""

    name: str
    workspace: str
    image: str
    network4: str


@dataclass(frozen=True, slots=True)
class SliceRecord:
    """One slice: its number (its name is s and the number), its sizes, its image, its host key, whom it lets in.

    Keys are `TYPE KEY`. While the disk is being made there is no host key yet. Containers run only where it was asked for.
    """

    number: int
    memory: int
    disk: int
    image: str
    host_key: str
    fingerprint: str
    authorized: str = ""
    containers: bool = False


def save_lab(record: LabRecord) -> None:
    """Keep the record of a lab."""
    write(places.lab_folder(record.name) / "lab.json", asdict(record))


def load_lab(name: str) -> LabRecord | None:
    """Return the record of a lab, if there is a whole one."""
    kept = read(places.lab_folder(name) / "lab.json")
    return None if kept is None else LabRecord(**_known(kept, LabRecord))


def save_slice(lab: str, name: str, record: SliceRecord, folder: Path | None = None) -> None:
    """Keep the record of a slice, in its own folder or as a copy in another one."""
    write((folder or places.slice_folder(lab, name)) / "slice.json", asdict(record))


def load_slice(lab: str, name: str, folder: Path | None = None) -> SliceRecord | None:
    """Return the record of a slice, or the copy of it in another folder, if there is a whole one."""
    kept = read((folder or places.slice_folder(lab, name)) / "slice.json")
    return None if kept is None else SliceRecord(**_known(kept, SliceRecord))


def _known(kept: dict[str, Any], kind: type[LabRecord] | type[SliceRecord]) -> dict[str, Any]:
    """Return what a record says that we know of: labs of a newer tfheal may stand beside ours and are only listed."""
    return {each.name: kept[each.name] for each in fields(kind) if each.name in kept}


def lab_names() -> list[str]:
    """Return the names of the labs of which anything is left."""
    if not places.LABS.is_dir():
        return []
    return sorted(path.name for path in places.LABS.iterdir() if path.is_dir() and not path.name.startswith("."))


def slice_names(lab: str) -> list[str]:
    """Return the names of a lab's slices of which anything is left, in the order of their numbers."""
    folder = places.lab_folder(lab) / "slices"
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(names, key=lambda name: (len(name), name))


def write(path: Path, content: dict[str, object]) -> None:
    """Write a small JSON file, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(content))
    fresh.replace(path)


def read(path: Path) -> dict[str, Any] | None:
    """Return what `write` wrote, None if there is nothing."""
    try:
        kept = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return kept if isinstance(kept, dict) else None


def forget(path: Path) -> None:
    """Remove a folder of ours, if it is there."""
    shutil.rmtree(path, ignore_errors=True)
