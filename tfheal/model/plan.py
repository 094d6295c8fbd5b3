"""A plan is data: actions with their reasons, and what waits or is refused and why."""

from dataclasses import dataclass
from datetime import datetime

from tfheal.model.playbook import Rung
from tfheal.model.record import Incident
from tfheal.model.release import InstanceName


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
