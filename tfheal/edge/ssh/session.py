"""One open connection: the handshake with its pinned key, and the channels that share it."""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Final

import paramiko
from paramiko.ssh_exception import ChannelException, IncompatiblePeer

from tfheal.base.errors import ActionFailed, ConnectFailed, ConnectionLost, HostKeyMismatch
from tfheal.edge.ssh.deadline import Deadline
from tfheal.edge.ssh.dial import Line
from tfheal.edge.ssh.mapping import ours
from tfheal.edge.ssh.route import Endpoint
from tfheal.model.ssh import SshSettings, fingerprint

_POLL: Final = 5.0
# The library would have 3DES, CBC, MD5 and SHA-1 too, and take them before GCM, which saves it a MAC in Python for every
# packet: a fifth of what a connection costs us.
_CIPHERS: Final = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
_DIGESTS: Final = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
_LONE_REFUSALS: Final = 3
_CLOSING: Final = 0.2
LOOPBACK: Final = "127.0.0.1"
_TUNNEL_SOURCE: Final = (LOOPBACK, 0)


def shake_hands(line: Line, algorithms: tuple[str, ...], settings: SshSettings) -> paramiko.Transport:
    """Given an open way to a server, exchange keys; raise what paramiko raises, or TimeoutError."""
    transport: paramiko.Transport | None = None
    try:
        transport = paramiko.Transport(line.socket)
        # The library wakes every 0.1 s to see whether it was closed: hundreds of idle connections would burn a core.
        # Ours are cut, which wakes it at once.
        line.socket.settimeout(_POLL)
        transport.banner_timeout = settings.banner_timeout
        transport.handshake_timeout = settings.banner_timeout
        offered = transport.get_security_options()
        offered.key_types, offered.ciphers, offered.digests = algorithms, _CIPHERS, _DIGESTS
        done = threading.Event()
        transport.start_client(event=done)
        _wait_for_keys(transport, done, settings.banner_timeout)
    except BaseException:
        hang_up(line, transport)
        raise
    return transport


def _wait_for_keys(transport: paramiko.Transport, done: threading.Event, timeout: float) -> None:
    if not done.wait(timeout):
        missing = "key exchange" if transport.remote_version else "SSH banner"
        msg = f"no {missing} in {timeout:g} s"
        raise TimeoutError(msg)
    if not transport.is_active():
        raise transport.get_exception() or EOFError("the server closed the connection")


def hang_up(line: Line, transport: paramiko.Transport | None) -> None:
    """Close a connection, whatever state it is in, without waiting for the other side."""
    with contextlib.suppress(EOFError, OSError):  # a way through another machine that is gone already cannot be told so
        line.cut()
    if transport is not None:
        transport.close()
        # Ends the library's handshake timer: a thread that would keep the interpreter from exiting.
        transport.packetizer.complete_handshake()
    line.socket.close()


def shown_key(transport: paramiko.Transport) -> str:
    """Given a connection after its key exchange, return the host key as `TYPE KEY`."""
    key = transport.get_remote_server_key()
    return f"{key.get_name()} {key.get_base64()}"


def check_key(transport: paramiko.Transport, endpoint: Endpoint, expected: tuple[str, ...]) -> None:
    """Given a connection after its key exchange, raise HostKeyMismatch unless it shows an expected key."""
    shown = shown_key(transport)
    if shown not in expected:
        raise mismatch(endpoint, expected, shown)


def mismatch(endpoint: Endpoint, expected: tuple[str, ...], shown: str) -> HostKeyMismatch:
    """Given what was pinned and what was shown, return the error that names both."""
    pinned = ", ".join(fingerprint(key) for key in expected)
    hint = "nothing was sent; an owner who says that it was rebuilt makes it well: "
    return HostKeyMismatch(
        "the host key is not the pinned one",
        where=endpoint.name,
        why=f"pinned {pinned}, shown {fingerprint(shown)} ({shown.split(' ', 1)[0]})",
        hint=hint + (f"`tfheal slice trust {endpoint.name}`" if endpoint.is_slice else "correct known_hosts"),
    )


