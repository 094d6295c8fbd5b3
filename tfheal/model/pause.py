"""A pause: a person says that for a while nothing is to be done to an app, or on a slice. Looking goes on.

It is kept in the provider's journal, and on the slices that it concerns as a file of `/var/lib/tfheal/pause.d`, so that
a colleague's workspace and the slice itself see it too.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tfheal.base.exits import Exit, winning
from tfheal.base.moments import rfc3339

PauseKind = Literal["app", "slice"]


@dataclass(frozen=True, slots=True)
class Pause:
    """One pause; `name` is the app or the slice, `until` None is an end that nobody knows, `lifted` ended it before.

    One that only a slice tells of holds `on` that slice and nowhere else: no owner stops what runs for another.
    """

    id: str
    kind: PauseKind
    name: str
    since: datetime | None
    until: datetime | None
    who: str
    why: str
    lifted: datetime | None = None
    on: str | None = None

    def holds(self, now: datetime) -> bool:
        """Return whether it stands at that time; it ends by itself."""
        return self.lifted is None and (self.until is None or now < self.until)

    def concerns(self, app: str, slice_name: str) -> bool:
        """Return whether an instance of that app on that slice is to be left alone."""
        here = self.on is None or self.on == slice_name
        return here and self.name == (app if self.kind == "app" else slice_name)

    @property
    def words(self) -> str:
        """Return what it is, and its terms."""
        return f"paused {self.terms}"

    @property
    def terms(self) -> str:
        """Return by whom, since and until when and why it stands, and what lifts it."""
        target = self.name if self.kind == "app" else f"slice:{self.name}"
        since = f" since {rfc3339(self.since)}" if self.since else ""
        until = rfc3339(self.until) if self.until else "somebody lifts it"
        why = f": {self.why}" if self.why else ""
        return f"by {self.who or 'nobody knows whom'}{since} until {until}{why} (tfheal resume {target} lifts it)"


@dataclass(frozen=True, slots=True)
class Place:
    """What became of the file of a pause on one slice; `idle` is that there was none to remove."""

    slice: str
    outcome: Literal["done", "idle", "owner", "failed", "unreached"]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Paused:
    """A pause that was made or ended, how many of the journal's stood, and what became of its file on each slice."""

    pause: Pause
    stood: int
    places: tuple[Place, ...]

    @property
    def exit(self) -> Exit:
        """Return the exit code: in the journal it holds in any case; what no file says is told."""
        codes = {"failed": Exit.FAILED, "unreached": Exit.UNKNOWN}
        return winning(codes.get(place.outcome, Exit.OK) for place in self.places)
