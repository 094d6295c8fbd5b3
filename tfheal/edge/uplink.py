"""Our own way to the slices: whether machines that have nothing to do with them can be reached from here."""

import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tfheal.model.workspace import host_and_port

PATIENCE: Final = 5.0  # seconds; an overlay learns a route in less (Mycelium's own request window is 15 s at most)


class TcpUplink:
    """The uplink port by plain TCP connections, which are closed at once."""

    def answering(self, peers: Sequence[str]) -> tuple[str, ...]:
        """Given machines of others, each `HOST:PORT`, return those that take a TCP connection from here."""
        if not peers:
            return ()
        with ThreadPoolExecutor(len(peers)) as pool:
            return tuple(peer for peer, answers in zip(peers, pool.map(_answers, peers), strict=True) if answers)


def _answers(peer: str) -> bool:
    try:
        socket.create_connection(host_and_port(peer), timeout=PATIENCE).close()
    except (OSError, UnicodeError):  # a name that cannot be encoded is one that does not resolve
        return False
    return True
