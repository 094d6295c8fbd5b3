"""Opening a connection, step by step: the way, the handshake, the pinned key, the login; starts are bounded."""

import threading
from collections.abc import Callable
from typing import TypeVar

from tfheal.base.errors import ConnectFailed
from tfheal.edge.ssh import trust
from tfheal.edge.ssh.deadline import Deadline
from tfheal.edge.ssh.dial import Line, dial, patiently
from tfheal.edge.ssh.login import Identities
from tfheal.edge.ssh.place import first_word
from tfheal.edge.ssh.route import Endpoint
from tfheal.edge.ssh.session import Session, check_key, hang_up, is_of_no_common_kind, mismatch, shake_hands, shown_key
from tfheal.edge.ssh.trust import Trust
from tfheal.model.ssh import SshSettings

T = TypeVar("T")


class Opener:
    """Opens connections for all threads of a run."""

    def __init__(self, settings: SshSettings, pins: Trust, closing: threading.Event) -> None:
        """Take the numbers and the pinned keys; `closing` ends the pauses between attempts."""
        self._settings = settings
        self._trust = pins
        self._closing = closing
        self._identities = Identities()
        self._starts = threading.BoundedSemaphore(settings.starts)
        self._lock = threading.Lock()
        self._starts_at: dict[str, threading.BoundedSemaphore] = {}

    def open(self, endpoint: Endpoint, through: Session | None, spoke: Callable[[], None]) -> Session:
        """Given an endpoint and the jump host before it, connect, check its key and log in; raise what the port says.

        `spoke` is called when the server has said its first word; the bounds begin there too, so that servers that say
        nothing are waited for side by side with all others.
        """
        expected = self._trust.expected(endpoint)

        def attempt(deadline: Deadline) -> Session:
            line = self._answered(endpoint, through, deadline)
            spoke()
            with self._starts:
                transport = shake_hands(line, trust.algorithms(expected), self._settings)
                try:
                    check_key(transport, endpoint, expected)
                    self._identities.log_in(transport, endpoint, self._settings.auth_timeout)
                except BaseException:
                    hang_up(line, transport)
                    raise
            return Session(line, transport, endpoint, self._settings)

        try:
            return self._started(attempt, endpoint)
        except ConnectFailed as error:
            if not is_of_no_common_kind(error.__cause__):
                raise
            shown = self.shown_key(endpoint, through, trust.EVERY_KIND)
            raise mismatch(endpoint, expected, shown) from error

    def shown_key(self, endpoint: Endpoint, through: Session | None, kinds: tuple[str, ...]) -> str:
        """Given an endpoint, return the host key that it shows when asked for some kinds; empty if it has none."""

        def attempt(deadline: Deadline) -> str:
            line = self._answered(endpoint, through, deadline)
            with self._starts:
                transport = shake_hands(line, kinds, self._settings)
            try:
                return shown_key(transport)
            finally:
                hang_up(line, transport)

        try:
            return self._started(attempt, endpoint)
        except ConnectFailed as error:
            if is_of_no_common_kind(error.__cause__):
                return ""
            raise

    def _answered(self, endpoint: Endpoint, through: Session | None, deadline: Deadline) -> Line:
        line = dial(endpoint, through, self._settings, deadline)
        first_word(line, self._settings.banner_timeout)
        return line

    def _started(self, attempt: Callable[[Deadline], T], endpoint: Endpoint) -> T:
        """Run an attempt, and more if it makes sense, among the few that one address sees at once."""
        with self._lock:
            address = f"{endpoint.host} {endpoint.port}"
            gate = self._starts_at.setdefault(address, threading.BoundedSemaphore(self._settings.starts_per_host))

        def gated(deadline: Deadline) -> T:
            with gate:
                return attempt(deadline)

        return patiently(gated, endpoint, self._settings, self._closing)
