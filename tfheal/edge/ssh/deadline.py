"""A moment after which nobody waits any more, so that several steps share one time limit."""

import time


class Deadline:
    """So many seconds from now."""

    def __init__(self, seconds: float) -> None:
        """Start counting."""
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left, never less than none."""
        return max(0.0, self._end - time.monotonic())

    def passed(self) -> bool:
        """Return whether none are left."""
        return self.left() <= 0.0
