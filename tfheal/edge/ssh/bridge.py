"""A bridge from one slice to another, through us: neither holds a credential of the other, nor reaches it by itself.

Bytes pass and are not kept: what is under way is bounded by the window of each channel, so a slow side slows the other
down, and memory stays flat however much passes. A connection too many is hung up on.
"""

import threading
from contextlib import suppress
from typing import Final

import paramiko

from tfheal.edge.ssh.session import LOOPBACK, Session

_MOST: Final = 16  # connections at a time; restic has five, and a few that are about to end
_PIECE: Final = 1 << 16


def bridged(near: Session, far: Session, port: int, patience: float) -> int:
    """Given two connections, have the one lead on to a port of the other's loopback while both are open; return where.

    Raise ConnectionLost, or ActionFailed where nothing may be forwarded.
    """
    room = threading.BoundedSemaphore(_MOST)

    def carry(channel: paramiko.Channel) -> None:
        try:
            with suppress(OSError, EOFError, paramiko.SSHException):
                _join(channel, far.tunnel((LOOPBACK, port), patience))
        finally:
            _hang_up(channel)
            room.release()

    def lead(channel: paramiko.Channel, _origin: tuple[str, int], _here: tuple[str, int]) -> None:
        # The thread that calls this is the one by which everything on that connection comes: it has to go on.
        if room.acquire(blocking=False):
            threading.Thread(target=carry, args=(channel,), name=f"bridge to {port}", daemon=True).start()
        else:
            _hang_up(channel)

    return near.listen(lead)


def _join(one: paramiko.Channel, other: paramiko.Channel) -> None:
    """Pass on what comes on each side to the other one, until both have ended."""
    back = threading.Thread(target=_pour, args=(other, one), name="bridge back", daemon=True)
    back.start()
    _pour(one, other)
    back.join()
    _hang_up(other)


def _pour(source: paramiko.Channel, sink: paramiko.Channel) -> None:
    try:
        while piece := source.recv(_PIECE):
            sink.sendall(piece)
        sink.shutdown_write()
    except (OSError, EOFError, paramiko.SSHException):  # one is gone: who waits on the other is woken
        _hang_up(source)
        _hang_up(sink)


def _hang_up(channel: paramiko.Channel) -> None:
    with suppress(OSError, EOFError, paramiko.SSHException):
        channel.close()
