"""The demo's nouns: its steps, and the ports it needs besides those of every app and of the lab."""

from dataclasses import dataclass
from typing import Protocol

from tfheal.base.secret import Secret


class FileClient(Protocol):
    """What a customer does with a file store."""

    def put(self, url: str, user: str, password: Secret, data: bytes) -> None:
        """Upload a file; raise ActionFailed if it was not taken."""

    def get(self, url: str, user: str, password: Secret) -> bytes:
        """Return a file's content; raise ActionFailed if it was not given."""


@dataclass(frozen=True, slots=True)
class DemoStep:
    """One thing that the demo did, what came of it, and how many seconds it took."""

    what: str
    outcome: str
    seconds: float
