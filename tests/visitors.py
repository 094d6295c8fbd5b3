"""Visitors of a service behind a gateway: so many requests a second, one WebSocket, one long upload after another; all is counted."""

import asyncio
import base64
import os
import ssl
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Self

_PATIENCE: Final = 20.0  # seconds for one answer: longer than a gateway takes to try again elsewhere
_KEEPERS: Final = 10  # connections that are kept
_PARTS, _PART = 100, 2_000  # an upload: so many pieces of so many bytes, a tenth of a second apart
_TALK: Final = 0.2  # seconds between two words on the WebSocket
_UNDER_WAY = (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError)


@dataclass(slots=True)
class Counts:
    """What came of it: requests that were answered and that failed (by what they met), and so for uploads; words lost on WebSockets."""

    answered: int = 0
    uploads: int = 0
    words: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    uploads_failed: Counter[str] = field(default_factory=Counter)
    sockets_closed: int = 0


class Visitors:
    """Visitors in a thread of their own, from `with` to its end: half of the requests on connections that are kept."""

    def __init__(self, address: str, host: str, rate: int, tls: ssl.SSLContext | None = None) -> None:
        """Keep whom to ask, by which name, how many requests a second are asked, and whether over TLS."""
        self.counts, self._tls = Counts(), tls
        self._address, self._host, self._rate = address, host, rate
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
        kept = [self._keeper(_KEEPERS / (self._rate / 2)) for _ in range(_KEEPERS)]
        await asyncio.gather(*kept, self._strangers(1 / (self._rate / 2)), self._talker(), self._uploader())

    async def _keeper(self, pause: float) -> None:
        """Ask again and again on one connection; a new one is made only when the last answer said so, or it failed."""
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        begun = asyncio.get_running_loop().time()
        count = 0
        while not self._over.is_set():
            try:
                streams = streams or await self._connected()
                if not await asyncio.wait_for(self._asked(*streams, keeps=True), _PATIENCE):
                    streams = _closed(streams)
                self.counts.answered += 1
            except _UNDER_WAY as error:
                self.counts.failed[_told(error)] += 1
                streams = _closed(streams)
            count += 1
            await asyncio.sleep(max(0.0, begun + count * pause - asyncio.get_running_loop().time()))
        _closed(streams)

    async def _strangers(self, pause: float) -> None:
        """Make a connection for each request, at a steady rate whatever becomes of them."""
        begun, count, tasks = asyncio.get_running_loop().time(), 0, set[asyncio.Task[None]]()
        while not self._over.is_set():
            task = asyncio.create_task(self._stranger())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            count += 1
            await asyncio.sleep(max(0.0, begun + count * pause - asyncio.get_running_loop().time()))
        await asyncio.gather(*tasks)

    async def _stranger(self) -> None:
        async def once() -> None:
            reader, writer = await self._connected()
            try:
                await self._asked(reader, writer, keeps=False)
            finally:
                writer.close()

        try:
            await asyncio.wait_for(once(), _PATIENCE)
            self.counts.answered += 1
        except _UNDER_WAY as error:
            self.counts.failed[_told(error)] += 1

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._tls is None:
            return await asyncio.open_connection(self._address, 80)
        return await asyncio.open_connection(self._address, 443, ssl=self._tls, server_hostname=self._host)

    async def _asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, keeps: bool) -> bool:
        """Ask once, and return whether the connection stays; raise ValueError for any answer but the one that is meant."""
        more = "keep-alive" if keeps else "close"
        writer.write(f"GET /?visit HTTP/1.1\r\nHost: {self._host}\r\nConnection: {more}\r\n\r\n".encode())
        body, stays = await _answer(reader)
        if not body.startswith(b"talk "):
            raise ValueError("another answer")
        return stays

    async def _talker(self) -> None:
        """Say a word now and then on one WebSocket, and hear it back; one that closes is opened again."""
        await self._repeated(self._talk, lambda _: self._lost())

    def _lost(self) -> None:
        self.counts.sockets_closed += 1

    async def _talk(self) -> None:
        reader, writer = await self._connected()
        try:
            key = base64.b64encode(os.urandom(16)).decode()
            words = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            writer.write(f"GET /socket HTTP/1.1\r\nHost: {self._host}\r\n{words}\r\n".encode())
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _PATIENCE)
            if b" 101 " not in head:
                raise ValueError("no WebSocket")
            while not self._over.is_set():
                word = os.urandom(8)
                mask = os.urandom(4)
                hidden = bytes(one ^ mask[index % 4] for index, one in enumerate(word))
                writer.write(bytes([130, 128 | len(word)]) + mask + hidden)
                said = await asyncio.wait_for(reader.readexactly(2 + len(word)), _PATIENCE)
                if said[2:] != word:
                    raise ValueError("another word")
                self.counts.words += 1
                await asyncio.sleep(_TALK)
        finally:
            writer.close()

    async def _uploader(self) -> None:
        """Send one long body after another."""

        def lost(error: Exception) -> None:
            self.counts.uploads_failed[_told(error)] += 1

        await self._repeated(self._upload, lost)

    async def _upload(self) -> None:
        reader, writer = await self._connected()
        try:
            writer.write(
                f"POST /upload HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {_PARTS * _PART}\r\nConnection: close\r\n\r\n".encode()
            )
            for _ in range(_PARTS):
                writer.write(bytes(_PART))
                await asyncio.wait_for(writer.drain(), _PATIENCE)
                await asyncio.sleep(0.1)
            body, _ = await asyncio.wait_for(_answer(reader), _PATIENCE)
            if body != b"%d bytes\n" % (_PARTS * _PART):
                raise ValueError("another count")
            self.counts.uploads += 1
        finally:
            writer.close()

    async def _repeated(self, act: Callable[[], Awaitable[None]], lost: Callable[[Exception], None]) -> None:
        while not self._over.is_set():
            try:
                await act()
            except _UNDER_WAY as error:
                lost(error)
                await asyncio.sleep(0.5)


async def _answer(reader: asyncio.StreamReader) -> tuple[bytes, bool]:
    """Return the body of an answer with status 200, and whether its connection stays; raise ValueError for another status."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
    status = head[0].split(b" ")[1].decode()
    size = next((int(line.partition(b":")[2]) for line in head if line.startswith(b"content-length:")), 0)
    body = await reader.readexactly(size)
    if status != "200":
        raise ValueError(f"status {status}")
    return body, b"connection: close" not in head


def _closed(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None) -> None:
    if streams:
        streams[1].close()


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else type(error).__name__
