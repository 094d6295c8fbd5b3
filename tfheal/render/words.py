"""Figures and times as people read them, and facts as scripts do."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeVar

from rich import box
from rich.table import Table

from tfheal.base.amounts import span
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


def table(*heads: str) -> Table:
    """Return an empty table of the house's look with these columns."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    for head in heads:
        made.add_column(head, overflow="fold", no_wrap=head == "id")  # an id is there to be copied
    return made


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
