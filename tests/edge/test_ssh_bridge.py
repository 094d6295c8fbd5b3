"""A bridge between two slices, against a real sshd: what goes in comes out, unkept, and nothing outlives it."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from real_sshd import Sshd

from tfheal.base.errors import ActionFailed

MUCH = 12 << 20  # bytes: six times what a channel holds
MOST = 16


def _echo(connection: socket.socket) -> None:
    with contextlib.suppress(OSError), connection:
        while data := connection.recv(1 << 16):
            connection.sendall(data)


@pytest.fixture
def echo() -> Iterator[int]:
    """Listen on loopback, and send back what comes; give the port."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=_echo, args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def answered(port: int, data: bytes) -> bytes:
    """Send data to a port, and return what came back until the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        sender = threading.Thread(target=lambda: (connection.sendall(data), connection.shutdown(socket.SHUT_WR)))
        sender.start()
        came = bytearray()
        while piece := connection.recv(1 << 16):
            came += piece
        sender.join()
    return bytes(came)


def is_refused(port: int, seconds: float = 10.0) -> bool:
    """Return whether nobody listens on a port, within so many seconds: the server sees the end when it comes to it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            return True
        time.sleep(0.02)
    return False


def test_what_goes_in_comes_out(sshd: Sshd, echo: int) -> None:
    """More than a window passes both ways, several at a time; afterwards nobody listens there."""
    transport = sshd.transport(pins=sshd.pins("s1", "s2"))
    with transport.bridge(sshd.slice("s1"), sshd.slice("s2"), echo) as port:
        assert answered(port, b"x" * MUCH) == b"x" * MUCH
        results: list[bytes] = []
        threads = [
            threading.Thread(target=lambda n=n: results.append(answered(port, bytes([n]) * 1000)))  # type: ignore[misc]
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == [bytes([n]) * 1000 for n in range(8)]
    assert is_refused(port)


def test_a_slice_cannot_hold_us_up(sshd: Sshd, echo: int) -> None:
    """One connection too many is hung up on; there is room again when one of the others has ended."""
    transport = sshd.transport(pins=sshd.pins("s1", "s2"))
    with transport.bridge(sshd.slice("s1"), sshd.slice("s2"), echo) as port, contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10)) for _ in range(MOST)]
        for each in held:
            each.sendall(b"x")
            assert each.recv(1) == b"x"
        with socket.create_connection(("127.0.0.1", port), timeout=10) as extra, contextlib.suppress(ConnectionError):
            assert extra.recv(1) == b""
        held[0].close()
        held[1].sendall(b"y")
        assert held[1].recv(1) == b"y"


def test_nobody_listens_at_the_other_end(sshd: Sshd) -> None:
    """A connection that leads nowhere ends, and the bridge stands."""
    transport = sshd.transport(pins=sshd.pins("s1", "s2"))
    with socket.create_server(("127.0.0.1", 0)) as unused:
        nowhere = unused.getsockname()[1]
    with transport.bridge(sshd.slice("s1"), sshd.slice("s2"), nowhere) as port:
        for _ in range(2):
            with (
                socket.create_connection(("127.0.0.1", port), timeout=10) as lost,
                contextlib.suppress(ConnectionError),
            ):
                assert lost.recv(1) == b""


def test_a_server_that_forwards_nothing_is_called_that(make_sshd: Callable[..., Sshd], echo: int) -> None:
    """What forbids it is named, and where."""
    sshd = make_sshd(AllowTcpForwarding="local")
    with (
        pytest.raises(ActionFailed, match="AllowTcpForwarding"),
        sshd.transport().bridge(sshd.slice("s1"), sshd.slice("s1"), echo),
    ):
        pass
