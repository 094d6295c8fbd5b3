"""At most one run acts on an app: a lease in the journal that falls by itself when its holder dies or falls silent."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tfheal.base.errors import Refused, TfhealError
from tfheal.base.moments import rfc3339
from tfheal.edge.database import Row
from tfheal.edge.journal import SqliteJournal
from tfheal.edge.process import this_process
from tfheal.edge.rows import moment, written
from tfheal.model.lease import HEARTBEAT, SILENCE
from tfheal.model.record import LeaseHolder


class JournalLeases:
    """The leases port over the journal: one row an app, and one thread that renews all that are held."""

    def __init__(self, journal: SqliteJournal, heartbeat: float = HEARTBEAT) -> None:
        """Keep leases in that journal, and renew those held every `heartbeat` seconds."""
        self._journal = journal
        self._database = journal.database
        self._heartbeat = heartbeat
        self._held: dict[str, str] = {}
        self._pulse: _Pulse | None = None
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, app: str, what: str, run: str) -> Iterator[None]:
        """Hold the lease of an app while the context lasts; raise Refused that says who holds it, or who took it."""
        self._take(app, what, run)
        try:
            with self._renewed(app, run):
                yield
        except BaseException:
            # Why the body ended is what counts; a lease that cannot be dropped falls with this process.
            with suppress(TfhealError):
                self._drop(app, run)
            raise
        if not self._drop(app, run):
            raise self._lost(app)

    def check(self, app: str, run: str) -> None:
        """Renew the lease that a run holds; raise Refused if another run took it, so that nothing acts on it."""
        with self._database.atomic():
            ours = self._renew_row(app, run)
        if not ours:
            raise self._lost(app)

    def holder(self, app: str) -> LeaseHolder | None:
        """Return who holds the lease now, if anybody alive does."""
        rows = [row for row in self._database.rows("lease", app=app) if not self._journal.is_dead(row)]
        return _holder(rows[0]) if rows else None

    def _take(self, app: str, what: str, run: str) -> None:
        me, clock = this_process(), self._journal.clock
        with self._database.atomic():
            if (holder := self.holder(app)) is not None:
                raise _held(holder)
            self._database.change(
                "take_lease",
                app=app,
                what=what,
                run=run,
                host=me.host,
                user=me.user,
                pid=me.pid,
                boot=me.boot,
                process_started=me.started,
                renewed=written(clock.now()),
                beat=clock.monotonic(),
            )

    @contextmanager
    def _renewed(self, app: str, run: str) -> Iterator[None]:
        with self._lock:
            self._held[app] = run
            if self._pulse is None:
                self._pulse = _Pulse(self._heartbeat, self._renew_all)
        try:
            yield
        finally:
            with self._lock:
                del self._held[app]
                idle = None if self._held else self._pulse
                self._pulse = None if idle else self._pulse
            if idle:
                idle.stop()

    def _renew_all(self) -> None:
        with self._lock:
            held = dict(self._held)
        # A beat that fails is not for its thread to tell: `check` meets the same error where the work is done.
        with suppress(TfhealError), self._database.atomic():
            for app, run in held.items():
                self._renew_row(app, run)

    def _renew_row(self, app: str, run: str) -> bool:
        clock = self._journal.clock
        return bool(
            self._database.change("renew_lease", app=app, run=run, renewed=written(clock.now()), beat=clock.monotonic())
        )

    def _drop(self, app: str, run: str) -> bool:
        with self._database.atomic():
            return bool(self._database.change("drop_lease", app=app, run=run))

    def _lost(self, app: str) -> Refused:
        successor = self.holder(app)
        taken = "another run has taken it over" if successor is None else f"{_who(successor)} has taken it over"
        return Refused(
            f"the lease of {app} was lost",
            why=f"this run was silent for more than {SILENCE:.0f} seconds, and {taken}",
            hint="run the command again when the other has ended",
        )


class _Pulse:
    """A thread that does something every few seconds until it is stopped."""

    def __init__(self, seconds: float, beat: Callable[[], None]) -> None:
        """Begin."""
        self._seconds = seconds
        self._beat = beat
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat of the leases", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, after the beat that is under way."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            self._beat()


def _held(holder: LeaseHolder) -> Refused:
    return Refused(
        f"another run is acting on {holder.app}",
        why=f"{_who(holder)}, since {rfc3339(holder.since)}",
        hint=(
            f"wait until it ends; if it hangs, end process {holder.pid} on {holder.host}, "
            f"and {SILENCE:.0f} seconds later the lease is free"
        ),
    )


def _who(holder: LeaseHolder) -> str:
    return f"{holder.user}@{holder.host} (process {holder.pid}, `{holder.what}`)"


def _holder(row: Row) -> LeaseHolder:
    return LeaseHolder(
        app=row["app"],
        what=row["what"],
        host=row["host"],
        user=row["user"],
        pid=row["pid"],
        run=row["run"],
        since=moment(row["since"]),
        renewed=moment(row["renewed"]),
    )
