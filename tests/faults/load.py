"""The load: a client that writes and reads twice a second, from outside tfheal, and keeps account of what it was told.

Each write has a number; one that the application acknowledged is in the ledger, and is read again at the end. A write
that was not acknowledged is a failed request, and nothing was promised about it.
"""

import http.client
import json
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, Self

from customer import Customer
from running_lab import RunningLab
from tryton_user import TrytonUser

EVERY: Final = 0.5  # seconds from one write and read to the next
PATIENCE: Final = 3.0  # seconds after which a client takes a request for failed
_STEADY: Final = 3  # writes and reads in a row that went well: the service is back
_WENT_WRONG: Final = (OSError, AssertionError, http.client.HTTPException, ValueError)


class Work(Protocol):
    """What a client does with an application, by its real protocol."""

    def write(self, number: int) -> None:
        """Store something that only this number has; return once it is acknowledged."""

    def read(self, number: int) -> None:
        """Read what was stored under a number; raise AssertionError if it is not that."""

    def lost(self, numbers: Collection[int]) -> list[int]:
        """Return those of the acknowledged numbers that cannot be read as they were written."""


@dataclass(frozen=True, slots=True)
class FilesWork:
    """Uploads and downloads over HTTP."""

    customer: Customer
    prefix: str

    @classmethod
    def of(cls, lab: RunningLab, name: str, app: str, prefix: str) -> "FilesWork":
        """Return the work of a customer of the app on a slice."""
        customer = Customer.of(lab, name, app)
        return cls(Customer(customer.url, customer.password, PATIENCE), prefix)

    def write(self, number: int) -> None:
        """Upload a file."""
        self.customer.put(self._name(number), self._content(number))

    def read(self, number: int) -> None:
        """Download a file and compare it."""
        assert self.customer.get(self._name(number)) == self._content(number)

    def lost(self, numbers: Collection[int]) -> list[int]:
        """Download each file."""
        return [number for number in numbers if not self._is_there(number)]

    def _is_there(self, number: int) -> bool:
        for _ in range(3):
            with suppress(*_WENT_WRONG):
                self.read(number)
                return True
        return False

    def _name(self, number: int) -> str:
        return f"{self.prefix}-{number}.txt"

    def _content(self, number: int) -> bytes:
        return f"{self.prefix} {number}\n".encode() * 100


@dataclass(slots=True)
class TrytonWork:
    """Parties that are made and read over JSON-RPC, at one of the web servers."""

    url: str
    password: str
    prefix: str
    parties: dict[int, int] = field(default_factory=dict)
    user: TrytonUser | None = None

    @classmethod
    def of(cls, lab: RunningLab, name: str, app: str, prefix: str) -> "TrytonWork":
        """Return the work of a user of the app who is at the web server of a slice."""
        shown = json.loads(lab.run("secret", "show", app, "admin_password", "--json").stdout)
        return cls(f"http://[{lab.address(name)}]:8000/{app}/", shown["value"], prefix)

    def write(self, number: int) -> None:
        """Make a party."""
        (self.parties[number],) = self._call("model.party.party.create", [{"name": self._name(number)}])

    def read(self, number: int) -> None:
        """Read a party and compare its name."""
        (said,) = self._call("model.party.party.read", [self.parties[number]], ["name"])
        assert said["name"] == self._name(number)

    def lost(self, numbers: Collection[int]) -> list[int]:
        """Search for all parties of ours, and compare."""
        found = self._call(
            "model.party.party.search_read", [["name", "like", f"{self.prefix} %"]], 0, None, None, ["name"]
        )
        names = {each["id"]: each["name"] for each in found}
        return [number for number in numbers if names.get(self.parties[number]) != self._name(number)]

    def _call(self, method: str, *words: object) -> Any:  # noqa: ANN401 (what a method answers is its own)
        user = self.user or TrytonUser.login(self.url, self.password, PATIENCE)
        self.user = None  # whoever is refused, or hears nothing, logs in again
        said = user.call(method, *words)
        self.user = user
        return said

    def _name(self, number: int) -> str:
        return f"{self.prefix} {number}"


@dataclass(frozen=True, slots=True)
class Turn:
    """One write and one read: when it began and ended, how many of the two failed, and why."""

    begun: float
    ended: float
    failed: int
    why: str = ""


class Load:
    """A client at work while its block lasts."""

    def __init__(self, work: Work) -> None:
        """Keep what it does."""
        self.work = work
        self.turns: list[Turn] = []
        self.ledger: list[int] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go, name="client", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, after the request that is under way."""
        self.stop()

    def stop(self) -> None:
        """End, if it did not yet."""
        self._over.set()
        self._thread.join()

    def serves(self) -> bool:
        """Return whether the last few writes and reads all went well."""
        last = self.turns[-_STEADY:]
        return len(last) == _STEADY and not any(turn.failed for turn in last)

    def await_service(self, seconds: float) -> bool:
        """Wait until it is served steadily; return whether it is."""
        end = time.monotonic() + seconds
        while not self.serves() and time.monotonic() < end:
            time.sleep(0.1)
        return self.serves()

    def outage(self, since: float, until: float) -> float | None:
        """Return the seconds from the first request in some time that failed to the first that went well for good.

        Nothing if none failed, or if it was not served again by the end of the time.
        """
        turns = [turn for turn in self.turns if since <= turn.begun < until]
        bad = [index for index, turn in enumerate(turns) if turn.failed]
        if not bad or bad[-1] + 1 == len(turns):
            return None
        return turns[bad[-1] + 1].ended - turns[bad[0]].begun

    def failed(self, since: float, until: float) -> int:
        """Return how many requests failed in some time."""
        return sum(turn.failed for turn in self.turns if since <= turn.begun < until)

    def lost(self) -> int:
        """Return how many acknowledged writes cannot be read any more."""
        return len(self.work.lost(self.ledger))

    def _go(self) -> None:
        number = 0
        while not self._over.is_set():
            begun = time.monotonic()
            number += 1
            self.turns.append(self._turn(number, begun))
            self._over.wait(max(0.0, begun + EVERY - time.monotonic()))

    def _turn(self, number: int, begun: float) -> Turn:
        failed, why = 0, ""
        try:
            self.work.write(number)
            self.ledger.append(number)
        except _WENT_WRONG as error:
            failed, why = failed + 1, f"write: {error}"
        try:
            if self.ledger:
                self.work.read(self.ledger[-1])
        except _WENT_WRONG as error:
            failed, why = failed + 1, f"{why} read: {error}"
        return Turn(begun, time.monotonic(), failed, why[:300])
