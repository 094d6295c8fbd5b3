"""A way to an SSH server: a TCP connection, a tunnel through a jump host, or a ProxyCommand; tried again with jitter."""

import errno
import os
import random
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import paramiko
from paramiko.ssh_exception import ChannelException

from tfheal.base.errors import TfhealError
from tfheal.edge import local
from tfheal.edge.ssh.deadline import Deadline
from tfheal.edge.ssh.mapping import mapped
from tfheal.edge.ssh.route import Endpoint
from tfheal.model.ssh import SshSettings

T = TypeVar("T")

_UNROUTED: Final = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT, errno.EHOSTDOWN})
_MORE_ONCE: Final = 1


class Tunnel(Protocol):
    """A jump host that is connected."""

    def tunnel(self, address: tuple[str, int], timeout: float) -> paramiko.Channel:
        """Return a channel that leads to an address."""


@dataclass(frozen=True, slots=True)
class Line:
    """An open way to a server: something like a socket, and how it is cut so that every reader notices at once."""

    socket: socket.socket | paramiko.Channel
    cut: Callable[[], None]


def dial(endpoint: Endpoint, through: Tunnel | None, settings: SshSettings, deadline: Deadline) -> Line:
    """Given an endpoint, return an open way to it; raise OSError or what paramiko raises."""
    timeout = min(settings.connect_timeout, deadline.left())
    if through is not None:
        channel = through.tunnel((endpoint.host, endpoint.port), timeout)
        return Line(channel, channel.close)
    if endpoint.proxy_command:
        return _by_command(endpoint.proxy_command)
    connection = _first_that_answers(endpoint, timeout, deadline)
    _watch_for_silence(connection, settings.silence)
    return Line(connection, lambda: _cut(connection))


def patiently(
    attempt: Callable[[Deadline], T], endpoint: Endpoint, settings: SshSettings, closing: threading.Event
) -> T:
    """Given one attempt to connect, return what it returns, trying again as long as that makes sense."""
    deadline = Deadline(settings.patience)
    tries = 0
    while True:
        tries += 1
        try:
            return attempt(deadline)
        except TfhealError:
            raise
        except Exception as error:
            pause = _pause(error, tries, settings)
            if pause is None or pause >= deadline.left() or closing.wait(pause):
                where = f"{endpoint.name} ({endpoint.host} port {endpoint.port})"
                raise mapped(error, "connect", where) from error


def _pause(error: Exception, tries: int, settings: SshSettings) -> float | None:
    """Return how long to wait before the next attempt, or None to give up.

    Time-outs and missing routes are patient (the first packet through an overlay may be lost while it looks for the
    route), a refusal is believed when it is repeated, a server that hangs up early may have too many at its door.
    """
    root = error.__context__ if isinstance(error, paramiko.SSHException) and error.__context__ else error
    jitter = random.uniform(0.5, 1.5)  # noqa: S311 - spreads load, keeps no secret
    match root:
        case ConnectionRefusedError() | ChannelException():
            return 0.5 * jitter if tries <= _MORE_ONCE else None
        case socket.gaierror():
            return jitter if root.errno == socket.EAI_AGAIN and tries <= _MORE_ONCE else None
        case TimeoutError():
            return 0.5 * jitter
        case ConnectionResetError() | BrokenPipeError() | EOFError():
            return 0.5 * tries * jitter if tries <= settings.retries else None
        case OSError() if root.errno in _UNROUTED:
            return min(8.0, 2.0 ** (tries - 1)) * jitter
        case _:
            return None


def _first_that_answers(endpoint: Endpoint, timeout: float, deadline: Deadline) -> socket.socket:
    """Try each address that the name has: a dead one does not hide a living one."""
    failure: OSError = TimeoutError("timed out")
    for family, kind, protocol, _, address in socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM):
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(max(0.01, min(timeout, deadline.left())))
            connection.connect(address)
        except OSError as error:
            connection.close()
            failure = error
        else:
            return connection
    raise failure


def _watch_for_silence(connection: socket.socket, silence: float) -> None:
    """Let the kernel notice a peer that is gone: idle by keep-alive probes, busy by unacknowledged data."""
    interval = max(1, int(silence / 4))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, interval)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(silence * 1000))


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side was first


def _by_command(command: str) -> Line:
    connection, process = local.piped(command)

    def cut() -> None:
        _cut(connection)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        threading.Thread(target=process.wait, daemon=True).start()  # no zombie stays, and nobody waits for it

    return Line(connection, cut)
