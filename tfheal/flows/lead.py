"""The lease of an app among its slices: who acts on one of several first has a lock on each of them that answers.

The lock that an apply trip takes says nothing of other slices, so two workspaces could act on two slices of one app. So a
run that acts on such an app keeps a vigil on each slice, an exec that holds a lock there and says so every few seconds.
They are begun with the first action, in the order of the slices' names, and end with the run's hold on the app. Which
slices cannot be reached keep nobody from acting on the others: two runs exclude each other by any slice that both reach.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from tfheal.base.errors import Refused, TfhealError
from tfheal.core import lease
from tfheal.model.inventory import Inventory, Slice
from tfheal.model.lease import SILENCE
from tfheal.model.ports import Exec, JournalLeases, Ports
from tfheal.model.record import LeaseHolder

_LONGEST: Final = 86_400.0  # seconds; no run is meant to take that long
_CAP: Final = 4 << 20  # a word every two seconds for a day, and more
_FIRST: Final = SILENCE + 5.0  # seconds until its first word, which may have to wait for a holder who is silent
_PARTING: Final = 2.0  # seconds that a vigil may take to let go; without it the slice sees to that


class AppLeases:
    """The leases port: what the journal keeps, and the vigils on the slices of an app that has several."""

    def __init__(self, leases: JournalLeases, inventory: Inventory, ports: Ports) -> None:
        """Add vigils to leases that a journal keeps."""
        self._leases = leases
        self._inventory = inventory
        self._ports = ports
        self._held: dict[str, _Among] = {}

    @contextmanager
    def hold(self, app: str, what: str, run: str) -> Iterator[None]:
        """Hold the lease of an app while the context lasts; raise Refused that says who holds it, or who took it."""
        with self._leases.hold(app, what, run):
            among = _Among(app, f"{self._ports.writer}, {what} of {app}, run {run}", self._inventory, self._ports)
            self._held[app] = among
            try:
                yield
            finally:
                del self._held[app]
                among.let_go()

    def check(self, app: str, run: str) -> None:
        """Before each action: raise Refused if the lease that the run holds was lost to another."""
        self._leases.check(app, run)

    def holder(self, app: str) -> LeaseHolder | None:
        """Return who holds it now, if anybody alive does."""
        return self._leases.holder(app)

    def lead(self, app: str) -> str:
        """Have a vigil on each slice of an app that has several; return who else was at work until just now, if so.

        Raise Refused if another is at work.
        """
        among = self._held.get(app)
        return among.lead() if among else ""


class _Among:
    """The vigils of a run on the slices of one app; None is one that could not be asked, and is not asked again."""

    def __init__(self, app: str, who: str, inventory: Inventory, ports: Ports) -> None:
        """Begin without any."""
        self._app = app
        self._who = who
        self._inventory = inventory
        self._ports = ports
        self._vigils: dict[str, _Vigil | None] = {}
        self._lock = threading.Lock()

    def lead(self) -> str:
        """Have one on each slice; return who was at work until just now; raise Refused if another is.

        By name until one is held, and then the others at once: of two who begin together one has the first, and goes on.
        """
        with self._lock:
            wanted = [target for target in self._slices() if self._is_wanted(target)]
            while wanted:
                together = wanted if self._holds_one() else wanted[:1]
                begun = {target.name: _Vigil(target, self._who, self._app, self._ports) for target in together}
                self._vigils.update(begun)
                words = {name: vigil.first() for name, vigil in begun.items()}
                self._vigils.update({name: vigil if words[name] else None for name, vigil in begun.items()})
                for name, word in words.items():
                    if word and word.state == "busy":
                        raise Refused(f"another run is at work on {self._app}", where=name, why=word.who)
                if late := next((word for word in words.values() if word and word.state == "late"), None):
                    return late.who
                wanted = wanted[len(together) :]
        return ""

    def let_go(self) -> None:
        """End all of them."""
        vigils = [vigil for vigil in self._vigils.values() if vigil]
        for vigil in vigils:
            vigil.end()
        for vigil in vigils:
            vigil.join()

    def _is_wanted(self, target: Slice) -> bool:
        """Return whether a slice is to be asked: its lock is not ours, or not any more, and it was not out of reach."""
        vigil = self._vigils.get(target.name)
        return not vigil.stands() if vigil else target.name not in self._vigils

    def _holds_one(self) -> bool:
        return any(vigil and vigil.stands() for vigil in self._vigils.values())

    def _slices(self) -> list[Slice]:
        names = {item.instance.slice for item in self._ports.journal.deployed(self._app)}
        # Who was silent when it was asked last is not waited for: 20 s each, before anything is done.
        known = sorted(names & self._inventory.slices.keys() - self._ports.journal.silences().keys())
        return [self._inventory.slice(name) for name in known] if len(names) > 1 else []


class _Vigil:
    """One exec that holds the lock of an app on a slice, and what it said last."""

    def __init__(self, target: Slice, who: str, app: str, ports: Ports) -> None:
        """Begin."""
        self._clock = ports.clock
        self._marker = ports.marker()
        self._word: lease.Word | None = None
        self._heard = 0.0
        self._over = False
        self._told = threading.Event()
        order = Exec(
            lease.vigil(app, who, self._marker),
            timeout=_LONGEST,
            cap=_CAP,
            on_line=self._hear,
            beats=True,
            over=lambda: self._over,
        )
        self._thread = threading.Thread(
            target=self._keep, args=(ports, target, order), name=f"vigil on {target.name}", daemon=True
        )
        self._thread.start()

    def first(self) -> lease.Word | None:
        """Wait for its first word and return it; None if there is none: out of reach, or what it says cannot be read."""
        self._told.wait(_FIRST)
        if self._word is None:
            self.end()
        return self._word

    def stands(self) -> bool:
        """Return whether the lock is ours, as far as was heard not too long ago."""
        held = self._word is not None and self._word.state == "held" and self._thread.is_alive()
        return held and self._clock.monotonic() - self._heard < SILENCE

    def end(self) -> None:
        """Begin to let go."""
        self._over = True

    def join(self) -> None:
        """Wait until the lock is free, not for ever."""
        self._thread.join(_PARTING)

    def _keep(self, ports: Ports, target: Slice, order: Exec) -> None:
        # Of a slice that cannot be asked the action itself tells, if it is to go there.
        with suppress(TfhealError):
            ports.transport.run(target, order)
        self._told.set()

    def _hear(self, line: bytes) -> None:
        if word := lease.word(line, self._marker):
            self._heard = self._clock.monotonic()
            self._word = self._word or word
            self._told.set()
