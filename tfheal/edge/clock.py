"""The one place that asks the machine what time it is; everything else is told."""

import time
from datetime import UTC, datetime


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """Return the time now, aware, in UTC."""
        return datetime.now(UTC)  # noqa: TID251 - this is where `now` comes from

    def monotonic(self) -> float:
        """Return seconds that never go back, the same for every process since this machine booted."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait; nothing for zero or less."""
        if seconds > 0:
            time.sleep(seconds)
