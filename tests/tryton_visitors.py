"""Users of Tryton behind its gateway: so many pages and so many real calls a second, on connections that are kept and on new ones."""

import asyncio
import base64
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Self

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_PATIENCE: Final = 60.0  # seconds for one answer: longer than a gateway lets a request wait
_UNDER_WAY: Final = (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError)
_KEEPERS: Final = 12  # connections that are kept, for pages
_CALLERS: Final = 6  # and for calls


class ClosedError(Exception):
    """The gateway said by a header that the app is closed for now: this is announced, and no failure."""


class MovedError(Exception):
    """A server of the other series is asked in another place."""


class SignedOutError(Exception):
    """The server does not know the session: one of 8.0 knows none of 7.0, as it holds each to its address."""


@dataclass(slots=True)
class Counts:
    """What came of it, by pages and calls: what was answered, what failed by what it met, and how often people were told to come back.

    Calls that met a server of the other series were asked again in its place: `moved`; a browser loads the client anew then. Who was
    signed out `signed_in` again, with the password.
    `gap` is the longest time, in seconds, in which nothing was answered but by the gateway itself.
    """

    answered: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    closed: int = 0
    moved: int = 0
    signed_in: int = 0
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
    """Whom the visitors ask: the gateway's address, the name of the app, the path, session and password of its admin, a party that there is."""

    address: str
    host: str
    path: str
    session: str
    password: str
    party: int

    def page(self, keeps: bool) -> bytes:  # noqa: FBT001 - whether the connection is kept
        """Return a request for the page of the client."""
        more = "keep-alive" if keeps else "close"
        return f"GET / HTTP/1.1\r\nHost: {self.host}\r\nConnection: {more}\r\n\r\n".encode()

    def call(self, session: str, *, newer: bool) -> bytes:
        """Return a request that reads a party from the database, in the place of 7.0 or of a `newer` server."""
        words: tuple[object, ...] = ("model.party.party.read", [self.party], ["name", "rec_name"], {})
        return self._posted(words, f"Authorization: Session {session}\r\n", newer=newer)

    def login(self, *, newer: bool) -> bytes:
        """Return a request that signs in."""
        return self._posted(("common.db.login", "admin", {"password": self.password}, "en"), "", newer=newer)

    def _posted(self, words: tuple[object, ...], header: str, *, newer: bool) -> bytes:
        body = json.dumps({"id": 1, "method": words[0], "params": words[1:]}).encode()
        head = f"POST {self.path}{'rpc/' if newer else ''} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n"
        return f"{head}{header}Content-Length: {len(body)}\r\n\r\n".encode() + body


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
        streams: _Streams | None = None
        begun, count, newer, session = time.monotonic(), 0, False, self._asked.session
        while rate and not self._over.is_set():
            try:
                streams = streams or await asyncio.wait_for(self._connected(), _PATIENCE)
                asked = request or self._asked.call(session, newer=newer)
                if not await asyncio.wait_for(_answered(streams, asked, what), _PATIENCE):
                    streams = _gone(streams)
                self.counts.was_answered(what)
            except ClosedError:
                self.counts.closed += 1
                streams = _gone(streams)
            except MovedError:
                self.counts.moved += 1
                newer = not newer
            except SignedOutError:
                self.counts.signed_in += 1
                session = await self._signed_in(newer=newer) or session
            except _UNDER_WAY as error:
                self.counts.failed[f"{what}: {_told(error)}"] += 1
                streams = _gone(streams)
            count += 1
            await self._next(begun + count / rate)
        _gone(streams)

    async def _signed_in(self, *, newer: bool) -> str:
        """Sign in on a connection of its own, and return the session; nothing, and a failure is counted, if that did not go."""
        try:
            streams = await asyncio.wait_for(self._connected(), _PATIENCE)
            try:
                status, _, body = await asyncio.wait_for(_asked(streams, self._asked.login(newer=newer)), _PATIENCE)
            finally:
                _gone(streams)
            if status != "200":
                raise ValueError(f"status {status}")
            user, key, *_ = json.loads(body)["result"]
            return base64.b64encode(f"admin:{user}:{key}".encode()).decode()
        except (*_UNDER_WAY, KeyError) as error:
            self.counts.failed[f"login: {_told(error)}"] += 1
            return ""

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

    async def _connected(self) -> _Streams:
        return await asyncio.open_connection(self._asked.address, 80)


async def _asked(streams: _Streams, request: bytes) -> tuple[str, list[bytes], bytes]:
    """Ask, and return the status, the headers and the body."""
    reader, writer = streams
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
    size = next((int(line.partition(b":")[2]) for line in head if line.startswith(b"content-length:")), 0)
    return head[0].split(b" ")[1].decode(), head, await reader.readexactly(size)


async def _answered(streams: _Streams, request: bytes, what: str) -> bool:
    """Ask, and return whether the connection stays; raise ValueError for any other answer than what is meant."""
    status, head, body = await _asked(streams, request)
    if status == "503" and b"x-maintenance: yes" in head:
        raise ClosedError
    if status == "405" and what == "call":
        raise MovedError
    if status == "401" and what == "call":
        raise SignedOutError
    if status != "200":
        raise ValueError(f"status {status}")
    if what == "call" and (b'"error"' in body or b'"rec_name"' not in body):
        raise ValueError(f"said {body[:80]!r}")
    return b"connection: close" not in head


def _gone(streams: _Streams | None) -> None:
    if streams:
        streams[1].close()


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else type(error).__name__
