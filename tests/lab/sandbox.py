"""A machine for labs of its own: no labs, no network and no firewall but what a test puts there, seen by nobody else.

It shares processes, control groups and the image cache with the real machine; mounts, /var/lib/tfheal-lab and the
network are its own, so that a test can compare everything before and after.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from running_lab import LABS, RunningLab, name_of_ours, new_workspace

_HOLD = f"""mkdir -p {LABS}
mount -t tmpfs tmpfs {LABS}
ip link set lo up
exec sleep 3600
"""
_LOOK = """
echo "== mounts"; cut -d' ' -f2,3 /proc/self/mounts
echo "== links"; ip -brief link
echo "== rules"; nft list ruleset
echo "== settings"; sysctl -a 2>/dev/null | grep -E '^(net\\.ipv4\\.(ip_forward|conf)|net\\.ipv6\\.conf)' | grep -v stable_secret
echo "== files"; find /var/lib/tfheal-lab
"""
_TRACES = """
losetup --list --noheadings --output BACK-FILE | grep MARK
find /sys/fs/cgroup -type d -path '*tfheal-lab/MARK*'
ps -eo args | grep MARK | grep -v grep
find /tmp/nspawn* /run/systemd/nspawn -name 'MARK*' 2>/dev/null
true
"""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One such machine: `around` enters it."""

    around: tuple[str, ...]
    ground: Path

    def lab(self, suffix: str) -> RunningLab:
        """Return a lab that may be made here."""
        name = name_of_ours(suffix)
        return RunningLab(name, new_workspace(self.ground / suffix), self.around)

    def sh(self, script: str) -> str:
        """Run a script here and return what it wrote."""
        return subprocess.run(
            [*self.around, "sh", "-c", script], capture_output=True, text=True, check=True, timeout=60
        ).stdout

    def look(self) -> str:
        """Return everything that a lab could leave here."""
        return self.sh(_LOOK)

    def traces(self, lab: RunningLab) -> str:
        """Return what is left of a lab in what is shared with the real machine."""
        return self.sh(_TRACES.replace("MARK", lab.name))


@contextmanager
def sandbox(ground: Path) -> Iterator[Sandbox]:
    """Hold such a machine while the context lasts; it dies with us."""
    apart = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--net", "--propagation", "private")
    with subprocess.Popen([*apart, "sh", "-ec", _HOLD]) as holder:
        try:
            _await(Path(f"/proc/{holder.pid}/comm"), "sleep\n")
            yield Sandbox(("nsenter", "--target", str(holder.pid), "--mount", "--net"), ground)
        finally:
            holder.kill()
    if LABS.is_dir() and not any(LABS.iterdir()):
        LABS.rmdir()


def _await(file: Path, content: str) -> None:
    deadline = time.monotonic() + 10
    while file.read_text() != content:
        assert time.monotonic() < deadline, "the sandbox does not come up"
        time.sleep(0.02)
