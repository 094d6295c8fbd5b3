"""Bytes and seconds as people read them, in tables and while work goes on."""

import math
from typing import Final

_UNITS: Final = ("B", "K", "M", "G", "T", "P")
_STEP: Final = 1024
_TEN: Final = 10
_DAY: Final = 86_400
_SPANS: Final = ((120, 1), (7_200, 60), (172_800, 3_600))  # below so many seconds they are told in units of so many


def size(count: float) -> str:
    """Given bytes, return them in the largest unit that leaves a whole part: `1.5G`."""
    for unit in _UNITS:
        if count < _STEP or unit == _UNITS[-1]:
            return f"{count:.1f}{unit}" if count < _TEN and unit != "B" else f"{count:.0f}{unit}"
        count /= _STEP
    return ""


def within(seconds: float) -> str:
    """Given for how many seconds something takes at most, return them as `span` does and never less: `3m` for 140 s."""
    unit = next((unit for limit, unit in _SPANS if seconds < limit), _DAY)
    return span(math.ceil(seconds / unit) * unit)


def span(seconds: float) -> str:
    """Given seconds, return them in the largest unit that fits: `42s`, `3m`, `5h`, `12d`."""
    for (limit, divisor), unit in zip(_SPANS, "smh", strict=True):
        if seconds < limit:
            return f"{seconds / divisor:.0f}{unit}"
    return f"{seconds / _DAY:.0f}d"
