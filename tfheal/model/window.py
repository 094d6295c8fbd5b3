"""Maintenance windows: when work that is planned may begin, as people write it, and what waits for one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, StringConstraints

from tfheal.base.moments import rfc3339
from tfheal.model.names import Duration, Strict

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEK: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _zone(written: str) -> str:
    try:
        ZoneInfo(written)
    except (KeyError, ValueError, OSError):
        msg = "a zone is a name of IANA's that this machine's tzdata knows: UTC, Europe/Brussels, America/New_York"
        raise ValueError(msg) from None
    return written


Zone = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_+/-]{0,60}$"), AfterValidator(_zone)]


class Window(Strict):
    """When planned work may begin and has to end; healing, backups and verification wait for none."""

    days: tuple[Day, ...] = Field(default=WEEK, min_length=1, description="the days on which it opens")
    start: str = Field(
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$",
        description="when it opens, by the clocks of its zone, in quotes",
        examples=["02:00"],
    )
    duration: Duration = Field(ge=60, le=604_800, description="how long it is open, as time passes", examples=["3h"])
    timezone: Zone = Field(default="UTC", description="a zone of IANA's", examples=["Europe/Brussels"])

    @property
    def zone(self) -> ZoneInfo:
        """Return the zone that its times are of, and those that people write for its apps without an offset."""
        return ZoneInfo(self.timezone)


@dataclass(frozen=True, slots=True)
class Opening:
    """One time that a window is open: from, and until before."""

    opens: datetime
    closes: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """What of an app is due and waits for its window: till when, which is when the window opens or it waited long enough."""

    app: str
    what: Literal["drill", "prune", "upgrade", "patch"]
    until: datetime

    @property
    def words(self) -> str:
        """Return it as a message has it."""
        return f"its {self.what} is due and waits for the window, till {rfc3339(self.until)}"
