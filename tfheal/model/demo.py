"""The demo's nouns: its steps, and the ports it needs besides those of every app and of the lab."""

from dataclasses import dataclass
from typing import Any, Protocol

from tfheal.base.secret import Secret


@dataclass(frozen=True, slots=True)
class DemoSpec:
    """What the demo is to be: the name of its lab, how many slices, and whether both apps are shown."""

    lab: str
    slices: int
    full: bool = False


class FileClient(Protocol):
    """What a customer does with a file store."""

    def put(self, url: str, user: str, password: Secret, data: bytes) -> None:
        """Upload a file; raise ActionFailed if it was not taken."""

    def get(self, url: str, user: str, password: Secret) -> bytes:
        """Return a file's content; raise ActionFailed if it was not given."""


@dataclass(frozen=True, slots=True)
class RpcLogin:
    """Who is logged in where: the session opens the door, so it is a secret."""

    url: str
    session: Secret


class RpcClient(Protocol):
    """What a user of an app with a JSON-RPC interface does."""

    def login(self, url: str, user: str, password: Secret) -> RpcLogin:
        """Log in; raise ActionFailed if that is refused."""

    def call(self, login: RpcLogin, method: str, *words: object) -> Any:  # noqa: ANN401 (what a method answers is its own)
        """Call a method and return what it answers; raise ActionFailed if it is refused."""


@dataclass(frozen=True, slots=True)
class DemoStep:
    """One thing that the demo did, what came of it, and how many seconds it took."""

    what: str
    outcome: str
    seconds: float
