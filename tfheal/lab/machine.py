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
from tfheal.lab import containers, groups, host, image, places
from tfheal.lab.record import SliceRecord

_SSH: Final = 22
_PATIENCE: Final = 90.0
_LOG_TAIL: Final = 600
_SETTINGS: Final = {
    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",  # Debian 13's systemd wants it, also where the host is hybrid
    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",  # a slice sets its own network up
}
# Its disk waits for no disk of this machine (barrier): a slice loses power, and this machine keeps what it wrote.
# Run in a group of its own, beside that of the machine, and for as long as the machine is to run: it restarts a machine
# that asks for it (status 133), each time in a fresh group, as a group with children holds no processes of its own.
_KEEP: Final = r"""groups=$1 folder=$2 base=$3
shift 3
mount -o loop,noatime,barrier=0 "$folder/disk.img" "$folder/disk" || exit
overlay="lowerdir=$base,upperdir=$folder/disk/upper,workdir=$folder/disk/work"
mount -t overlay overlay -o "$overlay" "$folder/root" || exit
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn || exit
boot=0
while :; do
    boot=$((boot + 1))
    sh -ec '
        for group in $1; do mkdir -p "$group/boot-$2"; echo $$ > "$group/boot-$2/cgroup.procs"; done
        shift 2
        exec systemd-nspawn "$@"' boot "$groups" "$boot" "$@"
    [ $? -eq 133 ] || exit
done
"""
# The keeper is in its group before whoever started it hears that it was started.
_LAUNCH: Final = r"""for group in $1; do mkdir -p "$group/keeper"; echo $$ > "$group/keeper/cgroup.procs"; done
keep=$2 groups=$1
shift 2
exec setsid --fork unshare --mount --propagation slave sh -c "$keep" keep "$groups" "$@"
"""


def start(lab: str, name: str, kept: SliceRecord) -> None:
    """Start a slice that does not run."""
    folder = places.slice_folder(lab, name)
    for mount in ("disk", "root"):
        (folder / mount).mkdir(exist_ok=True)
    made = " ".join(str(group) for group in groups.make(lab, name, kept.memory))
    launch = ("sh", "-ec", _LAUNCH, "launch", made, _KEEP, str(folder), str(image.tree(kept.image)))
    host.launch((*launch, *_nspawn(lab, name, folder, kept)), folder / "console.log", _SETTINGS)


def _nspawn(lab: str, name: str, folder: Path, kept: SliceRecord) -> tuple[str, ...]:
    resolver = "replace-uplink" if Path("/run/systemd/resolve/resolv.conf").exists() else "replace-host"
    return (
        *("--quiet", "--register=no", "--keep-unit", "--link-journal=no", "--timezone=off", "--console=pipe"),
        *(f"--resolv-conf={resolver}", f"--directory={folder / 'root'}", f"--machine={places.machine(lab, name)}"),
        *(f"--hostname={name}", f"--network-bridge={places.bridge(lab)}"),
        "--drop-capability=CAP_SYS_TIME",  # a slice must not set the clock of this machine
        *(containers.options(str(folder / "disk" / "containers")) if kept.containers else ()),
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
        if time.monotonic() > deadline or not groups.kept(lab, name):
            console = places.slice_folder(lab, name) / "console.log"
            words = untrusted.line(console.read_bytes()[-_LOG_TAIL:]) if console.exists() else ""
            raise ActionFailed("the slice does not come up", where=name, why=words, hint=f"its console: {console}")
        time.sleep(0.1)


def enter(lab: str, name: str, script: str, *, timeout: float = 60.0, files: host.Files | None = None) -> host.Result:
    """Given a script of sh, run it as root inside a slice from this machine, past its sshd; return what it answered."""
    leader = groups.leader(lab, name)
    if leader is None:
        raise ActionFailed("the slice does not run", where=name, hint="tfheal lab up starts it")
    if groups.is_frozen(lab, name):
        raise ActionFailed("the slice is frozen", where=name, hint=f"tfheal lab mend {name} freeze lets it go on")
    namespaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd")
    clean = ("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8")
    argv = ("nsenter", "--target", str(leader), *namespaces, *clean, "sh", "-c", script)
    return host.ask(*argv, timeout=timeout, files=files or host.Files())
