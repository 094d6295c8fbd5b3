"""What healing goes by, beside the diagnosis of the moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from tfheal.core.heal.storm import Storm
from tfheal.model.plan import Back
from tfheal.model.playbook import Permission, Rung
from tfheal.model.record import ActionRecord, Incident
from tfheal.model.release import InstanceName, Release
from tfheal.model.workspace import HealPolicy

DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Rescue:
    """Why a lost slice may not be made anew, and why what runs there may not move; where that is empty, it may."""

    recreate: str
    rehome: str
    pause: float = 0.0  # seconds between two recreates, the provisioner's own back-off
    moves: Mapping[str, str] = field(default_factory=dict)  # the spare that each app on it would move to
    loses: str = ""  # of the data there: what comes back, and what does not, in words

    def hindrance(self, rung: Rung) -> str:
        """Return why a rung may not be taken; empty: it may."""
        return self.recreate if rung == "recreate" else self.rehome


@dataclass(frozen=True, slots=True)
class Return:
    """What would come back to an instance whose data is gone, and what would not, in words; or why nothing can."""

    words: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Situation:
    """What healing knows: the releases, what each app allows, the record, the policy and the time."""

    releases: Mapping[InstanceName, Release]
    allow: Mapping[str, tuple[Permission, ...]]
    incidents: tuple[Incident, ...]
    actions: tuple[ActionRecord, ...]
    policy: HealPolicy
    now: datetime
    storm: Storm | None = None
    retired: frozenset[str] = frozenset()  # slices that were given up, and on which nothing is meant to be
    rescues: Mapping[str, Rescue] = field(default_factory=dict)
    ways_back: Mapping[InstanceName, Back] = field(default_factory=dict)
    returns: Mapping[InstanceName, Return] = field(default_factory=dict)
