"""The base image: one unpacked Debian tree per recipe, read by all slices and written by none."""

import hashlib
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tfheal.base.errors import ActionFailed
from tfheal.lab import host, places, record, surroundings
from tfheal.lab.surroundings import SUITE, SliceFile
from tfheal.model.ports import Reporter

RECIPE: Final = "2"  # counts up when this file makes another tree of the same ingredients
PACKAGES: Final = {
    "systemd": "runs everything",
    "systemd-sysv": "makes it the first process",
    "dbus": "systemctl and logins talk through it",
    "openssh-server": "the only way in",
    "iproute2": "addresses, and what listens where",
    "nftables": "the firewall of instances",
    "procps": "ps, and sysctl",
    "curl": "checks over HTTP",
    "ca-certificates": "TLS to the package registries",
}
_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_PATIENCE: Final = 900.0
_FINISH: Final = r"""set -e
cp -a "$FILES/." "$1"
chroot "$1" update-ca-certificates >/dev/null
echo force-unsafe-io > "$1/etc/dpkg/dpkg.cfg.d/lab"  # no fault of the lab loses what this machine has in memory
rm -f "$1"/etc/ssh/ssh_host_* "$1/etc/apt/apt.conf.d/99mmdebstrap"
: > "$1/etc/machine-id"
ln -s /dev/null "$1/etc/systemd/system/systemd-modules-load.service"  # a container loads no modules
ln -sf /usr/lib/systemd/system/systemd-networkd.service "$1/etc/systemd/system/multi-user.target.wants/"
"""


@dataclass(frozen=True, slots=True)
class Image:
    """What an image is made of; its id is the hash of that."""

    sources: tuple[str, ...]
    certificates: tuple[SliceFile, ...]

    def id(self) -> str:
        """Return the hash of all ingredients."""
        ingredients = (RECIPE, SUITE, sorted(PACKAGES), self.sources, self.certificates, _FINISH)
        return hashlib.sha256(repr(ingredients).encode()).hexdigest()[:16]


def wanted() -> Image:
    """Return the image that new slices of this machine start from."""
    return Image(surroundings.sources(), surroundings.certificates())


def tree(image: str) -> Path:
    """Return the tree of an image."""
    return places.IMAGES / image


def ensure(image: Image, reporter: Reporter) -> str:
    """Build an image where it is missing, and return its id; raise ActionFailed."""
    if not tree(image.id()).is_dir():
        reporter.step("image", f"building the base image, Debian {SUITE} (once, about half a minute)")
        _clear_unused()
        _build(image)
        reporter.say("base image built")
    return image.id()


def _build(image: Image) -> None:
    partial = places.IMAGES / f"{image.id()}.partial"
    files = places.IMAGES / f"{image.id()}.files"
    places.CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    files.mkdir(mode=0o755, parents=True)
    for certificate in image.certificates:
        certificate.put(files)
    settings = places.IMAGES / f"{image.id()}.apt"
    settings.write_text(surroundings.apt_settings())
    try:
        host.run(*_command(image, settings, files, partial), timeout=_PATIENCE)
    except ActionFailed as error:
        hint = "is the package mirror reachable? see the reason; `apt-get update` on this machine must work"
        raise ActionFailed("the base image cannot be built", where="the lab", why=error.why, hint=hint) from error
    partial.chmod(0o755)
    partial.replace(tree(image.id()))
    shutil.rmtree(files)
    settings.unlink()


def _command(image: Image, settings: Path, files: Path, target: Path) -> tuple[str, ...]:
    """Return the build, in a process namespace that dies with us, so that a killed `lab up` leaves no builder."""
    keyring = (f"--keyring={_KEYRING}",) if _KEYRING.is_file() else ()
    return (
        *("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
        *("env", f"FILES={files}", f"TMPDIR={places.IMAGES}"),
        *("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=directory", *keyring),
        # The package lists stay: each slice would fetch them anew, and work for seconds on them.
        *("--skip=cleanup/apt/lists", f"--aptopt={settings}"),
        *(f"--include={','.join(PACKAGES)}", f"--customize-hook={_FINISH}"),
        *(SUITE, str(target), *image.sources),
    )


def _clear_unused() -> bool:
    """Remove images that no slice stands on, and what a killed build left; return whether none is left."""
    used = _recorded() | _mounted()
    left = list(places.IMAGES.iterdir()) if places.IMAGES.is_dir() else []
    for path in left:
        if path.name not in used:
            host.run("rm", "-rf", "--one-file-system", str(path))
    return not any(path.name in used for path in left)


def _recorded() -> set[str]:
    used = set()
    for lab in record.lab_names():
        kept = (record.load_lab(lab), *(record.load_slice(lab, name) for name in record.slice_names(lab)))
        used |= {each.image for each in kept if each}
    return used


def _mounted() -> set[str]:
    """Return the images that are mounted anywhere, whatever our records say."""
    used: set[str] = set()
    for mounts in Path("/proc").glob("[0-9]*/mountinfo"):
        with suppress(OSError):
            used.update(re.findall(f"lowerdir={re.escape(str(places.IMAGES))}/([^:,/]+)", mounts.read_text()))
    return used


def drop_cache() -> bool:
    """Remove the images that no lab uses; return whether none is left."""
    if not _clear_unused():
        return False
    shutil.rmtree(places.CACHE, ignore_errors=True)
    return True
