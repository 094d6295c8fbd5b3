"""The traps of reference notes on SSH, one test each, and servers that misbehave; nothing here waits for ever."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import paramiko
import pytest
from build import a_slice
from real_sshd import CAP, QUICK, Sshd, free_port, misbehaving

from tfheal.base.errors import ConnectFailed, LoginFailed, TfhealError
from tfheal.edge.known_hosts import KnownHosts
from tfheal.edge.ssh.route import Routes
from tfheal.model.ports import Exec

T = TypeVar("T")


@pytest.fixture
def no_thread_left() -> Iterator[None]:
    """Fail if a test leaves a thread of a connection behind."""
    before = set(threading.enumerate())
    yield
    end = time.monotonic() + 3
    while left := [one for one in set(threading.enumerate()) - before if not one.name.startswith("Thread-serve")]:
        assert time.monotonic() < end, left
        time.sleep(0.05)


def _banner_never_comes(connection: socket.socket) -> None:
    connection.recv(100)
    connection.recv(100)


def _banner_trickles(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"x")
        time.sleep(0.1)


def _banner_has_no_end(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"welcome\r\n" * 1000)


def _nothing_after_the_banner(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    while connection.recv(65536):
        pass


def _noise_after_the_banner(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" + bytes(range(256)) * 300)
    while connection.recv(65536):
        pass


def _web_server(connection: socket.socket) -> None:
    connection.recv(100)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    connection.close()


def _old_protocol(connection: socket.socket) -> None:
    connection.sendall(b"SSH-1.5-ancient\r\n")
    connection.recv(100)


def _hangs_up(connection: socket.socket) -> None:
    connection.close()


@pytest.mark.parametrize(
    "behave",
    [
        _banner_never_comes,
        _banner_trickles,
        _banner_has_no_end,
        _nothing_after_the_banner,
        _noise_after_the_banner,
        _web_server,
        _old_protocol,
        _hangs_up,
    ],
)
@pytest.mark.usefixtures("no_thread_left")
def test_server_that_misbehaves_is_no_connection(behave: Callable[[socket.socket], None], sshd: Sshd) -> None:
    """Whatever a server does before the key exchange is over ends as ConnectFailed, within the patience."""
    settings = replace(QUICK, banner_timeout=0.6, patience=1.5)
    begun = time.monotonic()
    with misbehaving(behave) as port, pytest.raises(ConnectFailed):
        sshd.transport(settings).run(sshd.slice(port=port), Exec("true", timeout=5, cap=CAP))
    assert time.monotonic() - begun < 4


def test_what_a_server_says_is_neutralised(sshd: Sshd) -> None:
    """Control characters of a stranger's banner do not reach the operator's terminal."""
    banner = b"SSH-9.9\x1b[2J\xe2\x80\xae\r\n"
    with misbehaving(lambda it: it.sendall(banner)) as port, pytest.raises(ConnectFailed) as caught:
        sshd.transport().run(sshd.slice(port=port), Exec("true", timeout=5, cap=CAP))
    assert str(caught.value).isprintable()


def test_refused_port_is_a_quick_verdict(sshd: Sshd) -> None:
    """A refusal is believed when it is repeated once, long before the patience is spent."""
    begun = time.monotonic()
    with pytest.raises(ConnectFailed, match="refused") as caught:
        sshd.transport(replace(QUICK, patience=20.0)).run(
            sshd.slice(port=free_port()), Exec("true", timeout=5, cap=CAP)
        )
    assert time.monotonic() - begun < 2
    assert "sshd" in caught.value.hint


def test_address_that_swallows_packets_costs_the_patience(sshd: Sshd) -> None:
    """Time-outs are tried again until the patience is spent: an overlay learns its routes late."""
    with _full_backlog() as port:
        begun = time.monotonic()
        settings = replace(QUICK, connect_timeout=0.4, patience=1.5)
        with pytest.raises(ConnectFailed, match="timed out") as caught:
            sshd.transport(settings).run(sshd.slice(port=port), Exec("true", timeout=5, cap=CAP))
    assert 1.0 < time.monotonic() - begun < 2.5
    assert "network" in caught.value.hint


def test_name_that_does_not_resolve(sshd: Sshd) -> None:
    """A name that is nowhere is said to be that, at once."""
    with pytest.raises(ConnectFailed, match="does not resolve"):
        sshd.transport().run(sshd.slice(address="no-such-host.invalid"), Exec("true", timeout=5, cap=CAP))


@pytest.mark.parametrize("address", ["x" * 70, "a..b", "ü" * 64])
def test_name_that_cannot_be_one(sshd: Sshd, address: str) -> None:
    """A name that the resolver cannot even encode is an error of ours."""
    with pytest.raises(TfhealError):
        sshd.transport().run(sshd.slice(address=address), Exec("true", timeout=5, cap=CAP))


def test_every_address_of_a_name_is_tried(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead address does not hide a living one, also when it swallows packets."""
    with _full_backlog() as dead:
        addresses = [("127.0.0.1", dead), ("127.0.0.1", sshd.port)]
        answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
        transport = sshd.transport(replace(QUICK, connect_timeout=0.5))
        assert transport.run(sshd.slice(address="two.example"), Exec("echo x", timeout=5, cap=CAP)).stdout == b"x\n"


