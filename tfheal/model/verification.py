"""What reading the repositories of an app came to: whether what is stored is whole, and how long ago all of it was read."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tfheal.base.exits import Exit

SHARES: Final = 7  # one is read each time, so that a week of days reads everything
WHOLE: Final = 0  # the share that is everything


@dataclass(frozen=True, slots=True)
class Verification:
    """One reading of the repository of an app on one slice: its structure, and a share of its payload.

    What is not sound names the snapshots and files that it `touched`; `unknown` counts snapshots that we know nothing of.
    """

    app: str
    slice: str
    at: datetime
    share: int
    sound: bool
    paged: bool = False
    unknown: int = 0
    detail: str = ""
    touched: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verified:
    """What became of the verification of one repository, or why there was none."""

    app: str
    slice: str
    verification: Verification | None = None
    refused: str = ""
    exit: Exit = Exit.OK


@dataclass(frozen=True, slots=True)
class Proof:
    """How long ago, in seconds, the structure and all of the payload were read and sound; None: never. And the limits."""

    structure: float | None
    payload: float | None
    structure_limit: float
    payload_limit: float
