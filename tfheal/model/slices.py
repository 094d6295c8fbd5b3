"""What `tfheal slice` is asked for and what it finds: words that its flow, its probe and its tables share."""

from collections.abc import Mapping
from dataclasses import dataclass

from tfheal.model.inventory import Slice


@dataclass(frozen=True, slots=True)
class Platform:
    """A machine's operating system, as far as it decides whether tfheal can manage it; empty is not said."""

    uid: str
    init: str
    systemd: int
    machine: str
    system: str
    like: str
    version: str
    title: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A slice to be added, as the command line says it; `fingerprint` is the one that its owner told."""

    name: str
    owner: str
    contact: str
    entry: Mapping[str, object]
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Added:
    """A slice that was added, the host key that was pinned, and what it is."""

    slice: Slice
    key: str
    platform: Platform
    reservations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trusted:
    """The host keys that were pinned for a slice, and the one that is now."""

    slice: str
    before: tuple[str, ...]
    key: str


@dataclass(frozen=True, slots=True)
class Login:
    """What the OpenSSH client is told beside the inventory's words: the resolved user and key file, and the pins."""

    user: str
    key: str | None
    known_hosts: str
