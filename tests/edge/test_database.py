"""The journal is the only memory of an unattended program: it must survive everything that ends the program."""

import errno
import os
import re
import signal
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from journals import NOW, an_action, python
from rights import no_rights_over_files

from tfheal.base.errors import ActionFailed, NeedsHuman, Refused, TfhealError, UsageError
from tfheal.edge import database
from tfheal.edge.journal import SqliteJournal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a workspace keeps its journal."""
    return tmp_path / ".tfheal" / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    """Return an open journal."""
    with closing(SqliteJournal(path)) as opened:
        yield opened


# ---------------------------------------------------------------- the file


@pytest.mark.usefixtures("journal")
def test_the_file_is_private(path: Path) -> None:
    """Nobody else reads the journal, also when it or its folder was there with wider rights before."""
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    path.chmod(0o644)
    path.parent.chmod(0o755)
    with closing(SqliteJournal(path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_it_is_kept_as_promised(journal: SqliteJournal) -> None:
    """Write-ahead log, full synchronisation, foreign keys, strict tables."""
    asked = journal.database._connection.execute
    assert asked("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert asked("PRAGMA synchronous").fetchone()[0] == 2
    assert asked("PRAGMA foreign_keys").fetchone()[0] == 1
    tables = asked("SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite%'")
    assert {row["strict"] for row in tables} == {1}


def test_opening_it_again_migrates_nothing(path: Path) -> None:
    """Each migration is applied once, and what was recorded stays."""
    with closing(SqliteJournal(path)) as journal:
        run = journal.begin_run("deploy", NOW)
    with closing(SqliteJournal(path)) as journal:
        journal.end_run(run.id, 0, NOW)
        assert len(journal.database._connection.execute("SELECT * FROM migration").fetchall()) == len(
            database._migrations()
        )


def test_a_migration_is_applied_whole_or_not_at_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that fails leaves no trace of itself; the steps before it stay, and it is tried again."""
    first = database._migrations()
    monkeypatch.setattr(database, "_migrations", lambda: [*first, "CREATE TABLE extra (x);\nNONSENSE;\n"])
    with pytest.raises(ActionFailed, match="refused"):
        SqliteJournal(path)
    monkeypatch.setattr(database, "_migrations", lambda: [*first, "CREATE TABLE extra (x);\n"])
    with closing(SqliteJournal(path)) as journal:
        journal.begin_run("deploy", NOW)
        assert journal.database._schema() == len(first) + 1
    monkeypatch.undo()
    with pytest.raises(UsageError, match="newer tfheal") as caught:
        SqliteJournal(path)
    assert f"schema is {len(first) + 1}" in caught.value.why


@pytest.mark.parametrize("content", [b"not a database at all", b"\0" * 8_192, b"SQLite format 3\0" + b"\xff" * 9_000])
def test_a_damaged_file_is_told_and_left_alone(path: Path, content: bytes) -> None:
    """What is not a database is neither used nor overwritten, and the message says what to do."""
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(NeedsHuman) as caught:
        SqliteJournal(path)
    error = caught.value
    assert all((error.what, error.where, error.why, error.hint))
    assert f"mv {path}" in error.hint
    assert path.read_bytes() == content


def test_damage_met_later_is_told_too(path: Path) -> None:
    """A file that opens well and is damaged further in gives the same error at the query that meets it."""
    with closing(SqliteJournal(path)) as journal:
        run = journal.begin_run("deploy", NOW)
        for _ in range(200):
            an_action(journal, run.id, why="x" * 500)
    data = bytearray(path.read_bytes())
    data[8_192:-4_096] = b"\xa5" * (len(data) - 12_288)
    path.write_bytes(bytes(data))
    with pytest.raises(NeedsHuman, match="cannot be read"), closing(SqliteJournal(path)) as journal:
        journal.actions()


def test_a_database_of_another_program_is_left_alone(path: Path) -> None:
    """A sound database without our migrations is somebody else's."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (x)")
    with pytest.raises(NeedsHuman, match="cannot be read") as caught:
        SqliteJournal(path)
    assert "another program" in caught.value.why


def test_a_locked_journal_is_refused_in_words(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that keeps the file locked makes us wait, then refuse; nothing is written."""
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)
    with closing(SqliteJournal(path)) as journal, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Refused, match="in use"):
            journal.begin_run("deploy", NOW)
        other.execute("ROLLBACK")
        journal.begin_run("deploy", NOW)