def test_server_with_too_many_at_its_door_is_tried_again(sshd: Sshd) -> None:
    """A server that hangs up before its banner (MaxStartups) gets another chance."""
    visits: list[int] = []

    def hang_up_once(connection: socket.socket) -> None:
        visits.append(1)
        if len(visits) == 1:
            connection.close()
        else:
            _relay(connection, sshd.port)

    with misbehaving(hang_up_once) as port:
        assert sshd.transport().run(sshd.slice(port=port), Exec("echo x", timeout=5, cap=CAP)).stdout == b"x\n"
    assert len(visits) == 2


def test_login_is_not_tried_again(make_sshd: Callable[..., Sshd], tmp_path: Path) -> None:
    """A key that is refused is refused: no second connection hammers at the door."""
    sshd = make_sshd(AuthorizedKeysFile=str(tmp_path / "nobody"))
    with pytest.raises(LoginFailed):
        sshd.transport().run(sshd.slice(), Exec("true", timeout=5, cap=CAP))
    assert sshd.log().count("Connection from") == 2  # the fixture's own look, and ours


def test_starts_at_one_address_are_bounded(make_sshd: Callable[..., Sshd]) -> None:
    """A server that refuses more than a few logins at once lets a crowd in, two by two."""
    sshd = make_sshd(MaxStartups="6:100:6")
    names = [f"s{number}" for number in range(1, 10)]
    transport = sshd.transport(replace(QUICK, starts_per_host=2, retries=0), sshd.pins(*names))
    replies = _all_at_once(
        lambda name: transport.run(sshd.slice(name), Exec("echo x", timeout=9, cap=CAP)).stdout, names
    )
    assert replies == [b"x\n"] * 9
    assert "MaxStartups" not in sshd.log()


@pytest.mark.parametrize(("permitted", "crowd"), [("1", 3), ("10", 11)])
def test_channels_on_one_connection_are_bounded(make_sshd: Callable[..., Sshd], permitted: str, crowd: int) -> None:
    """More execs at once than sshd permits sessions wait for each other instead of failing."""
    sshd = make_sshd(MaxSessions=permitted)
    transport = sshd.transport()
    replies = _all_at_once(
        lambda word: transport.run(sshd.slice(), Exec(f"echo {word}; sleep 0.1", timeout=9, cap=CAP)).stdout,
        [str(number) for number in range(crowd)],
    )
    assert sorted(replies) == sorted(f"{number}\n".encode() for number in range(crowd))
    assert sshd.log().count("Accepted publickey") == 1


@pytest.mark.parametrize("permitted", ["1", "2", "10"])
def test_what_lasts_keeps_no_channel_from_the_others(make_sshd: Callable[..., Sshd], permitted: str) -> None:
    """While more execs are held for a run than sshd permits sessions, another one is answered, and they end when told."""
    sshd = make_sshd(MaxSessions=permitted)
    transport = sshd.transport()
    over, begun, crowd = threading.Event(), threading.Semaphore(0), 11

    def hold(_number: int) -> bytes:
        order = Exec("echo held; cat", 60, CAP, on_line=lambda _line: begun.release(), beats=True, over=over.is_set)
        return transport.run(sshd.slice(), order).stdout

    with ThreadPoolExecutor(crowd) as pool:
        held = pool.map(hold, range(crowd))
        assert all(begun.acquire(timeout=20) for _ in range(crowd))
        assert transport.run(sshd.slice(), Exec("echo x", timeout=9, cap=CAP)).stdout == b"x\n"
        over.set()
        assert [said.splitlines()[0] for said in held] == [b"held"] * crowd


def test_more_slices_at_once_than_connections(sshd: Sshd) -> None:
    """Slices that have to make room for each other all the time are all answered."""
    names = [f"s{number}" for number in range(1, 7)]
    transport = sshd.transport(replace(QUICK, connections=1), sshd.pins(*names))

    def ask(name: str) -> list[bytes]:
        return [transport.run(sshd.slice(name), Exec(f"echo {name}", timeout=9, cap=CAP)).stdout for _ in range(2)]

    assert _all_at_once(ask, names) == [[f"{name}\n".encode()] * 2 for name in names]


def test_servers_that_say_nothing_hold_no_place(sshd: Sshd) -> None:
    """While more slices than there are places and starts accept connections and are silent, another one is answered."""
    names = [f"s{number}" for number in range(1, 5)]
    transport = sshd.transport(
        replace(QUICK, connections=1, starts=1, banner_timeout=4.0, patience=3.0), sshd.pins(*names)
    )
    with misbehaving(_banner_never_comes) as port, ThreadPoolExecutor(len(names)) as pool:
        for name in names[1:]:
            silent = pool.submit(transport.run, sshd.slice(name, port=port), Exec("true", timeout=5, cap=CAP))
        begun = time.monotonic()
        assert transport.run(sshd.slice(), Exec("echo x", timeout=5, cap=CAP)).stdout == b"x\n"
        assert time.monotonic() - begun < 3
        with pytest.raises(ConnectFailed, match="no SSH banner"):
            silent.result()


