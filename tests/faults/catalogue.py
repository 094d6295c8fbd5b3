"""The faults that there are, taken from the code of `tfheal lab break`."""

from tfheal.lab.breaking import Faults
from tfheal.model.lab import FaultKind


class _Silent:
    def say(self, message: str) -> None:
        """Tell nothing."""

    def step(self, where: str, what: str, done: int = 0, total: int = 0) -> None:
        """Tell nothing."""


def in_the_lab() -> dict[str, FaultKind]:
    """Return every fault that the lab can put in, by name."""
    return {kind.name: kind for kind in Faults(_Silent()).kinds()}
