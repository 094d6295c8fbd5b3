"""What healing goes by, beside the diagnosis of the moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tfheal.core.heal.storm import Storm
from tfheal.model.playbook import Rung
from tfheal.model.record import ActionRecord, Incident
from tfheal.model.release import InstanceName, Release
from tfheal.model.workspace import HealPolicy

DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Situation:
    """What healing knows: the releases, what each app allows, the record, the policy and the time."""

    releases: Mapping[InstanceName, Release]
    allow: Mapping[str, tuple[Rung, ...]]
    incidents: tuple[Incident, ...]
    actions: tuple[ActionRecord, ...]
    policy: HealPolicy
    now: datetime
    storm: Storm | None = None
