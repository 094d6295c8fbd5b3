"""What the second store has of an app: how new it is, and how the last copy ended."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Copied:
    """The last copy to a second `store`; `reached` is the time of the data there that is newest and whole, None: nothing is.

    `detail` says why the last copy was not whole, if it was not.
    """

    app: str
    store: str
    at: datetime
    reached: datetime | None
    detail: str = ""
