"""Where everything of a lab is, and what it is called here: derived from names, found again after any crash."""

import hashlib
from pathlib import Path
from typing import Final

LABS: Final = Path("/var/lib/tfheal-lab")
CACHE: Final = Path("/var/cache/tfheal-lab")
IMAGES: Final = CACHE / "images"
SYSCTLS: Final = LABS / ".sysctls.json"
GROUP: Final = "tfheal-lab"


def lab_folder(lab: str) -> Path:
    """Return the folder of everything that a lab keeps on this machine."""
    return LABS / lab


def slice_folder(lab: str, name: str) -> Path:
    """Return the folder of one slice: its disk image, its mount points, its record."""
    return LABS / lab / "slices" / name


def faults_folder(lab: str, name: str) -> Path:
    """Return the folder of what is broken on a slice: a folder for each fault."""
    return slice_folder(lab, name) / "faults"


def mark(lab: str) -> str:
    """Return six characters that stand for a lab where a name must be short."""
    return _digest(lab)[:6]


def bridge(lab: str) -> str:
    """Return the name of a lab's bridge; an interface name has 15 characters at most."""
    return f"tfh-{mark(lab)}"


def machine(lab: str, name: str) -> str:
    """Return the name of a slice that no other slice on this machine has."""
    return f"{mark(lab)}-{name}"


def link(lab: str, name: str) -> str:
    """Return the host's end of a slice's network link, as systemd-nspawn names it."""
    return f"vb-{machine(lab, name)}"


def table(lab: str) -> str:
    """Return the name of a lab's nftables tables."""
    return f"tfheal-lab-{lab}"


def group(lab: str, name: str) -> str:
    """Return the control group of a slice, from the root of every hierarchy."""
    return f"{GROUP}/{lab}/{name}"


def prefix6(lab: str) -> str:
    """Return the first 64 bits of a lab's IPv6 network, a unique local one, written as the kernel writes them."""
    digest = _digest(lab)
    return f"fd{digest[:2]}:{int(digest[2:6], 16):x}:{int(digest[6:10], 16):x}:1ab"


def address6(lab: str, number: int) -> str:
    """Return the IPv6 address of slice number N: its last word reads as the number."""
    return f"{prefix6(lab)}::1:{number}"


def gateway6(lab: str) -> str:
    """Return this machine's own IPv6 address in a lab."""
    return f"{prefix6(lab)}::1"


def address4(network4: str, number: int) -> str:
    """Given a lab's IPv4 network as A.B.C, return the address of slice number N."""
    return f"{network4}.{number + 10}"


def gateway4(network4: str) -> str:
    """Given a lab's IPv4 network as A.B.C, return this machine's own address in it."""
    return f"{network4}.1"


def candidates4(lab: str) -> list[str]:
    """Return the IPv4 networks (A.B.C of a /24) that a lab may take, the one it prefers first."""
    start = int(_digest(lab)[:8], 16)
    return [f"10.{200 + slot // 256}.{slot % 256}" for slot in ((start + step * 257) % 8192 for step in range(512))]


def _digest(lab: str) -> str:
    return hashlib.sha256(lab.encode()).hexdigest()
