"""The door to SQLite: one file, opened safely, migrated step by step, its every error mapped to ours.

What it promises: what a transaction wrote survives a kill and a power cut right after; several threads and several
processes may use the file at once; a file that is not ours, is damaged or comes from a newer tfheal is never touched.
"""

import os
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Final

from tfheal.base.errors import ActionFailed, NeedsHuman, Refused, TfhealError, UsageError

Row = sqlite3.Row
Value = str | int | float | None

BUSY_SECONDS: Final = 10.0
OWN_FOLDER: Final = ".tfheal"
_NAME: Final = "-- name:"
_UNUSABLE: Final = "the journal cannot be used"
_ONE_BYTE: Final = 0xFF


class Database:
    """One SQLite file; its named queries stand in `sql/queries.sql`."""

    def __init__(self, path: Path) -> None:
        """Open the file, made if it is missing, with its schema up to date; raise one of ours if it cannot be used."""
        self.path = path
        self._lock = threading.RLock()
        self._queries = _named(_sql("queries.sql"))
        try:
            self._open()
        except ActionFailed as failed:
            if failed.what != _UNUSABLE:
                raise
            # Nothing was touched yet: this is how the workspace is, not what came of an act.
            raise UsageError(failed.what, where=failed.where, why=failed.why, hint=failed.hint) from failed

    def _open(self) -> None:
        with self._mapped():
            _private(self.path)
            self._connection = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        try:
            with self._mapped():
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the file; what was written stays."""
        with self._lock, self._mapped():
            self._connection.close()

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """Make everything inside one transaction: all of it is on disk when this ends, or nothing."""
        with self._lock, self._mapped():
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                # Some errors have ended the transaction, or never let it begin; none may hide the first one.
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    def rows(self, query: str, **values: Value) -> list[Row]:
        """Return the rows of a named query."""
        with self._lock, self._mapped():
            return self._connection.execute(self._queries[query], values).fetchall()

    def change(self, query: str, **values: Value) -> int:
        """Run a named statement within `atomic`, and return how many rows it touched."""
        with self._lock, self._mapped():
            return self._connection.execute(self._queries[query], values).rowcount

    def _prepare(self) -> None:
        self._connection.row_factory = sqlite3.Row
        self._write_ahead()
        for pragma in ("synchronous = FULL", "foreign_keys = ON", "trusted_schema = OFF"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._migrate()

    def _write_ahead(self) -> None:
        # Changing the mode does not wait for others as everything else does, so we wait here.
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                (mode,) = self._connection.execute("PRAGMA journal_mode = WAL").fetchone()
                break
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        if mode != "wal":
            raise UsageError(
                "the journal cannot be kept safely here",
                where=str(self.path),
                why=f"write-ahead logging is not possible, the file system offers only {mode!r}",
                hint="put the workspace on a local disk",
            )

    def _migrate(self) -> None:
        steps = _migrations()
        if self._schema() == len(steps):
            return
        for number, step in enumerate(steps, start=1):
            with self.atomic():
                # Asked again inside the transaction: another process may have been faster.
                if self._schema() < number:
                    for statement in _statements(step):
                        self._connection.execute(statement)
                    self._connection.execute(
                        "INSERT INTO migration VALUES (?, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))", (number,)
                    )

    def _schema(self) -> int:
        tables = {name for (name,) in self._connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        if not tables:
            return 0
        if "migration" not in tables:
            raise _foreign(self.path, "it is a database of another program")
        (schema,) = self._connection.execute("SELECT coalesce(max(number), 0) FROM migration").fetchone()
        if schema > (known := len(_migrations())):
            raise UsageError(
                "the journal was written by a newer tfheal",
                where=str(self.path),
                why=f"its schema is {schema}, this tfheal knows up to {known}",
                hint="upgrade tfheal on this machine: pip install --upgrade tfheal",
            )
        return int(schema)

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _ours(error, self.path) from error
        except OSError as error:
            raise _unusable(self.path, error.strerror or str(error)) from error


def _private(path: Path) -> None:
    """Make the file and its folder, readable by their owner alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Never opened when it exists: closing any descriptor of a SQLite file drops every lock this process has on it.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    # A folder of another name is not tfheal's alone: others may need to get through it.
    places = [(path, 0o600), (path.parent, 0o700)] if path.parent.name == OWN_FOLDER else [(path, 0o600)]
    for place, mode in places:
        if stat.S_IMODE(place.stat().st_mode) & 0o077:
            place.chmod(mode)


def _sql(name: str) -> str:
    return files("tfheal.edge").joinpath("sql", name).read_text(encoding="utf-8")


def _migrations() -> list[str]:
    folder = files("tfheal.edge").joinpath("sql", "migrations")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [_sql(f"migrations/{name}") for name in names]


def _statements(script: str) -> Iterator[str]:
    """Given a script, yield its statements; `executescript` would commit the transaction around them."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _named(script: str) -> dict[str, str]:
    """Given a script of queries, each under a line `-- name: NAME`, return them by name."""
    parts = [part.partition("\n") for part in script.split(_NAME)[1:]]
    return {name.strip(): query for name, _, query in parts}


def _code(error: sqlite3.Error) -> int:
    """Return SQLite's primary error code; 0 for errors of the module itself."""
    return getattr(error, "sqlite_errorcode", 0) & _ONE_BYTE


def _ours(error: sqlite3.Error, path: Path) -> TfhealError:
    """Given an error of SQLite, return ours."""
    match _code(error):
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return _foreign(path, str(error))
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return Refused(
                "the journal is in use",
                where=str(path),
                why=f"another program has kept it locked for {BUSY_SECONDS:.0f} seconds",
                hint=f"see who: fuser -v {path}",
            )
        case sqlite3.SQLITE_FULL:
            return _unusable(path, str(error), "free space on its disk; what was recorded before is safe")
        case (
            sqlite3.SQLITE_READONLY
            | sqlite3.SQLITE_CANTOPEN
            | sqlite3.SQLITE_PERM
            | sqlite3.SQLITE_IOERR
            | sqlite3.SQLITE_AUTH
        ):
            return _unusable(path, str(error))
        case _:
            return ActionFailed("the journal refused a record", where=str(path), why=str(error))


def _unusable(path: Path, why: str, hint: str = "") -> ActionFailed:
    return ActionFailed(
        _UNUSABLE,
        where=str(path),
        why=why,
        hint=hint or f"see that {path.parent} belongs to you, can be written to, and that its disk is sound",
    )


def _foreign(path: Path, why: str) -> NeedsHuman:
    return NeedsHuman(
        "the journal cannot be read; it was left as it is",
        where=str(path),
        why=why,
        hint=(
            f"put back a copy of it, or begin a new one: mv {path} {path}.damaged "
            "(what is deployed is also recorded on the slices)"
        ),
    )