class Session:
    """A connection that is logged in; its channels are shared between threads, a bounded number at a time."""

    def __init__(self, line: Line, transport: paramiko.Transport, endpoint: Endpoint, settings: SshSettings) -> None:
        """Take over an open connection."""
        self.endpoint = endpoint
        self._line = line
        self._transport = transport
        self._settings = settings
        self._room = settings.channels
        self._busy = 0
        self._lasting = 0  # of these, held for a run
        self._retired = False
        self._condition = threading.Condition()

    def is_idle(self) -> bool:
        """Return whether no channel is in use."""
        return self._busy == 0

    def is_alive(self) -> bool:
        """Return whether the connection looks open from here."""
        return self._transport.is_active()

    def is_held(self) -> bool:
        """Return whether every channel that there is room for is held for a run: none will come free."""
        return self._lasting >= self._room

    def open_channel(self, *, lasting: bool = False) -> paramiko.Channel:
        """Return a channel for one exec, or for one that lasts as long as a run, to be given back.

        Raise ConnectFailed, or ConnectionLost, also if none will come free here.
        """
        deadline = Deadline(self._settings.patience)
        chances = _LONE_REFUSALS
        while True:
            self._enter(deadline, lasting=lasting)
            try:
                with ours("talk", self.endpoint.name):
                    return self._transport.open_session(timeout=min(self._settings.connect_timeout, deadline.left()))
            except BaseException as error:
                # Refused because others are open: from now on there is room for no more than these. Refused although
                # none is: the server may still be closing the last one.
                alone = self._leave(lasting=lasting)
                chances -= alone
                if not chances or not self._was_refused(error.__cause__):
                    raise
                if alone:
                    time.sleep(_CLOSING)

    def _was_refused(self, error: BaseException | None) -> bool:
        """Return whether a channel was refused; the library has one place for the reason, and threads race for it."""
        lost_the_race = isinstance(error, paramiko.SSHException) and "Unable to open channel" in str(error)
        return isinstance(error, ChannelException) or (lost_the_race and self._transport.is_active())

    def close_channel(self, channel: paramiko.Channel, *, lasting: bool = False) -> None:
        """Give a channel back, and say what it was for."""
        try:
            with ours("talk", self.endpoint.name):
                channel.close()
        except ConnectionLost:
            pass  # so it is closed
        finally:
            with self._condition:
                self._busy -= 1
                self._lasting -= lasting
                over = self._retired and self._busy == 0
                self._condition.notify()
            if over:
                self.close()

    def tunnel(self, address: tuple[str, int], timeout: float) -> paramiko.Channel:
        """Return a channel that leads on to an address; raise what paramiko raises."""
        try:
            return self._transport.open_channel("direct-tcpip", address, _TUNNEL_SOURCE, timeout=timeout)
        except paramiko.SSHException as error:
            if "Timeout" in str(error):
                msg = f"{self.endpoint.name} does not reach it"
                raise TimeoutError(msg) from error
            raise

    def listen(self, lead: Callable[[paramiko.Channel, tuple[str, int], tuple[str, int]], None]) -> int:
        """Have the server listen on a free port of its loopback, have each connection led on, and return the port."""
        watchdog = threading.Timer(self._settings.patience, self.close)  # the library would wait without a limit
        watchdog.daemon = True
        watchdog.start()
        try:
            return self._transport.request_port_forward(LOOPBACK, 0, lead)
        except paramiko.SSHException as error:
            if not self.is_alive():
                raise ConnectionLost("the connection was lost", where=self.endpoint.name) from error
            hint = "its sshd_config says `AllowTcpForwarding no` or `local`, or the key is restricted"
            raise ActionFailed("it lets no port be forwarded", where=self.endpoint.name, hint=hint) from error
        finally:
            watchdog.cancel()

    def retire(self) -> None:
        """Hang up as soon as no channel is in use: who still gets answers on this connection keeps it until then."""
        with self._condition:
            self._retired = True
            over = self._busy == 0
        if over:
            self.close()

    def close(self) -> None:
        """Hang up; everybody who waits on one of its channels is woken."""
        hang_up(self._line, self._transport)

    def _enter(self, deadline: Deadline, *, lasting: bool) -> None:
        with self._condition:
            if not self._condition.wait_for(lambda: self._busy < self._room or self.is_held(), deadline.left()):
                raise ConnectFailed("no channel came free", where=self.endpoint.name)
            if self._busy >= self._room:
                raise ConnectionLost("its channels are all held for a run", where=self.endpoint.name)
            self._busy += 1
            self._lasting += lasting

    def _leave(self, *, lasting: bool) -> bool:
        """Give back the room of a channel that was refused; return whether no other is open."""
        with self._condition:
            self._busy -= 1
            self._lasting -= lasting
            self._room = max(1, min(self._room, self._busy))
            self._condition.notify()
            return self._busy == 0


def is_of_no_common_kind(error: BaseException | None) -> bool:
    """Return whether a handshake failed because the server has no host key of a kind that we asked for."""
    return isinstance(error, IncompatiblePeer) and "host key" in str(error)
