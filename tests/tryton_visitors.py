"""Users of Tryton behind its gateway: so many pages and so many real calls a second, on connections that are kept and on new ones."""

import asyncio
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Self

_PATIENCE: Final = 60.0  # seconds for one answer: longer than a gateway lets a request wait
_UNDER_WAY: Final = (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError)
_KEEPERS: Final = 12  # connections that are kept, for pages
_CALLERS: Final = 6  # and for calls


class ClosedError(Exception):
    """The gateway said by a header that the app is closed for now: this is announced, and no failure."""


class MovedError(Exception):
    """A server of the other series is asked in another place."""


@dataclass(slots=True)
class Counts:
    """What came of it, by pages and calls: what was answered, what failed by what it met, and how often people were told to come back.

    Calls that met a server of the other series were asked again in its place: `moved`; a browser loads the client anew then.
    `gap` is the longest time, in seconds, in which nothing was answered but by the gateway itself.
    """

    answered: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    closed: int = 0
    moved: int = 0
    gap: float = 0.0
    late: float = 0.0
    last: float = field(default_factory=time.monotonic)

    def was_answered(self, what: str) -> None:
        """Count an answer of the app's own."""
        now = time.monotonic()
        self.answered[what] += 1
        self.gap, self.last = max(self.gap, now - self.last), now


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom the visitors ask: the gateway's address, the name of the app, the path and the session of a user, a party that there is."""

    address: str
    host: str
    path: str
    session: str
    party: int

    def page(self, keeps: bool) -> bytes:  # noqa: FBT001 - whether the connection is kept
        """Return a request for the page of the client."""
        more = "keep-alive" if keeps else "close"
        return f"GET / HTTP/1.1\r\nHost: {self.host}\r\nConnection: {more}\r\n\r\n".encode()

    def call(self, *, newer: bool) -> bytes:
        """Return a request that reads a party from the database, in the place of 7.0 or of a `newer` server."""
        body = json.dumps(
            {"id": 1, "method": "model.party.party.read", "params": [[self.party], ["name", "rec_name"], {}]}
        ).encode()
        head = f"POST {self.path}{'rpc/' if newer else ''} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n"
        return f"{head}Authorization: Session {self.session}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class TrytonVisitors:
    """Visitors in a thread of their own, from `with` to its end."""

    def __init__(self, asked: Asked, pages: int, calls: int) -> None:
        """Keep whom to ask, and how many pages and calls a second are asked for."""
        self.counts = Counts()
        self._asked, self._pages, self._calls = asked, pages, calls
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()))

    def __enter__(self) -> Self:
        """Begin to ask."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ask no more, and wait for what is under way."""
        self._over.set()
        self._thread.join()

    async def _all(self) -> None:
        kept = self._pages / 2 / _KEEPERS
        pages = [self._keeper("page", self._asked.page(keeps=True), kept) for _ in range(_KEEPERS)]
        calls = [self._keeper("call", b"", self._calls / _CALLERS) for _ in range(_CALLERS)]
        await asyncio.gather(*pages, *calls, self._strangers(self._pages / 2))

    async def _keeper(self, what: str, request: bytes, rate: float) -> None:
        """Ask again and again on one connection; a new one is made only when the last answer said so, or it failed."""
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        begun, count, newer = time.monotonic(), 0, False
        while rate and not self._over.is_set():
            try:
                streams = streams or await asyncio.wait_for(self._connected(), _PATIENCE)
                asked = request or self._asked.call(newer=newer)
                if not await asyncio.wait_for(_answered(streams, asked, what), _PATIENCE):
                    streams = _gone(streams)
                self.counts.was_answered(what)
            except ClosedError:
                self.counts.closed += 1
                streams = _gone(streams)
            except MovedError:
                self.counts.moved += 1
                newer = not newer
            except _UNDER_WAY as error:
                self.counts.failed[f"{what}: {_told(error)}"] += 1
                streams = _gone(streams)
            count += 1
            await self._next(begun + count / rate)
        _gone(streams)

    async def _next(self, due: float) -> None:
        """Wait until a request is due; note by how much they are late: then it is not the rate that was meant."""
        left = due - time.monotonic()
        self.counts.late = max(self.counts.late, -left)
        await asyncio.sleep(max(0.0, left))

    async def _strangers(self, rate: float) -> None:
        """Make a connection for each request, at a steady rate whatever becomes of them."""
        begun, count, tasks = time.monotonic(), 0, set[asyncio.Task[None]]()
        while rate and not self._over.is_set():
            task = asyncio.create_task(self._stranger())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            count += 1
            await self._next(begun + count / rate)
        await asyncio.gather(*tasks)

    async def _stranger(self) -> None:
        async def once() -> None:
            streams = await self._connected()
            try:
                await _answered(streams, self._asked.page(keeps=False), "page")
            finally:
                streams[1].close()

        try:
            await asyncio.wait_for(once(), _PATIENCE)
            self.counts.was_answered("page")
        except ClosedError:
            self.counts.closed += 1
        except _UNDER_WAY as error:
            self.counts.failed[f"page: {_told(error)}"] += 1

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._asked.address, 80)


async def _answered(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes, what: str) -> bool:
    """Ask, and return whether the connection stays; raise ValueError for any other answer than what is meant."""
    reader, writer = streams
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
    status = head[0].split(b" ")[1].decode()
    size = next((int(line.partition(b":")[2]) for line in head if line.startswith(b"content-length:")), 0)
    body = await reader.readexactly(size)
    if status == "503" and b"x-maintenance: yes" in head:
        raise ClosedError
    if status == "405" and what == "call":
        raise MovedError
    if status != "200":
        raise ValueError(f"status {status}")
    if what == "call" and (b'"error"' in body or b'"rec_name"' not in body):
        raise ValueError(f"said {body[:80]!r}")
    return b"connection: close" not in head


def _gone(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None) -> None:
    if streams:
        streams[1].close()


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else type(error).__name__