def test_a_full_disk_is_told_and_what_was_recorded_stays(journal: SqliteJournal) -> None:
    """Without room for a record it is refused whole, and the journal goes on when there is room again."""
    run = journal.begin_run("deploy", NOW)
    pages = journal.database._connection.execute("PRAGMA page_count").fetchone()[0]
    journal.database._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(ActionFailed, match="cannot be used") as caught:
        _write_until_it_fails(journal, run.id)
    assert "full" in caught.value.why
    kept = len(journal.actions())
    journal.database._connection.execute("PRAGMA max_page_count = 100000")
    an_action(journal, run.id)
    assert len(journal.actions()) == kept + 1


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A file where the folder should be, and a folder without write permission, are ours to explain."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError) as caught:
        SqliteJournal(tmp_path / "file" / "journal.db")
    assert caught.value.why == os.strerror(errno.EEXIST)
    with pytest.raises(UsageError, match="cannot be used"):
        SqliteJournal(Path("/proc/tfheal/journal.db"))


def test_somebody_elses_journal_is_told(path: Path) -> None:
    """A journal that an administrator made is explained to the user who may not read it."""
    SqliteJournal(path).close()
    path.parent.chmod(0)
    with no_rights_over_files(), pytest.raises(UsageError) as caught:
        SqliteJournal(path)
    path.parent.chmod(0o700)
    assert "belongs to you" in caught.value.hint


CODES = [name for name in dir(sqlite3) if re.fullmatch(r"SQLITE_[A-Z]+", name) and 0 < getattr(sqlite3, name) < 27]


@pytest.mark.parametrize("name", CODES)
def test_every_code_of_sqlite_becomes_one_of_our_errors(name: str) -> None:
    """Whatever SQLite says is told in our words, with the place and the reason."""
    error = sqlite3.OperationalError("its own words")
    error.sqlite_errorcode = getattr(sqlite3, name)
    ours = database._ours(error, Path("/w/.tfheal/journal.db"))
    assert isinstance(ours, TfhealError)
    assert all((ours.what, ours.where, ours.why))


def test_a_closed_journal_is_told(journal: SqliteJournal) -> None:
    """Errors of the module itself, which have no code, are ours too."""
    journal.close()
    with pytest.raises(ActionFailed):
        journal.begin_run("heal", NOW)


# ---------------------------------------------------------------- threads, processes, kills


def test_threads_share_one_journal(journal: SqliteJournal) -> None:
    """A fan-out writes and reads through one journal; nothing is lost and nothing is mixed."""
    run = journal.begin_run("heal", NOW).id
    errors: list[TfhealError] = []

    def work(number: int) -> None:
        try:
            for _ in range(20):
                action = an_action(journal, run, app=f"app{number}")
                journal.conclude(action.id, "done", str(number), NOW)
                journal.actions(f"app{number}")
        except TfhealError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for number in range(8):
        assert [action.detail for action in journal.actions(f"app{number}")] == [str(number)] * 20


def test_processes_share_one_journal(path: Path) -> None:
    """Several processes make the file at the same moment, and each finds its own records in it."""
    script = "run = journal.begin_run('heal', NOW)\nfor _ in range(25): begin(run.id)\n"
    processes = [python(path, script) for _ in range(6)]
    for process in processes:
        with process:
            assert process.wait(timeout=60) == 0
    with closing(SqliteJournal(path)) as journal:
        assert len(journal.actions()) == 150
        assert len({action.id for action in journal.actions()}) == 150
        assert len(journal.unfinished()) == 150


def test_kill_at_any_moment_loses_nothing_acknowledged(path: Path) -> None:
    """After each of many kills the file is whole, and every action that was acknowledged is in it."""
    script = "import sys\nrun = journal.begin_run('heal', NOW)\nwhile True:\n    print(begin(run.id), flush=True)\n"
    acknowledged: set[str] = set()
    for turn in range(12):
        with python(path, script) as process:
            assert process.stdout is not None
            acknowledged.update(process.stdout.readline().strip() for _ in range(1 + turn * 3))
            process.send_signal(signal.SIGKILL)
            # What follows the last newline was cut by the kill: it acknowledges nothing.
            acknowledged.update(process.stdout.read().split("\n")[:-1])
        with closing(SqliteJournal(path)) as journal:
            assert journal.database._connection.execute("PRAGMA integrity_check").fetchall()[0][0] == "ok"
            assert acknowledged <= {action.id for action in journal.actions(limit=1_000_000)}
            assert len(journal.unfinished()) >= len(acknowledged)


def _write_until_it_fails(journal: SqliteJournal, run: str) -> None:
    for _ in range(100):
        an_action(journal, run, why="x" * 1_900)
