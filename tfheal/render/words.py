"""Figures and times as people read them, and facts as scripts do."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeVar

from rich import box
from rich.table import Table

from tfheal.model.facts import Fact, Known, Unknown

T = TypeVar("T")
NARROW: Final = 90  # columns below which tables lose columns or become entries
STYLES: Final = {
    "healthy": "green",
    "degraded": "yellow",
    "down": "bold red",
    "blocked": "yellow",
    "paused": "cyan",
    "absent": "dim",
    "unknown": "magenta",
    "critical": "bold red",
    "warning": "yellow",
    "info": "dim",
}
_UNITS: Final = ("B", "K", "M", "G", "T", "P")
_STEP: Final = 1024
_TEN: Final = 10


def table(*heads: str) -> Table:
    """Return an empty table of the house's look with these columns."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    for head in heads:
        made.add_column(head, overflow="fold", no_wrap=head == "id")  # an id is there to be copied
    return made


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


def ago(then: datetime, now: datetime) -> str:
    """Given a time and now, return how long ago that was."""
    return span(max(0.0, (now - then).total_seconds()))


def said(fact: Fact[T], words: Callable[[T], str]) -> str:
    """Given a fact and how to say it, return its words; `-` for one that is not known."""
    return words(fact.value) if isinstance(fact, Known) else "-"


def document(fact: Fact[Any]) -> object:
    """Given a fact, return it as scripts read it: an unknown tells its reason and is never null."""
    if isinstance(fact, Unknown):
        return {"unknown": fact.reason}
    return list(fact.value) if isinstance(fact.value, tuple) else fact.value
