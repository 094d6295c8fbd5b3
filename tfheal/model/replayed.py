"""How far the changes of a server are stored and come back."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Handed:
    """Whether a server handed over all that it had changed, whether it `lives`, and since when what it did not is missing.

    None: nobody knows since when.
    """

    whole: bool
    lives: bool
    since: datetime | None = None

    def lacks(self, at: datetime | None) -> bool:
        """Return whether something of before a moment may be missing; None: of before now."""
        return not self.whole and (at is None or self.since is None or at > self.since)


@dataclass(frozen=True, slots=True)
class Replayed:
    """How far the changes of a server were replayed: to the last that was stored or not, and when the last one was made.

    `lacking` says what is missing of what was asked for, as its server did not hand it over.
    """

    whole: bool
    last: str
    lacking: str = ""
