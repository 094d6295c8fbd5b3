"""Death at a chosen moment, so that tests can show what a crash leaves behind; without the variable there is none of it.

Counted is every write to the journal and every exec on a slice: just before it, and of an exec that reports as it goes
also when its first line came. At the count that `TFHEAL_FAILPOINT` names, the process ends itself by SIGKILL.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, cast

from tfheal.model.inventory import Slice
from tfheal.model.ports import Exec, Journal, Ports, Reply, Transport

_READS: Final = frozenset(
    [
        "new_id",
        "actions",
        "apps",
        "apps_by_slice",
        "unfinished",
        "release",
        "deployed",
        "incidents",
        "placement",
        "silences",
        "health_since",
    ]
)


def mortal(ports: Ports, at: int) -> Ports:
    """Given the hands of a run, return them so that the run dies at a count of what they do; 1 is the first."""
    failpoint = Failpoint(at)
    journal = cast("Journal", MortalJournal(ports.journal, failpoint))
    return replace(ports, journal=journal, transport=MortalTransport(ports.transport, failpoint))


class Failpoint:
    """Counts what is done, and ends this process at the one that was chosen."""

    def __init__(self, at: int) -> None:
        """Begin to count."""
        self._left = at
        self._lock = threading.Lock()

    def reach(self, what: str) -> None:
        """Count one, or end here and say where that was."""
        with self._lock:
            self._left -= 1
            if self._left == 0:
                sys.stderr.write(f"failpoint: {what}\n")
                sys.stderr.flush()
                os.kill(os.getpid(), signal.SIGKILL)


class MortalJournal:
    """A journal of which every write is counted; what is not known to read counts as one that writes."""

    def __init__(self, journal: Journal, failpoint: Failpoint) -> None:
        """Wrap a journal."""
        self._journal = journal
        self._failpoint = failpoint

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the journal has
        """Return what the journal has; a write is counted as it is taken hold of, which is just before it is called."""
        if name not in _READS:
            self._failpoint.reach(f"journal, {name}")
        return getattr(self._journal, name)


class MortalTransport:
    """A transport of which every exec is counted."""

    def __init__(self, transport: Transport, failpoint: Failpoint) -> None:
        """Wrap a transport."""
        self._transport = transport
        self._failpoint = failpoint

    def run(self, target: Slice, order: Exec) -> Reply:
        """Run as the wrapped transport does, and count it before, and when its first line came."""
        self._failpoint.reach(f"exec on {target.name}")
        heard = self._counting(target, order.on_line) if order.on_line is not None else None
        return self._transport.run(target, replace(order, on_line=heard))

    def _counting(self, target: Slice, on_line: Callable[[bytes], None]) -> Callable[[bytes], None]:
        begun = False

        def hear(line: bytes) -> None:
            nonlocal begun
            if not begun:
                begun = True
                self._failpoint.reach(f"first line from {target.name}")
            on_line(line)

        return hear

    def close(self) -> None:
        """Close the wrapped transport."""
        self._transport.close()
