"""Control groups: a slice *is* the processes of its groups.

That is how it is limited, found again and ended for sure, whoever started it and whoever of its starters died; no
process id is ever remembered.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from tfheal.base.errors import ActionFailed
from tfheal.lab import places

PIDS: Final = 2048
Limited = Literal["memory", "pids"]
_LIMITED: Final[tuple[Limited, ...]] = ("memory", "pids")
_LIMITS: Final = {"memory": ("memory.limit_in_bytes", "memory.max"), "pids": ("pids.max",)}
_UNLIMITED: Final = 1 << 60  # what the kernel says of a group of version 1 without a limit is more
_PATIENCE: Final = 20.0
_LEVELS: Final = 2  # namespaces of processes: this machine's, and the slice's own


def hierarchies() -> dict[str, Path]:
    """Return where the hierarchies are mounted that a slice is put into: `unified`, and the v1 ones that exist."""
    found: dict[str, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        mount = Path(place.split(" ")[4])
        if kind == "cgroup2":
            found.setdefault("unified", mount)
        elif kind == "cgroup":
            for name in {*_LIMITED, "name=systemd"} & set(options.split(" ")[-1].split(",")):
                found.setdefault(name, mount)
    return found


def make(lab: str, name: str, memory: int) -> list[Path]:
    """Make the groups of a slice with its limits, and return them."""
    made = []
    for hierarchy, mount in hierarchies().items():
        group = mount / places.group(lab, name)
        group.mkdir(parents=True, exist_ok=True)
        if hierarchy == "unified":
            _delegate(mount, group)
        _limit(group, memory)
        made.append(group)
    return made


def _delegate(mount: Path, group: Path) -> None:
    """Hand the controllers down to a group, from the root of the hierarchy on."""
    offered = set((mount / "cgroup.controllers").read_text().split())
    wanted = " ".join(f"+{controller}" for controller in _LIMITED if controller in offered)
    for folder in reversed([group, *(parent for parent in group.parents if parent.is_relative_to(mount))]):
        _put(folder / "cgroup.subtree_control", wanted)


def _limit(group: Path, memory: int) -> None:
    limits = {"memory.limit_in_bytes": memory, "memory.max": memory, "memory.swap.max": 0, "pids.max": PIDS}
    for file, limit in limits.items():
        if (group / file).exists():
            _put(group / file, str(limit))


def _put(file: Path, text: str) -> None:
    if not text:
        return
    try:
        file.write_text(text)
    except OSError as error:
        raise ActionFailed("a control group cannot be set up", where=str(file), why=str(error)) from error


def limit(lab: str, name: str, what: Limited) -> int | None:
    """Return the limit that the kernel enforces on all processes of a slice together, None if it enforces none."""
    first = leader(lab, name)
    mount = hierarchies().get(what) or hierarchies().get("unified")
    if first is None or mount is None:
        return None
    group = mount / places.group(lab, name)
    lines = (line.split(":", 2) for line in Path(f"/proc/{first}/cgroup").read_text().splitlines())
    of_leader = {controller: path for _, names, path in lines for controller in names.split(",")}
    inside = mount / of_leader.get(what, of_leader.get("", "/")).lstrip("/")
    said = [text for file in _LIMITS[what] if (text := _read(group / file))] if inside.is_relative_to(group) else []
    return int(said[0]) if said and said[0].isdecimal() and int(said[0]) < _UNLIMITED else None


def processes_used(lab: str, name: str) -> int:
    """Return how many processes, threads included, count towards the limit of a slice; 0 if nothing counts them."""
    mount = hierarchies().get("pids") or hierarchies().get("unified")
    said = _read(mount / places.group(lab, name) / "pids.current") if mount else ""
    return int(said or 0)


def killed(lab: str, name: str) -> int:
    """Return how many processes of a slice the kernel has killed for want of memory."""
    groups = (mount / places.group(lab, name) for mount in hierarchies().values())
    # In version 1 a group counts its own, in version 2 also those below it.
    files = [file for group in groups for file in (group / "memory.events", *_v1_counters(group))]
    words = (line.split() for file in files for line in _read(file).splitlines())
    return sum(int(count) for word, count in words if word == "oom_kill")


def _v1_counters(group: Path) -> list[Path]:
    return [folder / "memory.oom_control" for folder in _below(group)]


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def processes(lab: str, name: str) -> set[int]:
    """Return the processes of a slice; a zombie is none."""
    groups = (mount / places.group(lab, name) for mount in hierarchies().values())
    return {process for group in groups for folder in _below(group) for process in _alive(folder)}


def leader(lab: str, name: str) -> int | None:
    """Return the slice's own first process, as seen from here; that of a container in it is one level deeper."""
    for process in sorted(processes(lab, name)):
        with suppress(OSError):
            status = Path(f"/proc/{process}/status").read_text()
            ids = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
            if len(ids) == _LEVELS and ids[-1] == "1":
                return process
    return None


