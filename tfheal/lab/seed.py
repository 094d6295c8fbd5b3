"""The disk of a slice: a file system of its own size, born with what makes this slice differ from every other one.

It is filled before it is ever mounted, so that no path is followed that a slice could have laid.
"""

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tfheal.lab import containers, host, places, record, surroundings
from tfheal.lab.record import LabRecord, SliceRecord
from tfheal.lab.surroundings import SliceFile

HOST_KEY: Final = "/etc/ssh/ssh_host_ed25519_key"
_NETWORK: Final = """[Match]
Name=host0
[Network]
Address={address6}/64
Address={address4}/24
Gateway={gateway4}
IPv6AcceptRA=no
IPv6DuplicateAddressDetection=0
"""


@dataclass(frozen=True, slots=True)
class Seed:
    """What makes a slice this slice."""

    lab: str
    name: str
    number: int
    network4: str
    disk: int
    authorized: str
    containers: bool = False


@dataclass(frozen=True, slots=True)
class HostKey:
    """The public half of a host key (`TYPE KEY`), and its fingerprint (`SHA256:…`)."""

    public: str
    fingerprint: str


def sown(lab: LabRecord, name: str, kept: SliceRecord) -> SliceRecord:
    """Make the disk of a slice anew, and return its record; killed on the way, that has no host key, and it is made again."""
    record.save_slice(lab.name, name, replace(kept, host_key=""))
    key = login_key(lab.name)
    made = sow(Seed(lab.name, name, kept.number, lab.network4, kept.disk, key, kept.containers))
    fresh = replace(kept, image=lab.image, host_key=made.public, fingerprint=made.fingerprint, authorized=key)
    record.save_slice(lab.name, name, fresh)
    return fresh


def login_key(lab: str) -> str:
    """Return the public key that the slices of a lab let in."""
    return (places.lab_folder(lab) / "login.pub").read_text().strip()


def sow(seed: Seed) -> HostKey:
    """Given what makes a slice differ, make its disk image anew, and return the host key that is on it."""
    folder = places.slice_folder(seed.lab, seed.name)
    image = folder / "disk.img"
    image.unlink(missing_ok=True)
    with _scratch(folder) as root:
        upper = root / "upper"
        (root / "work").mkdir()
        (root / "containers").mkdir()
        key = _fill(upper, seed)
        with image.open("wb") as sparse:
            sparse.truncate(seed.disk)
        lazy = "lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0"
        host.run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", lazy, "-d", str(root), str(image))
    return key


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(dir=folder, prefix="seed-"))
    try:
        yield root
    finally:
        shutil.rmtree(root)


def _fill(upper: Path, seed: Seed) -> HostKey:
    network = _NETWORK.format(
        address6=places.address6(seed.lab, seed.number),
        address4=places.address4(seed.network4, seed.number),
        gateway4=places.gateway4(seed.network4),
    )
    hosts = f"127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 {seed.name}\n"
    files = (
        *surroundings.settings(),
        SliceFile("/etc/hostname", f"{seed.name}\n".encode()),
        SliceFile("/etc/hosts", hosts.encode()),
        SliceFile("/etc/machine-id", f"{secrets.token_hex(16)}\n".encode(), 0o444),
        SliceFile("/etc/systemd/network/10-host0.network", network.encode()),
        SliceFile("/root/.ssh/authorized_keys", f"{seed.authorized}\n".encode(), 0o600),
        *(containers.files() if seed.containers else ()),
    )
    for file in files:
        file.put(upper)
    key = upper / HOST_KEY.lstrip("/")
    key.parent.mkdir(mode=0o755)
    return make_key(key, f"root@{seed.name}")


def make_key(path: Path, comment: str) -> HostKey:
    """Make a key pair without a pass phrase at a path where none is, and return its public half."""
    host.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path))
    return public_half(path)


def public_half(path: Path) -> HostKey:
    """Given the path of a private key, return its public half."""
    public = Path(f"{path}.pub")
    fingerprint = host.run("ssh-keygen", "-l", "-f", str(public)).decode().split()[1]
    return HostKey(" ".join(public.read_text().split()[:2]), fingerprint)
