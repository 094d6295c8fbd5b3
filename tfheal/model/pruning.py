"""Deleting backups: one run of it on the store of an app, and what became of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tfheal.base.exits import Exit
from tfheal.model.backup import Backup

PruneState = Literal["running", "done", "damaged", "failed"]


@dataclass(frozen=True, slots=True)
class Pruning:
    """One run: which backups it was to delete, and how many bytes less are stored now.

    It is written down as running before anything is deleted: of whatever it names we do not know whether it is there yet.
    """

    id: str
    app: str
    at: datetime
    state: PruneState
    backups: tuple[str, ...]
    freed: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Pruned:
    """The backups of an app that go, the run that deleted them, or why there was none; neither: nothing was to be done."""

    app: str
    going: tuple[Backup, ...] = ()
    pruning: Pruning | None = None
    refused: str = ""
    exit: Exit = Exit.OK
