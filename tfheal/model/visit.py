"""What is seen of the world outside from this machine: public names as a visitor meets them, and whether our own way works."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Visit:
    """The addresses of a name by what this machine resolves, and the status at one of its URLs; 0: nothing answered.

    Without an address, or an answer, `why` says why; `refused` is what somebody there did not want.
    """

    addresses: tuple[str, ...] = ()
    url: str = ""
    status: int = 0
    why: str = ""
    refused: bool = False


class Visitor(Protocol):
    """The world outside, as visitors see it from this machine."""

    def visited(self, names: Mapping[str, Sequence[str]]) -> Callable[[], Mapping[str, Visit]]:
        """Given names and of each its URLs, the likeliest first, begin to ask for all; return what waits for the answers, not for long."""


class Uplink(Protocol):
    """Our own way to the slices."""

    def answering(self, peers: Sequence[str]) -> tuple[str, ...]:
        """Given machines of others, each `HOST:PORT`, return those that take a TCP connection from here."""
