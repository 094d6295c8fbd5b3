"""What a tick did: each thing that was due with its end, and what a dead-man switch is told of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from tfheal.base.exits import Exit, winning
from tfheal.model.patches import PatchRun
from tfheal.model.results import Healing
from tfheal.model.upgrade import Upgraded

Signal = Literal["start", "success", "fail", "log"]
_FAILED: Final = frozenset({Exit.FAILED, Exit.HUMAN, Exit.USAGE, Exit.BUG})


@dataclass(frozen=True, slots=True)
class Part:
    """How one thing that was due ended; `idle` says that it did nothing of its own: locked out, or nobody to be asked."""

    exit: Exit
    summary: str
    acted: bool = False
    idle: bool = False
    healing: Healing | None = None
    upgraded: Upgraded | None = None
    patched: PatchRun | None = None
    refused: Mapping[str, str] = field(
        default_factory=dict
    )  # by app or slice: what stood in the way; it may quote a slice


@dataclass(frozen=True, slots=True)
class Tick:
    """What was due and how each ended, who held the tick's own lease, and what became of the pings."""

    parts: Mapping[str, Part]
    locked: str = ""
    unsent: str = ""

    @property
    def exit(self) -> Exit:
        """Return the exit code of the worst part."""
        return Exit.REFUSED if self.locked else winning(part.exit for part in self.parts.values())

    @property
    def signal(self) -> Signal:
        """Return what the dead-man switch is told: what was locked out or asked nobody is no success, and no failure."""
        if self.exit in _FAILED:
            return "fail"
        return "log" if self.locked or any(part.idle for part in self.parts.values()) else "success"

    @property
    def summary(self) -> str:
        """Return the whole in a few lines."""
        lines = [f"{name}: {part.summary}" for name, part in self.parts.items()]
        return "\n".join([f"exit {int(self.exit)}", *([self.locked] if self.locked else []), *lines])
