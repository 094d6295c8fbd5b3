"""A route: which host name a gateway leads to which servers; one app each, as the gateway's own template sees it."""

from dataclasses import dataclass
from typing import Final

GATEWAY: Final = "gateway"  # the playbook that routes are rendered for


@dataclass(frozen=True, slots=True)
class Server:
    """One instance as a gateway sees it: the name of its slice, and where that answers."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Route:
    """One app behind a gateway: its host name, the port and the path of health of each of its servers."""

    app: str
    host: str
    port: int
    health: str
    servers: tuple[Server, ...]
