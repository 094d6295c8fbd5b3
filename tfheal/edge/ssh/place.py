"""A place among those at work: taken at a server's first word, so that slices that say nothing keep no other waiting."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tfheal.edge.ssh.dial import Line

_MILLISECONDS: Final = 1_000


class Place:
    """The place of one script; it is taken at most once, and kept until it is left."""

    def __init__(self, free: threading.Semaphore) -> None:
        """Remember where places come from; none is taken yet."""
        self._free = free
        self._taken = False

    def take(self) -> None:
        """Wait for a place, unless it is taken already."""
        if not self._taken:
            self._free.acquire()
            self._taken = True

    def leave(self) -> None:
        """Give the place back, if it was taken."""
        if self._taken:
            self._taken = False
            self._free.release()


class Places:
    """So many places for all threads of a run."""

    def __init__(self, count: int) -> None:
        """Take the number."""
        self._free = threading.BoundedSemaphore(count)

    @contextmanager
    def one(self) -> Iterator[Place]:
        """Yield a place that can be taken, and leave it at the end."""
        place = Place(self._free)
        try:
            yield place
        finally:
            place.leave()


def first_word(line: Line, timeout: float) -> None:
    """Given an open way to a server, wait until it says something or hangs up; raise TimeoutError after so many seconds."""
    if isinstance(line.socket, socket.socket):
        waiting = select.poll()
        waiting.register(line.socket, select.POLLIN)
        spoke = bool(waiting.poll(timeout * _MILLISECONDS))
    else:
        event = threading.Event()
        line.socket.in_buffer.set_event(event)  # set by the library when data or the end comes
        spoke = event.wait(timeout)
    if not spoke:
        line.cut()
        line.socket.close()
        msg = f"no SSH banner in {timeout:g} s"
        raise TimeoutError(msg)
