"""What owners are told of: planned work on what is theirs, before it and after it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

Stage = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Work:
    """Planned work: on which apps and slices, what is done, and what people will notice of it."""

    what: Literal["upgrade", "rollback", "patch", "reboot"]
    apps: tuple[str, ...]
    slices: tuple[str, ...]
    detail: str
    interruption: str


class Notices(Protocol):
    """Tells owners what is done on what is theirs."""

    def tell(self, message: Mapping[str, object]) -> None:
        """Send a message by the provider's route; raise ActionFailed if it did not get out."""
