"""A lab whose operator's machine resolves some names as a test says, in a mount namespace of its own."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from running_lab import RunningLab

_MOUNTED = 'mount --bind "$0" /etc/hosts && exec "$@"'


def resolving(lab: RunningLab, names: Mapping[str, str]) -> RunningLab:
    """Given a lab and the address of each of some names, return it so that `tfheal` runs where they are in /etc/hosts."""
    file = lab.workspace / ".tfheal" / f"hosts-{'-'.join(names.values()).replace(':', '.')}"
    lines = [Path("/etc/hosts").read_text(), *(f"{address} {name}\n" for name, address in names.items())]
    file.write_text("".join(lines))
    return replace(lab, around=(*lab.around, "unshare", "-m", "--", "sh", "-c", _MOUNTED, str(file)))
