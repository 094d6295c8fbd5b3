"""The uplink: which machines of others take a connection from here, over real sockets of this machine."""

import socket
import time

import pytest

from tfheal.edge.uplink import TcpUplink
from tfheal.model.workspace import UplinkPolicy, host_and_port


def test_those_who_answer_are_told_from_those_who_do_not() -> None:
    """A listener answers; a closed port and a name that nobody has do not, and none of them takes long."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_server(("127.0.0.1", 0)) as closed:
        there = f"127.0.0.1:{listener.getsockname()[1]}"
        gone = f"127.0.0.1:{closed.getsockname()[1]}"
        closed.close()
        begun = time.monotonic()
        assert TcpUplink().answering((gone, there, "nobody.invalid:443", f"{'x' * 80}.invalid:1")) == (there,)
        assert TcpUplink().answering(()) == ()
        assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("mirror.example:443", ("mirror.example", 443)),
        ("192.0.2.1:22", ("192.0.2.1", 22)),
        ("[2001:db8::1]:443", ("2001:db8::1", 443)),
    ],
)
def test_peers_are_read_as_they_are_written(written: str, meant: tuple[str, int]) -> None:
    """A name, an IPv4 address, an IPv6 address in brackets; each with its port."""
    assert host_and_port(written) == meant


@pytest.mark.parametrize(
    "written", ["mirror.example", "mirror.example:", "m:0", "m:65536", "2001:db8::1:443", ":443", "a b:1"]
)
def test_what_is_no_peer_is_refused(written: str) -> None:
    """No port, no host, or brackets that are missing: a mistake of the file, told with the right form."""
    with pytest.raises(ValueError, match="HOST:PORT"):
        UplinkPolicy(reference_peers=(written,))
