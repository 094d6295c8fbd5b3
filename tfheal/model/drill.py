"""Drills: what an app spec's level allows, and what came of restoring a backup for practice."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from tfheal.base.exits import Exit

DrillState = Literal["passed", "damaged", "failed", "refused"]
_EXITS: Final[dict[DrillState, Exit]] = {
    "passed": Exit.OK,
    "damaged": Exit.HUMAN,
    "failed": Exit.FAILED,
    "refused": Exit.REFUSED,
}


@dataclass(frozen=True, slots=True)
class DrillStep:
    """One step of a drill on one slice: how long it took in seconds, whether it passed, and what was said."""

    slice: str
    name: str
    seconds: float
    passed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Drill:
    """How the drill of one backup ended; `seconds` is from its beginning until everything served, the RTO achieved.

    No backup: there was none to drill.
    """

    id: str
    app: str
    backup: str
    at: datetime
    state: DrillState
    seconds: float = 0.0
    steps: tuple[DrillStep, ...] = ()
    detail: str = ""

    @property
    def exit(self) -> Exit:
        """Return the exit code that this drill asks for."""
        return _EXITS[self.state]


@dataclass(frozen=True, slots=True)
class Practice:
    """How old the newest backup is that passed its drill, how long that took, and what the level allows, in seconds.

    None: no drill passed yet. `damaged` is what the last drill found, if it found damage.
    """

    drilled: float | None
    rto: float | None
    drilled_limit: float
    rto_limit: float
    steps: tuple[DrillStep, ...] = ()
    damaged: str = ""
