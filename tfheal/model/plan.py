"""A plan is data: actions with their reasons, and what waits or is refused and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from tfheal.model.playbook import Rung
from tfheal.model.record import Incident
from tfheal.model.release import InstanceName

Certainty = Literal["will", "might", "unknown"]
Reason = Literal["new", "changed", "interrupted", "unchanged", "unasked", "wiped"]


@dataclass(frozen=True, slots=True)
class Back:
    """The release that an instance can go back to; if there is none, why."""

    release: str | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """One remedy for one incident. Its guard and its verify are the checks of its steps."""

    rung: Rung
    incident: str
    app: str
    slice: str
    instance: InstanceName | None
    why: str
    release: str | None
    moves: Mapping[str, str] = field(default_factory=dict)  # of rehome: the spare of each app


@dataclass(frozen=True, slots=True)
class Waiting:
    """An incident that is not acted on now: why, and until when if a time lifts it."""

    incident: str
    rung: Rung
    why: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What healing would do now."""

    actions: tuple[Action, ...]
    waiting: tuple[Waiting, ...]
    incidents: tuple[Incident, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One resource that a deploy will or might change, or of which it cannot be known; with the diff of a text file."""

    resource: str
    certainty: Certainty
    detail: str
    diff: str = ""


@dataclass(frozen=True, slots=True)
class InstancePlan:
    """What a deploy would do to one instance."""

    instance: InstanceName
    release: str
    version: str
    reason: Reason
    changes: tuple[Change, ...] = ()
    detail: str = ""

    @property
    def acts(self) -> bool:
        """Return whether an apply trip is needed."""
        return self.reason in {"new", "changed", "interrupted"}
