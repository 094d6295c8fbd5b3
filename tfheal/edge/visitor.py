"""Public names asked for from this machine, as a browser would: resolved, and one request for each, all at once and not for long."""

import http.client
import ipaddress
import queue
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Thread
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from tfheal.base import untrusted
from tfheal.model.visit import Visit

SECONDS: Final = 3.0  # for all names together, from when it begins
_CONNECT: Final = 2.0
_TOGETHER: Final = 64
_HOPS: Final = 4
_OK: Final = 200
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_PORTS: Final = {"http": 80, "https": 443}


class HttpVisitor:
    """The visitor by plain requests, each in a thread of its own that nobody waits for when its time is over."""

    def visited(self, names: Mapping[str, Sequence[str]]) -> Callable[[], Mapping[str, Visit]]:
        """Given names and of each its URLs, begin to ask for all; return what waits for the answers until the time is over."""
        end, found = time.monotonic() + SECONDS, dict[str, Visit]()
        waiting = queue.SimpleQueue[str]()
        for name in names:
            waiting.put(name)

        def work() -> None:
            while time.monotonic() < end:
                try:
                    name = waiting.get_nowait()
                except queue.Empty:
                    return
                found[name] = _visit(name, names[name], end)

        threads = [Thread(target=work, daemon=True) for _ in range(min(_TOGETHER, len(names)))]
        for thread in threads:
            thread.start()

        def answers() -> Mapping[str, Visit]:
            for thread in threads:
                thread.join(max(0.0, end - time.monotonic()))
            late = Visit(why=f"there was no answer within {SECONDS:.0f} s")
            return {name: found.get(name, late) for name in names}

        return answers


def _visit(name: str, urls: Sequence[str], end: float) -> Visit:
    """Return what is met at the first URL that answers well, else at the one that tells most."""
    try:
        there = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return Visit(why=_told(error))
    addresses = tuple(dict.fromkeys(str(ipaddress.ip_address(str(one[4][0]).partition("%")[0])) for one in there))
    met: list[Visit] = []
    for url in urls:
        met.append(_met(url, Visit(addresses, url), end))
        if met[-1].status == _OK:
            return met[-1]
    return max(met, key=lambda one: (one.status > 0, one.refused), default=Visit(addresses))


def _met(url: str, visit: Visit, end: float) -> Visit:
    """Ask at a URL, and where that says so at another one of the same name; return what answers."""
    try:
        for _ in range(_HOPS):
            parts = urlsplit(url)
            status, there = _answer(parts, visit.addresses, end)
            visit = replace(visit, url=untrusted.line(url, 300), status=status)
            to = urlsplit(there)
            if status not in _MOVED or to.hostname != parts.hostname or to.scheme not in _PORTS:
                break
            url = there
    except (OSError, http.client.HTTPException, ValueError) as error:
        refused = isinstance(error, (ConnectionError, ssl.SSLError, http.client.HTTPException))
        return replace(visit, status=0, why=_told(error), refused=refused)
    return visit


def _answer(parts: SplitResult, addresses: Sequence[str], end: float) -> tuple[int, str]:
    """Return the status of a URL, and where it leads on; raise what the last of the addresses fails with."""
    port = parts.port or _PORTS[parts.scheme]
    with _connected(addresses, port, end) as plain:
        # Whether its certificate holds is asked for apart: here any one will do.
        taken = _any().wrap_socket(plain, server_hostname=parts.hostname) if parts.scheme == "https" else plain
        with taken:
            connection = http.client.HTTPConnection(parts.hostname or "", port)
            connection.sock = taken
            host = parts.netloc.rpartition("@")[2]
            path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
            connection.request("GET", path, headers={"Host": host, "User-Agent": "tfheal", "Connection": "close"})
            with connection.getresponse() as answer:
                return answer.status, urljoin(parts.geturl(), (answer.getheader("Location") or "")[:2_000])


def _any() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _connected(addresses: Sequence[str], port: int, end: float) -> socket.socket:
    failed: OSError = TimeoutError("there was no time left")
    for address in addresses:
        left = min(_CONNECT, end - time.monotonic())
        if left <= 0:
            break
        try:
            return socket.create_connection((address, port), timeout=left)
        except OSError as error:
            failed = error
    raise failed


def _told(error: Exception) -> str:
    return untrusted.line(str(getattr(error, "strerror", None) or error or type(error).__name__), 200)
