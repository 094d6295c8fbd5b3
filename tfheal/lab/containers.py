"""What a slice needs so that Podman works in it, and what it is given only where it is asked for.

Its root is then nearly root of this machine: it may mount and trace, and load programs of the kernel's own language.
"""

from typing import Final

from tfheal.lab.surroundings import SliceFile

STORAGE: Final = "/var/lib/containers"  # on the slice's own disk as it is: an overlay does not lie on an overlay
_CAPABILITIES: Final = (
    *("CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_AUDIT_WRITE", "CAP_SYS_PTRACE"),
    *("CAP_BPF", "CAP_PERFMON"),
)
_CALLS: Final = "add_key keyctl bpf @mount"
# A slice cannot raise limits beyond those it was born with, has no keyring of its own, and on a machine with control
# groups of both versions no controller that counts processes: its own group counts them.
_SETTINGS: Final = """\
[containers]
default_ulimits = ["memlock=65536:65536", "nofile=1024:20000", "nproc=4096:4096"]
keyring = false
pids_limit = 0
"""


def options(storage: str) -> tuple[str, ...]:
    """Given a folder on the slice's disk, return what systemd-nspawn is told so that containers run in the slice."""
    return (
        f"--capability={','.join(_CAPABILITIES)}",
        f"--system-call-filter={_CALLS}",
        f"--bind={storage}:{STORAGE}",
    )


def files() -> tuple[SliceFile, ...]:
    """Return the settings of Podman for a slice."""
    return (SliceFile("/etc/containers/containers.conf.d/lab.conf", _SETTINGS.encode()),)
