"""Ports: what flows need of the outside world, each as small as it can be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tfheal.base.secret import Secret
from tfheal.model.inventory import Slice


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back of one exec: capped bytes, its exit status, and how long it took."""

    stdout: bytes
    stderr: bytes
    status: int
    seconds: float
    truncated: bool = False


class Transport(Protocol):
    """The whole outside world of a slice."""

    def run(
        self, target: Slice, script: str, *, timeout: float, cap: int, on_line: Callable[[bytes], None] | None = None
    ) -> Reply:
        """Send a script of POSIX sh on stdin, as root, and return its reply.

        At most `cap` bytes of stdout and of stderr are kept; `on_line` is called with each complete line of stdout as
        it comes. Raise ConnectFailed, LoginFailed, ConnectionLost, HostKeyMismatch or RemoteTimeout.
        """

    def close(self) -> None:
        """Close every connection."""


class Clock(Protocol):
    """Time, so that everything else can be told what time it is."""

    def now(self) -> datetime:
        """Return the time now, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Vault(Protocol):
    """The secrets of the apps, encrypted at rest; versions count from 1."""

    def get(self, app: str, name: str, version: int) -> Secret:
        """Return that version of a secret; raise ConfigError if there is none."""

    def latest(self, app: str, name: str) -> int:
        """Return the newest version of a secret, 0 if there is none yet."""

    def make(self, app: str, name: str, length: int) -> int:
        """Make a new version of random letters and digits, and return its number."""

    def put(self, app: str, name: str, value: Secret) -> int:
        """Keep a given value as a new version, and return its number."""


class Templates(Protocol):
    """Text templates, sandboxed: an undefined name is an error."""

    def render(self, source: str, values: Mapping[str, object], where: str) -> str:
        """Return the rendered text; raise ConfigError that names `where` and the line."""


class Reporter(Protocol):
    """Progress for whoever watches: stderr, a bar on a terminal, a line now and then in a log."""

    def say(self, message: str) -> None:
        """Tell one thing that happened."""

    def step(self, where: str, what: str) -> None:
        """Tell what is under way at a place; replaces what that place said before."""


class InventoryBook(Protocol):
    """`inventory.toml` as a file that people write too: comments and order are kept."""

    def put_owner(self, name: str, contact: str) -> None:
        """Add an owner, if there is none of that name."""

    def put_slice(self, name: str, entry: Mapping[str, object]) -> None:
        """Add or replace `[slices.NAME]`."""

    def remove_slice(self, name: str) -> None:
        """Take `[slices.NAME]` out, if it is there."""


class HostKeys(Protocol):
    """`known_hosts` of the workspace: lines `SLICE-NAME TYPE KEY`, so that a pin does not depend on an address."""

    def pinned(self, name: str) -> tuple[str, ...]:
        """Return the pinned keys of a slice, each as `TYPE KEY`."""

    def pin(self, name: str, keys: tuple[str, ...]) -> None:
        """Replace the pinned keys of a slice."""

    def forget(self, name: str) -> None:
        """Drop the pinned keys of a slice."""
