"""What a lab needs of this machine, asked before anything is touched: one clear error for each thing that is missing."""

import os
import platform
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tfheal.base.errors import ActionFailed, UsageError
from tfheal.lab import groups, host, places

_LOOP: Final = Path("/dev/loop-control")
_PROGRAMS: Final = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "nft": "nftables",
    "mkfs.ext4": "e2fsprogs",
    "ssh-keygen": "openssh-client",
    "mount": "mount",
    "nsenter": "util-linux",
}
_APT_WAITS: Final = 300  # seconds for another apt that is at work
_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def check() -> None:
    """Raise UsageError if this machine cannot have a lab."""
    if platform.system() != "Linux":
        raise UsageError(
            "a lab needs Linux", where="this machine", why=f"it is {platform.system()}", hint="use a Linux machine"
        )
    check_root()
    if not _LOOP.exists():
        why = f"{_LOOP} is missing, so slices cannot have disks of their own"
        raise UsageError("a lab needs loop devices", where="this machine", why=why, hint="modprobe loop")
    if "unified" not in groups.hierarchies():
        why = "Debian 13's systemd needs it"
        raise UsageError(
            "a lab needs cgroup v2", where="this machine", why=why, hint="mount it, or use another machine"
        )


def check_root() -> None:
    """Raise UsageError unless we are root, who alone may see what a lab keeps on this machine."""
    if os.geteuid() != 0:
        why = "its slices are real machines, with disks and a network"
        raise UsageError("a lab needs root", where="this machine", why=why, hint="run it as root: sudo tfheal lab …")


def missing_packages() -> tuple[str, ...]:
    """Return the host packages that a lab needs and that are not there."""
    missing = {package for program, package in _PROGRAMS.items() if not host.present(program)}
    if not _KEYRING.is_file():
        missing.add("debian-archive-keyring")
    return tuple(sorted(missing))


def install(packages: tuple[str, ...]) -> None:
    """Install host packages, once no other apt is at work; raise ActionFailed, or UsageError where there is no apt."""
    if not host.present("apt-get"):
        hint = f"install by hand: {' '.join(packages)}"
        raise UsageError("packages are missing, and this machine has no apt", where="this machine", hint=hint)
    _apt("update", timeout=300)
    _apt("install", "--yes", "--no-install-recommends", *packages, timeout=900)


def _apt(*words: str, timeout: float) -> None:
    """Run apt-get; `update` waits for no lock of another one by itself, so it is asked again."""
    until = time.monotonic() + _APT_WAITS
    while True:
        try:
            host.run("apt-get", "-o", f"DPkg::Lock::Timeout={_APT_WAITS}", *words, timeout=timeout)
        except ActionFailed as error:
            if "Could not get lock" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(1)
        else:
            return


def check_mirror(sources: tuple[str, ...]) -> None:
    """Given the lines of a sources.list, raise UsageError if their servers cannot be reached, proxies apart."""
    for url in dict.fromkeys(line.split()[1] for line in sources):
        place = urlsplit(url)
        if not _proxied() and not _connects(
            place.hostname or "", place.port or (443 if place.scheme == "https" else 80)
        ):
            raise UsageError(
                "the base image has to be built, and the package mirror cannot be reached",
                where="this machine",
                why=url,
                hint="check the network; once built, the image is kept and no network is needed",
            )


def _proxied() -> bool:
    named = any(os.environ.get(name) for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"))
    return named or b"::Proxy" in host.ask("apt-config", "dump").stdout


def _connects(name: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((name, port), timeout=10):
        return True
    return False


def leave_nothing() -> None:
    """Remove the empty folders that hold labs, once the last one is gone."""
    for folder in (places.LABS, Path("/run/systemd/nspawn")):
        with suppress(OSError):
            folder.rmdir()
