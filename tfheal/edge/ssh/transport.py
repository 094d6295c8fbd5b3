"""The port to slices: connections are opened lean, kept for the run, shared by threads, and bounded in number."""

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import paramiko

from tfheal.base import untrusted
from tfheal.base.errors import ConnectFailed, ConnectionLost, LoginFailed
from tfheal.edge.ssh import trust
from tfheal.edge.ssh.bridge import bridged
from tfheal.edge.ssh.execute import Call, execute
from tfheal.edge.ssh.opening import Opener
from tfheal.edge.ssh.place import Place, Places
from tfheal.edge.ssh.remote import bounded_shell
from tfheal.edge.ssh.route import Endpoint, Route, Routes
from tfheal.edge.ssh.session import Session
from tfheal.model.inventory import Slice
from tfheal.model.ports import Exec, HostKeys, Reply
from tfheal.model.ssh import SshSettings


class SshTransport:
    """Runs scripts on slices over SSH."""

    def __init__(self, settings: SshSettings, host_keys: HostKeys, workspace: Path) -> None:
        """Take the numbers, the pinned keys, and the folder where relative key paths start; connect to nothing."""
        self._settings = settings
        self._routes = Routes(workspace)
        self._closing = threading.Event()
        self._opener = Opener(settings, trust.Trust(host_keys), self._closing)
        self._places = Places(settings.connections)
        self._lock = threading.Lock()
        self._sessions: dict[Slice | Endpoint, Session] = {}  # in the order of their last use
        self._retired: list[Session] = []
        self._opening: defaultdict[Slice | Endpoint, threading.Lock] = defaultdict(threading.Lock)
        # paramiko would print, with tracebacks, what we say in our own words.
        logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)

    def run(self, target: Slice, order: Exec) -> Reply:
        """Run a script there and return its reply; see the port for what is raised.

        A script is sent at most once: a kept connection that turns out dead is opened anew only before it was sent.
        """
        user = self._routes.of(target).target.user
        command = bounded_shell(user, order.timeout, self._settings.grace)
        lasting = order.over is not None
        with self._places.one() as place, self._channel(target, place, lasting=lasting) as (session, channel):
            if lasting:  # it does no work, and others wait for a place as long as it lasts
                place.leave()
            reply = execute(channel, Call(target.name, command, order), self._settings, session.close)
        if user != "root":
            _check_sudo(reply, target.name, user)
        return reply

    def offered(self, target: Slice, *, every: bool = False) -> tuple[str, ...]:
        """Given a slice, return the host key that it shows as `TYPE KEY`, or one of `every` kind; log in nowhere."""
        route = self._routes.of(target)
        through = self._through(route)
        kinds = trust.KINDS if every else (trust.EVERY_KIND,)
        shown = (self._opener.shown_key(route.target, through, kind) for kind in kinds)
        keys = tuple(key for key in shown if key)
        if not keys:
            raise ConnectFailed("it shows no host key of a kind that is still trusted", where=target.name)
        return keys

    @contextmanager
    def bridge(self, near: Slice, far: Slice, port: int) -> Iterator[int]:
        """Give a port of the loopback of `near` that leads through us to `port` of `far`; see the port for what is raised."""
        with self._apart(near) as here, self._apart(far) as there:
            yield bridged(here, there, port, self._settings.patience)

    def close(self) -> None:
        """Close every connection; whoever waits on one of them is woken."""
        self._closing.set()
        with self._lock:
            open_ones = [*self._retired, *self._sessions.values()]
            self._sessions.clear()
        for session in reversed(open_ones):
            session.close()

    @contextmanager
    def _apart(self, target: Slice) -> Iterator[Session]:
        """Open a connection that nothing else uses: bytes by the gigabyte would keep others waiting."""
        route = self._routes.of(target)
        session = self._opener.open(route.target, self._through(route), lambda: None)
        with self._lock:
            self._retired.append(session)
        try:
            if self._closing.is_set():
                raise ConnectionLost("everything is being closed", where=target.name)
            yield session
        finally:
            session.close()
            with self._lock, suppress(ValueError):
                self._retired.remove(session)

    @contextmanager
    def _channel(self, target: Slice, place: Place, *, lasting: bool) -> Iterator[tuple[Session, paramiko.Channel]]:
        session, channel = self._opened(target, place, lasting=lasting)
        try:
            yield session, channel
        except ConnectionLost:
            self._drop(target, session)  # whatever is left of this connection is not trusted with a next script
            raise
        finally:
            session.close_channel(channel, lasting=lasting)

    def _opened(self, target: Slice, place: Place, *, lasting: bool) -> tuple[Session, paramiko.Channel]:
        """Return a channel to a slice, on the kept connection or on a new one; raise as a connection does."""
        renewed = False
        while True:
            session, reused = self._session(target, place)
            place.take()
            try:
                return session, session.open_channel(lasting=lasting)
            except ConnectionLost:
                held = session.is_held()  # by others: the next connection has channels of its own
                # Else it died while it was kept, or had to make room: once.
                fresh = not reused and session.is_alive()
                self._drop(target, session)
                if not held and (fresh or renewed):
                    raise
                renewed = renewed or not held
                place.leave()  # else those who wait for it here, and those who open it, would wait for each other

    def _session(self, target: Slice, place: Place) -> tuple[Session, bool]:
        """Return the connection to a slice, and whether it was open already."""

        def spoke() -> None:
            place.take()
            self._make_room()

        def opened() -> Session:
            route = self._routes.of(target)
            return self._opener.open(route.target, self._through(route), spoke)

        return self._kept(target, opened)

    def _through(self, route: Route) -> Session | None:
        """Return the last jump host of a route, connected; None if the way is direct.

        All slices behind a jump host share one connection to it: it sees one start, however many they are.
        """
        through: Session | None = None
        for hop in route.jumps:
            through = self._jump(hop, through)
        return through

    def _jump(self, hop: Endpoint, through: Session | None) -> Session:
        return self._kept(hop, lambda: self._opener.open(hop, through, self._make_room))[0]

    def _kept(self, key: Slice | Endpoint, opened: Callable[[], Session]) -> tuple[Session, bool]:
        """Return the kept connection of a key if it is alive, else a new one; one thread opens, others wait for it."""
        with self._lock:
            opening = self._opening[key]
        with opening:
            with self._lock:
                session = self._sessions.pop(key, None)
                if session is not None and session.is_alive():
                    self._sessions[key] = session
                    return session, True
            if session is not None:
                session.close()
            session = opened()
            with self._lock:
                self._sessions[key] = session
            if self._closing.is_set():
                session.close()
            return session, False

    def _make_room(self) -> None:
        """Hang up on the slices that were used longest ago, if as many connections are open as there may be."""
        with self._lock:
            idle = [key for key, session in self._sessions.items() if isinstance(key, Slice) and session.is_idle()]
            excess = max(0, len(self._sessions) + 1 - self._settings.connections)
            leaving = [self._sessions.pop(key) for key in idle[:excess]]
        for session in leaving:
            session.close()

    def _drop(self, target: Slice, session: Session) -> None:
        with self._lock:
            if self._sessions.get(target) is session:
                del self._sessions[target]
            self._retired.append(session)
        session.retire()


def _check_sudo(reply: Reply, where: str, user: str) -> None:
    """Raise LoginFailed if it was sudo that answered, and not our shell."""
    said = untrusted.line(reply.stderr, 200)
    if reply.status != 0 and not reply.stdout and ("sudo:" in said[:40]):
        hint = f"permit it there: `{user} ALL=(ALL) NOPASSWD: ALL` in /etc/sudoers.d/tfheal, or log in as root"
        raise LoginFailed(f"{user} cannot become root without a password", where=where, why=said, hint=hint)
