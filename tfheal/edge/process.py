"""Who a process is, beyond its number: numbers come back after a reboot and after enough forks, this does not."""

import os
import pwd
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ENDED: Final = frozenset("ZXx")


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process: `boot` names the boot and process namespace in which `pid` and `started` mean something."""

    host: str
    user: str
    boot: str
    pid: int
    started: int


def this_process() -> ProcessIdentity:
    """Return who this process is."""
    pid = os.getpid()
    return ProcessIdentity(
        host=socket.gethostname(),
        user=_user(),
        boot=this_boot(),
        pid=pid,
        started=_started(pid) or 0,
    )


def this_boot() -> str:
    """Return what tells this boot and process namespace from every other; empty where there is no /proc."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # Two containers of one machine share its boot but not their process numbers.
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def is_here(boot: str) -> bool:
    """Given the boot of a process, return whether its number can be looked up from here."""
    return bool(boot) and boot == this_boot()


def is_gone(pid: int, started: int) -> bool:
    """Given number and start of a process that `is_here`, return whether it has ended."""
    return _started(pid) != started


def _started(pid: int) -> int | None:
    """Return the start of a process in clock ticks since boot, None if it ended (a zombie has ended)."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name in brackets may itself hold spaces and brackets: fields are counted from the last one.
    fields = status.rpartition(")")[2].split()
    return None if fields[0] in _ENDED else int(fields[19])


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
