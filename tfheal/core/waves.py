"""In which waves an upgrade goes over a fleet: by the ring of each app, or by size; and how many that is at most."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, get_args

from tfheal.base.errors import UsageError
from tfheal.model.app import Ring

RINGS: Final[tuple[Ring, ...]] = get_args(Ring)
_SIZE: Final = re.compile(r"([1-9][0-9]{0,5})(%)?")
_WHOLE: Final = 100


def waves(rings: Mapping[str, Ring], sizes: Sequence[str] = ()) -> tuple[tuple[str, ...], ...]:
    """Given the ring of each app and the sizes of waves (none: a ring is a wave), return the apps of each wave.

    What is in an earlier ring comes first in any case. Sizes are as in `1,10%,rest`; the last one counts for all that is
    left, in waves of that size. Raise UsageError for what is no size.
    """
    parts = [[app for app, ring in rings.items() if ring == one] for one in RINGS]
    if not sizes:
        return tuple(tuple(part) for part in parts if part)
    left = [app for part in parts for app in part]
    found: list[tuple[str, ...]] = []
    counts = [_size(size, len(left)) for size in sizes]
    while left:
        count = counts[min(len(found), len(counts) - 1)]
        found.append(tuple(left[:count]))
        left = left[count:]
    return tuple(found)


def _size(written: str, total: int) -> int:
    return max(1, total) if written == "rest" else max(1, share(written, total, "--waves"))


def share(written: str, total: int, option: str) -> int:
    """Given a number or a percentage of a total, as people write it with an option, return how many that is; raise UsageError."""
    if written == "0":
        return 0
    match = _SIZE.fullmatch(written)
    if match is None or (match[2] and int(match[1]) > _WHOLE):
        sizes = "1, 10% or rest, and several by commas: 1,10%,rest" if option == "--waves" else "2 or 10%"
        raise UsageError(f"{option} {written} is no number of apps", hint=f"write {sizes}")
    return int(match[1]) * total // _WHOLE if match[2] else int(match[1])


def kept(begun: Sequence[Sequence[str]], apps: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Given waves that were begun and the apps that are meant now, return the waves as they go on: apps that are new come last."""
    known = {app for wave in begun for app in wave}
    found = [tuple(app for app in wave if app in apps) for wave in begun]
    return tuple(wave for wave in (*found, tuple(app for app in apps if app not in known)) if wave)
