"""Round trips are the cost of everything, so they are counted where they are made."""

import threading
from contextlib import AbstractContextManager

from tfheal.model.inventory import Slice
from tfheal.model.ports import Exec, Reply, Transport


class Counted:
    """A transport that counts the execs of each slice."""

    def __init__(self, transport: Transport) -> None:
        """Wrap a transport."""
        self._transport = transport
        self._lock = threading.Lock()
        self.by_slice: dict[str, int] = {}

    @property
    def total(self) -> int:
        """Return the execs on all slices together."""
        return sum(self.by_slice.values())

    def reset(self) -> None:
        """Begin to count anew."""
        with self._lock:
            self.by_slice = {}

    def run(self, target: Slice, order: Exec) -> Reply:
        """Run as the wrapped transport does, and count it; what never reached the slice is not counted."""
        reply = self._transport.run(target, order)
        with self._lock:
            self.by_slice[target.name] = self.by_slice.get(target.name, 0) + 1
        return reply

    def bridge(self, near: Slice, far: Slice, port: int) -> AbstractContextManager[int]:
        """Lead from one slice to another as the wrapped transport does; nothing is run by that."""
        return self._transport.bridge(near, far, port)

    def close(self) -> None:
        """Close the wrapped transport."""
        self._transport.close()
