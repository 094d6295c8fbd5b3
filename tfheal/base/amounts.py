"""Bytes and seconds as people read them, in tables and while work goes on."""

from typing import Final

_UNITS: Final = ("B", "K", "M", "G", "T", "P")
_STEP: Final = 1024
_TEN: Final = 10


def size(count: float) -> str:
    """Given bytes, return them in the largest unit that leaves a whole part: `1.5G`."""
    for unit in _UNITS:
        if count < _STEP or unit == _UNITS[-1]:
            return f"{count:.1f}{unit}" if count < _TEN and unit != "B" else f"{count:.0f}{unit}"
        count /= _STEP
    return ""


def span(seconds: float) -> str:
    """Given seconds, return them in the largest unit that fits: `42s`, `3m`, `5h`, `12d`."""
    for limit, divisor, unit in ((120, 1, "s"), (7_200, 60, "m"), (172_800, 3_600, "h")):
        if seconds < limit:
            return f"{seconds / divisor:.0f}{unit}"
    return f"{seconds / 86_400:.0f}d"