def test_server_without_sessions_says_so(make_sshd: Callable[..., Sshd]) -> None:
    """A server that permits no session at all is an error at once."""
    sshd = make_sshd(MaxSessions="0")
    with pytest.raises(ConnectFailed, match="no channel"):
        sshd.transport().run(sshd.slice(), Exec("true", timeout=5, cap=CAP))


def test_threads_share_a_connection_without_mixing_replies(sshd: Sshd) -> None:
    """Four threads with four execs each, on one connection, all get their own answer."""
    transport = sshd.transport()

    def ask(word: str) -> list[bytes]:
        return [
            transport.run(sshd.slice(), Exec(f"echo {word} {turn}; echo {word} >&2", timeout=20, cap=CAP)).stdout
            for turn in range(4)
        ]

    words = [f"word{number}" for number in range(4)]
    expected = [[f"{word} {turn}\n".encode() for turn in range(4)] for word in words]
    assert _all_at_once(ask, words) == expected


@pytest.mark.usefixtures("no_thread_left")
def test_failed_login_leaves_no_thread(make_sshd: Callable[..., Sshd], tmp_path: Path) -> None:
    """A connection whose login fails is closed."""
    sshd = make_sshd(AuthorizedKeysFile=str(tmp_path / "nobody"))
    for _ in range(2):
        with pytest.raises(LoginFailed):
            sshd.transport().run(sshd.slice(), Exec("true", timeout=5, cap=CAP))


def test_key_file_is_parsed_once(
    make_sshd: Callable[..., Sshd], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many slices take a key, its file is parsed once (RSA: 200 ms)."""
    sshd = make_sshd()
    parsed: list[object] = []
    parse = paramiko.PKey.from_path
    monkeypatch.setattr(paramiko.PKey, "from_path", lambda path: parsed.append(path) or parse(path))
    names = ["s1", "s2", "s3"]
    transport = sshd.transport(pins=sshd.pins(*names))
    for name in names:
        transport.run(sshd.slice(name), Exec("true", timeout=5, cap=CAP))
    assert parsed == [sshd.folder / "client"]
    assert tmp_path.is_dir()


def test_known_hosts_is_parsed_once(sshd: Sshd, tmp_path: Path) -> None:
    """Thousands of pinned keys are read for the first connection and not again."""
    path = tmp_path / "known_hosts"
    path.write_text("".join(f"s{number} {sshd.host_key()}\n" for number in range(1, 3001)))
    pins = KnownHosts(path)
    assert pins.pinned("s3000") == (sshd.host_key(),)
    path.unlink()
    begun = time.process_time()
    assert all(pins.pinned(f"s{number}") for number in range(1, 3001))
    assert time.process_time() - begun < 0.5


def test_routes_are_resolved_by_many_threads_at_once(tmp_path: Path, home: Path) -> None:
    """One fabric configuration shared by threads raced; behind a lock it does not."""
    entries = "".join(f"Host h{number}\n Port {2000 + number}\n IdentityFile ~/k{number}\n" for number in range(100))
    (home / ".ssh" / "config").write_text(entries)
    routes = Routes(tmp_path)
    found = _all_at_once(lambda name: routes.of(a_slice(name, address=name)).target, [f"h{n}" for n in range(100)])
    assert [one.port for one in found] == [2000 + number for number in range(100)]
    assert [one.keys for one in found] == [(home / f"k{number}",) for number in range(100)]


def test_kernel_watches_for_a_peer_that_is_gone(sshd: Sshd) -> None:
    """A half-open connection is noticed by keep-alive probes and by unacknowledged data."""
    transport = sshd.transport(replace(QUICK, silence=20.0))
    transport.run(sshd.slice(), Exec("true", timeout=5, cap=CAP))
    connection = transport._sessions[sshd.slice()]._line.socket
    assert isinstance(connection, socket.socket)
    assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
    idle, interval, count = (
        connection.getsockopt(socket.IPPROTO_TCP, option)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    )
    assert idle + interval * count <= 20


def _all_at_once(ask: Callable[[str], T], words: list[str]) -> list[T]:
    """Ask in one thread for each word, and return the answers in the order of the words."""
    with ThreadPoolExecutor(len(words)) as pool:
        return list(pool.map(ask, words))


@contextlib.contextmanager
def _full_backlog() -> Iterator[int]:
    """Yield a port of loopback where connecting hangs: a listener that accepts nothing, its queue full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(("127.0.0.1", port))
        time.sleep(0.05)
        yield port


def _relay(connection: socket.socket, port: int) -> None:
    """Carry a connection on to another port until either side ends."""
    with socket.create_connection(("127.0.0.1", port)) as onward:
        threading.Thread(target=_pump, args=(onward, connection), daemon=True).start()
        _pump(connection, onward)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
