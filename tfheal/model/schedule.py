"""A schedule: how `tfheal tick` of a workspace is run again and again, by systemd or by cron, and who sees to that."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is run: whose workspace, by which program, as whom (None: as whoever installs it), how often in seconds."""

    name: str
    workspace: str
    program: tuple[str, ...]
    every: float
    deadline: float
    user: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scheduled:
    """What there is of a schedule: its places, whether it is active, when it ran last and runs next, and a note on it."""

    places: tuple[str, ...]
    active: bool
    last: datetime | None = None
    next: datetime | None = None
    note: str = ""


class Scheduler(Protocol):
    """Systemd, or cron."""

    def put(self, schedule: Schedule) -> bool:
        """Install a schedule; return whether anything changed. Raise Refused where something of others is in its place."""

    def drop(self, schedule: Schedule) -> bool:
        """Remove a schedule; return whether it was there. What is not ours stays."""

    def look(self, schedule: Schedule) -> Scheduled | None:
        """Return what there is of a schedule, None if nothing."""


class Seat(Protocol):
    """The machine on which a schedule is kept: its files, and its programs."""

    def read(self, path: str) -> str | None:
        """Return the text of a file, None if there is none."""

    def write(self, path: str, text: str) -> None:
        """Write a file, with the folders to it."""

    def delete(self, path: str) -> None:
        """Delete a file."""

    def run(self, argv: tuple[str, ...], stdin: str = "") -> tuple[int, str]:
        """Run a program with a text on stdin; return its exit status, and what it said: stdout, or stderr if it failed."""