def kept(lab: str, name: str) -> bool:
    """Return whether the keeper of a slice is there, who restarts it when it reboots."""
    keepers = (mount / places.group(lab, name) / "keeper" for mount in hierarchies().values())
    return any(_alive(keeper) for keeper in keepers)


def freeze(lab: str, name: str, *, frozen: bool) -> None:
    """Stop every process of a slice where it stands, or let all go on; raise ActionFailed."""
    _put(_of_version_2(lab, name) / "cgroup.freeze", "1" if frozen else "0")


def is_frozen(lab: str, name: str) -> bool:
    """Return whether every process of a slice stands still."""
    try:
        return "frozen 1" in (_of_version_2(lab, name) / "cgroup.events").read_text().splitlines()
    except FileNotFoundError:
        return False


def _of_version_2(lab: str, name: str) -> Path:
    """Return the group that can be frozen as a whole, and of which a frozen process can still be killed."""
    mount = hierarchies().get("unified")
    if mount is None:
        raise ActionFailed("no control groups of version 2 are mounted", where="this machine")
    return mount / places.group(lab, name)


def end(lab: str, name: str) -> None:
    """Kill every process of a slice, wait until they are gone, and remove its groups; raise ActionFailed."""
    deadline = time.monotonic() + _PATIENCE
    while remaining := processes(lab, name):
        for process in remaining:
            _kill(process, lab, name)
        if time.monotonic() > deadline:
            raise ActionFailed("a slice does not end", where=name, why=f"processes {sorted(remaining)} stay")
        time.sleep(0.02)
    for mount in hierarchies().values():
        _remove(mount / places.group(lab, name))


def clear(lab: str) -> None:
    """Remove what is left of the groups of a lab, and of all labs when it was the last one."""
    for mount in hierarchies().values():
        _remove(mount / places.GROUP / lab)
        with suppress(OSError):
            (mount / places.GROUP).rmdir()


def names(lab: str) -> set[str]:
    """Return the slices of a lab that have groups, with or without a record."""
    folders = (mount / places.GROUP / lab for mount in hierarchies().values())
    return {path.name for folder in folders if folder.is_dir() for path in folder.iterdir() if path.is_dir()}


def _kill(process: int, lab: str, name: str) -> None:
    """Kill a process by a handle, once it is sure that the handle is of a process of this slice."""
    with suppress(OSError):
        handle = os.pidfd_open(process)
        try:
            if _is_of(process, f"/{places.group(lab, name)}/"):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)


def _is_of(process: int, group: str) -> bool:
    lines = Path(f"/proc/{process}/cgroup").read_text().splitlines()
    return any(f"{line.split(':', 2)[2]}/".startswith(group) for line in lines)


def _alive(folder: Path) -> set[int]:
    try:
        found = {int(line) for line in (folder / "cgroup.procs").read_text().split()}
    except OSError:
        return set()
    return {process for process in found if process and not _is_zombie(process)}


def _is_zombie(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _below(group: Path) -> list[Path]:
    return [Path(folder) for folder, _, _ in os.walk(group)]


def _remove(group: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    for folder in reversed(_below(group)):
        while folder.is_dir():
            try:
                folder.rmdir()
            except OSError as error:
                if time.monotonic() > deadline:
                    raise ActionFailed("a control group stays", where=str(folder), why=str(error)) from error
                time.sleep(0.02)
