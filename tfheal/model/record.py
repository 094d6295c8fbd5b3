"""What the journal keeps: runs, actions with intent and outcome, incidents, what is deployed, who holds a lease."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from tfheal.model.findings import Cause, Health
from tfheal.model.playbook import Rung
from tfheal.model.release import InstanceName, Release

Verb = Literal[
    "deploy",
    "remove",
    "restart",
    "free-disk",
    "redeploy",
    "rollback",
    "rebuild",
    "recreate",
    "rehome",
    "page",
    "reflex",
    "restore",
    "patch",
    "reboot",
    "notice",
    "fetch",
    "certify",
]
Place = Mapping[str, tuple[str, ...]]
Outcome = Literal["done", "failed", "refused", "undone", "unknown"]
IncidentState = Literal["open", "watching", "resolved", "refused"]
# `remaking` is a deploy onto a slice without its data, `restoring` waits for that data to come back.
Phase = Literal["deploying", "deployed", "remaking", "restoring", "removing", "retired"]
AWAITING: Final[frozenset[Phase]] = frozenset({"remaking", "restoring"})


@dataclass(frozen=True, slots=True)
class Run:
    """One invocation of a command that may act."""

    id: str
    command: str
    started: datetime
    host: str
    pid: int
    ended: datetime | None = None
    exit: int | None = None


@dataclass(frozen=True, slots=True)
class ActionRecord:
    """One action: written before it starts, completed after; `outcome` None means that it never said how it ended."""

    id: str
    run: str
    verb: Verb
    app: str
    instance: InstanceName | None
    slice: str
    incident: str | None
    why: str
    release: str | None
    started: datetime
    ended: datetime | None = None
    outcome: Outcome | None = None
    detail: str = ""

    @property
    def over(self) -> datetime:
        """Return when it ended; of one that never told, when it began: when that was found out says nothing of it."""
        return self.ended if self.ended and self.outcome != "unknown" else self.started

    @property
    def healed(self) -> bool:
        """Return whether it healed something: for an incident, or by the slice's own reflex."""
        return self.outcome == "done" and self.verb != "page" and (self.incident is not None or self.verb == "reflex")


@dataclass(frozen=True, slots=True)
class Incident:
    """A finding over time, with the rung it has reached; who acked it knows of it, and nobody is called for it again."""

    id: str
    app: str
    instance: InstanceName | None
    slice: str
    cause: Cause
    state: IncidentState
    rung: Rung | None
    opened: datetime
    last_seen: datetime
    healthy_since: datetime | None = None
    closed: datetime | None = None
    paged: datetime | None = None
    detail: str = ""
    acked: datetime | None = None
    acked_by: str = ""


@dataclass(frozen=True, slots=True)
class Story:
    """An incident, and the actions that were taken for it, oldest first."""

    incident: Incident
    actions: tuple[ActionRecord, ...]


@dataclass(frozen=True, slots=True)
class Deployed:
    """What an instance is meant to be, as last decided by a deploy or remove."""

    instance: InstanceName
    release: str
    version: str
    generation: int
    phase: Phase
    at: datetime


@dataclass(frozen=True, slots=True)
class Expected:
    """What one instance is meant to be, and whether anything ever came to its end there: before, its slice is new."""

    deployed: Deployed
    release: Release
    reached: bool = True


@dataclass(frozen=True, slots=True)
class HealthSince:
    """The health of an instance, and since when it has been that."""

    instance: InstanceName
    health: Health
    since: datetime


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an app runs since it was moved: slices by component, what the spec said then, and what a person placed."""

    app: str
    place: Place
    spec: Place
    pinned: frozenset[str]
    at: datetime


@dataclass(frozen=True, slots=True)
class Silence:
    """A slice that cannot be connected to: since when, and whether its owner had said hands off before."""

    slice: str
    since: datetime
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """How a release did on its instance: healthy since when, last seen proven when, and since when and why it is held."""

    instance: InstanceName
    release: str
    generation: int
    healthy_since: datetime | None = None
    good: datetime | None = None
    held: datetime | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """Who holds the lease of an app."""

    app: str
    what: str
    host: str
    pid: int
    run: str
    since: datetime
    renewed: datetime
    user: str = ""
