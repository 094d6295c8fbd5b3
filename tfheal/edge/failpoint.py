"""Death at a chosen moment, so that tests can show what a crash leaves behind; without the variable there is none of it.

Counted is every write to the journal, to the leases and pauses in it and to the pinned keys, every command of a
provisioner, every page, and every exec on a slice: just before it, and of an exec that reports as it goes also when its
first line came. At the count that `TFHEAL_FAILPOINT` names, the process ends itself by SIGKILL. It may name what is done
instead, by how that begins (`provisioners, run`, `exec on s2`), or the step of an apply trip that has just begun (`venv:`).
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final

from tfheal.model.inventory import Slice
from tfheal.model.ports import Exec, Ports, Reply, Reporter, Transport

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
        "standings",
        "holder",
        "known",
        "pinned",
        "consistent",
        "last",
        "last_rollout",
        "took",
        "takes_version",
    ]
)


def mortal(ports: Ports, at: str) -> Ports:
    """Given the hands of a run, return them so that the run dies at a count of what they do (1 is the first), or by name."""
    failpoint = Failpoint(int(at)) if at.isdigit() else Failpoint(0, at)
    reporter = ports.reporter if at.isdigit() else MortalReporter(ports.reporter, failpoint)
    hands: dict[str, Any] = {
        name: MortalHand(name, getattr(ports, name), failpoint)
        for name in ("journal", "leases", "pauses", "keys", "provisioners", "notifier", "upgrades", "specs")
    }
    return replace(ports, transport=MortalTransport(ports.transport, failpoint), reporter=reporter, **hands)


class Failpoint:
    """Counts what is done, and ends this process at the one that was chosen."""

    def __init__(self, at: int, name: str = "") -> None:
        """Begin to count, or to wait for what is done by that name."""
        self._left = at
        self._name = name
        self._lock = threading.Lock()

    def reach(self, what: str) -> None:
        """Count one, or end here and say where that was."""
        with self._lock:
            self._left -= 1
            if self._left == 0 or (self._name and what.startswith(self._name)):
                sys.stderr.write(f"failpoint: {what}\n")
                sys.stderr.flush()
                os.kill(os.getpid(), signal.SIGKILL)


class MortalHand:
    """A port of which everything that is done is counted; what is not known to read counts as one that does."""

    def __init__(self, name: str, hand: object, failpoint: Failpoint) -> None:
        """Wrap a port."""
        self._name = name
        self._hand = hand
        self._failpoint = failpoint

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the port has
        """Return what the port has; it is counted as it is taken hold of, which is just before it is called."""
        if name not in _READS:
            self._failpoint.reach(f"{self._name}, {name}")
        return getattr(self._hand, name)


class MortalReporter:
    """A reporter of which every step that begins is a moment to die at, by its name."""

    def __init__(self, reporter: Reporter, failpoint: Failpoint) -> None:
        """Wrap a reporter."""
        self._reporter = reporter
        self._failpoint = failpoint

    def say(self, message: str) -> None:
        """Tell one thing that happened."""
        self._failpoint.reach(message)
        self._reporter.say(message)

    def step(self, where: str, what: str, done: int = 0, total: int = 0) -> None:
        """Tell what is under way at a place, unless it is to be the last that is done."""
        self._failpoint.reach(what)
        self._reporter.step(where, what, done, total)


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

    def bridge(self, near: Slice, far: Slice, port: int) -> AbstractContextManager[int]:
        """Lead from one slice to another as the wrapped transport does."""
        self._failpoint.reach(f"bridge from {near.name}")
        return self._transport.bridge(near, far, port)

    def close(self) -> None:
        """Close the wrapped transport."""
        self._transport.close()
