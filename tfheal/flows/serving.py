"""The second way to a store: a server of one repository there, and a bridge to it through us, both for the time of a job.

The slice has no key to the store and cannot reach it without us; when we are gone, so are the server and the bridge, and
the job ends.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tfheal.base.errors import ActionFailed, Refused, TfhealError
from tfheal.core.backup import serving
from tfheal.core.backup.serving import Word
from tfheal.core.stores import repository
from tfheal.flows.pauses import check
from tfheal.model.backup import Repository
from tfheal.model.inventory import Slice
from tfheal.model.ports import Exec, Ports

_LONGEST: Final = 86_400.0  # seconds; no job is meant to take that long
_CAP: Final = 1 << 20
_FIRST: Final = 60.0  # seconds until its first word: the connection, and the server's start
_PARTING: Final = 5.0  # seconds that it may take to end; without it the store sees to that
_UNREACHED: Final = "the store cannot be reached"


@contextmanager
def served(
    app: str, source: str, target: Slice, store: Slice, password: str, ports: Ports
) -> Iterator[tuple[Repository, Callable[[], bool]]]:
    """Given whose repository of which app, on which store, and its password: the way to it for a job on `target`.

    With it comes what says whether the way has ended before the job. Raise ActionFailed where there is none.
    """
    check(app, store.name, ports)
    word = ports.vault.password().reveal()
    server = _Server(store, serving.script(repository(app, source), word, marker := ports.marker()), marker, ports)
    try:
        port = server.port()
        with ports.transport.bridge(target, store, port) as near:
            yield _way(near, word, password), server.ended
    finally:
        server.end()


def _way(port: int, word: str, password: str) -> Repository:
    variables = (("RESTIC_REST_USERNAME", serving.USER), ("RESTIC_REST_PASSWORD", word))
    url = f"rest:http://127.0.0.1:{port}/"
    return Repository("", 22, "", (), "", password, url=url, variables=variables, bound=True)


class _Server:
    """One exec that serves a repository on its store as long as we are there, and what it said first."""

    def __init__(self, store: Slice, script: str, marker: str, ports: Ports) -> None:
        """Begin."""
        self._store = store
        self._marker = marker
        self._word: Word | None = None
        self._error: TfhealError | None = None
        self._over = False
        self._told = threading.Event()
        order = Exec(script, timeout=_LONGEST, cap=_CAP, on_line=self._hear, beats=True, over=lambda: self._over)
        self._thread = threading.Thread(
            target=self._keep, args=(ports, order), name=f"server on {store.name}", daemon=True
        )
        self._thread.start()

    def port(self) -> int:
        """Wait for its first word and return its port; raise Refused or ActionFailed if it does not serve."""
        self._told.wait(_FIRST)
        if self._word is None:
            why = str(self._error) if self._error else f"no word of it in {_FIRST:g} s"
            raise ActionFailed(_UNREACHED, where=self._store.name, why=why)
        if not self._word.port:
            kind = Refused if self._word.refused else ActionFailed
            raise kind("the store does not serve", where=self._store.name, why=self._word.why)
        return self._word.port

    def ended(self) -> bool:
        """Return whether it serves no more."""
        return not self._thread.is_alive()

    def end(self) -> None:
        """Have it end, and wait for that, not for ever."""
        self._over = True
        self._thread.join(_PARTING)

    def _keep(self, ports: Ports, order: Exec) -> None:
        try:
            ports.transport.run(self._store, order)
        except TfhealError as error:
            self._error = error
        finally:
            self._told.set()

    def _hear(self, line: bytes) -> None:
        if word := serving.word(line, self._marker):
            self._word = self._word or word
            self._told.set()
