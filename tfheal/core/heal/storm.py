"""The storm guard: when much of the fleet looks down at once, it is more likely that we lost sight of it.

The share and the least number are near those at which Kubernetes slows its evictions and its autoscaler halts (55 % or
45 %, and three), and more careful. What a round did not get to ask counts for nothing, neither as down nor as up.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from tfheal.model.facts import Observation, Unasked
from tfheal.model.findings import Diagnosis, Finding
from tfheal.model.playbook import Rung
from tfheal.model.record import ActionRecord

EVERYWHERE: Final = "*"  # the place of what is wrong with no single slice
RESCUES: Final[frozenset[Rung]] = frozenset({"recreate", "rehome"})
LEAST: Final = 3
HOUR: Final = timedelta(hours=1)
_SHARE: Final = 3  # more than one of so many
_TENTH: Final = 10
_DOWN: Final = frozenset({"unreachable", "login-refused", "host-key-changed"})
_UNTOLD: Final = frozenset({"deadline", "not-checked", "no-pin"})


@dataclass(frozen=True, slots=True)
class Storm:
    """Much of the fleet looks down: how many slices of how many, and which of the reference peers answered."""

    down: int
    asked: int
    peers: tuple[str, ...] = ()
    answering: tuple[str, ...] = ()

    @property
    def freezes(self) -> bool:
        """Return whether it may be our own uplink: then nothing is healed."""
        return not self.answering

    @property
    def words(self) -> str:
        """Return what is seen, in words."""
        told = f"{self.down} of {self.asked} slices look down"
        if self.answering:
            return f"{told}, and {self.answering[0]} answers: it is they, not our uplink"
        return told + (", and no reference peer answers" if self.peers else ", and [uplink] names no reference peers")


def suspected(seen: Mapping[str, Observation]) -> Storm | None:
    """Given what was seen by slice, return the storm if more than a third of the slices, and three, look down."""
    told = [one for one in seen.values() if not (isinstance(one, Unasked) and one.cause in _UNTOLD)]
    down = sum(isinstance(one, Unasked) and one.cause in _DOWN for one in told)
    return Storm(down, len(told)) if down >= LEAST and down * _SHARE > len(told) else None


def silent(seen: Mapping[str, Observation]) -> frozenset[str]:
    """Given what was seen by slice, return the slices that look down."""
    return frozenset(name for name, one in seen.items() if isinstance(one, Unasked) and one.cause in _DOWN)


def told(diagnosis: Diagnosis, storm: Storm | None) -> Diagnosis:
    """Given a diagnosis and the storm, return it with a finding for a human if healing has to freeze."""
    if storm is None or not storm.freezes:
        return diagnosis
    finding = Finding("storm", "critical", EVERYWHERE, f"{storm.words}: healing is frozen", entry="page")
    return replace(diagnosis, findings=(*diagnosis.findings, finding))


def hourly(storm: Storm, actions: Iterable[ActionRecord]) -> str:
    """Given a storm and the actions of the last hour, return why no further slice may be given up, if so."""
    given_up = {(action.slice, action.started) for action in actions if action.verb in RESCUES}
    most = max(1, storm.asked // _TENTH)
    if len(given_up) < most:
        return ""
    return f"the storm guard allows {most} an hour while {storm.words}"
