"""A slice as a running machine: started, entered, ended.

Its mounts live in a mount namespace of its own, so that they are gone with its last process, however that ended.
"""

import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from tfheal.base import untrusted
from tfheal.base.errors import ActionFailed
from tfheal.lab import groups, host, image, places
from tfheal.lab.record import SliceRecord

_SSH: Final = 22
_PATIENCE: Final = 90.0
_LOG_TAIL: Final = 600
_SETTINGS: Final = {
    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",  # Debian 13's systemd wants it, also where the host is hybrid
    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",  # a slice sets its own network up
}
_LAUNCH: Final = r"""set -e
for group in $1; do echo $$ > "$group/cgroup.procs"; done
shift
exec unshare --mount --propagation slave sh -ec '
mount -o loop,noatime "$1/disk.img" "$1/disk"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/disk/upper,workdir=$1/disk/work" "$1/root"
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn
shift 2
exec systemd-nspawn "$@"' nspawn "$@"
"""


def start(lab: str, name: str, kept: SliceRecord) -> None:
    """Start a slice that does not run."""
    folder = places.slice_folder(lab, name)
    for mount in ("disk", "root"):
        (folder / mount).mkdir(exist_ok=True)
    made = " ".join(str(group) for group in groups.make(lab, name, kept.memory))
    inside = ("sh", "-c", _LAUNCH, "launch", made, str(folder), str(image.tree(kept.image)))
    host.launch((*inside, *_nspawn(lab, name, folder)), str(folder / "console.log"), _SETTINGS)


def _nspawn(lab: str, name: str, folder: Path) -> tuple[str, ...]:
    resolver = "replace-uplink" if Path("/run/systemd/resolve/resolv.conf").exists() else "replace-host"
    return (
        *("--quiet", "--register=no", "--keep-unit", "--link-journal=no", "--timezone=off", "--console=pipe"),
        *(f"--resolv-conf={resolver}", f"--directory={folder / 'root'}", f"--machine={places.machine(lab, name)}"),
        *(f"--hostname={name}", f"--network-bridge={places.bridge(lab)}"),
        "--drop-capability=CAP_SYS_TIME",  # a slice must not set the clock of this machine
        "--boot",
    )


def answers(lab: str, number: int) -> bool:
    """Return whether the sshd of a slice greets."""
    with suppress(OSError), socket.create_connection((places.address6(lab, number), _SSH), timeout=2) as connection:
        connection.settimeout(5)
        return connection.recv(4) == b"SSH-"
    return False


def wait(lab: str, name: str, number: int) -> None:
    """Wait until the sshd of a slice greets; raise ActionFailed with the last words of its console."""
    deadline = time.monotonic() + _PATIENCE
    while not answers(lab, number):
        if time.monotonic() > deadline or not groups.supervised(lab, name):
            console = places.slice_folder(lab, name) / "console.log"
            words = untrusted.line(console.read_bytes()[-_LOG_TAIL:]) if console.exists() else ""
            raise ActionFailed("the slice does not come up", where=name, why=words, hint=f"its console: {console}")
        time.sleep(0.1)


def enter(lab: str, name: str, script: str, *, timeout: float = 60.0, files: host.Files | None = None) -> host.Result:
    """Given a script of sh, run it as root inside a slice from this machine, past its sshd; return what it answered."""
    leader = groups.leader(lab, name)
    if leader is None:
        raise ActionFailed("the slice does not run", where=name, hint="tfheal lab up starts it")
    namespaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd")
    clean = ("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8")
    argv = ("nsenter", "--target", str(leader), *namespaces, *clean, "sh", "-c", script)
    return host.ask(*argv, timeout=timeout, files=files or host.Files())
