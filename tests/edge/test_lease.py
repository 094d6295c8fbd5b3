"""At most one run acts on an app, and a holder that is dead or silent keeps nobody waiting."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from journals import python

from tfheal.base.errors import Refused
from tfheal.edge.clock import SystemClock
from tfheal.edge.journal import SqliteJournal
from tfheal.edge.lease import JournalLeases

HOLD = """
from tfheal.edge.lease import JournalLeases
run = journal.begin_run("deploy crm", NOW).id
with JournalLeases(journal, heartbeat=0.2).hold("crm", "deploy crm", run):
    print("held", flush=True)
    sys.stdin.read()
"""


class SteeredClock(SystemClock):
    """The system's clock, moved by hand; wall and monotonic time apart."""

    def __init__(self) -> None:
        """Start at the time of the system."""
        self.wall = timedelta()
        self.steady = 0.0

    def now(self) -> datetime:
        """Return the time as moved."""
        return super().now() + self.wall

    def monotonic(self) -> float:
        """Return the monotonic time as moved."""
        return super().monotonic() + self.steady


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a workspace keeps its journal."""
    return tmp_path / ".tfheal" / "journal.db"


@pytest.fixture
def clock() -> SteeredClock:
    """Return a clock that a test can move."""
    return SteeredClock()


@pytest.fixture
def journal(path: Path, clock: SteeredClock) -> Iterator[SqliteJournal]:
    """Return an open journal whose clock can be moved."""
    with closing(SqliteJournal(path, clock)) as opened:
        yield opened


def test_a_held_app_is_refused_with_who_what_and_since_when(journal: SqliteJournal) -> None:
    """The refusal names the holder, its command and its start, and says what would lift it."""
    leases = JournalLeases(journal)
    with leases.hold("crm", "deploy crm", "run1"):
        holder = leases.holder("crm")
        with pytest.raises(Refused) as caught, leases.hold("crm", "heal --auto", "run2"):
            pytest.fail("two runs hold one app")
        with leases.hold("blog", "heal --auto", "run2"):
            pass
    assert holder is not None
    assert (holder.run, holder.what, holder.pid) == ("run1", "deploy crm", os.getpid())
    assert f"{holder.user}@{holder.host} (process {os.getpid()}, `deploy crm`), since 2" in caught.value.why
    assert f"end process {os.getpid()} on {holder.host}" in caught.value.hint
    assert caught.value.exit == 6
    assert leases.holder("crm") is None


def test_it_is_free_after_an_error_and_after_an_interrupt(journal: SqliteJournal) -> None:
    """Whatever ends the work ends the lease, and is what the caller sees."""
    leases = JournalLeases(journal)
    for error in (RuntimeError, KeyboardInterrupt):
        with pytest.raises(error), leases.hold("crm", "heal", "run1"):
            raise error
        assert leases.holder("crm") is None


def test_a_killed_holder_is_taken_over_at_once(journal: SqliteJournal, path: Path) -> None:
    """A process of this machine that is gone holds nothing, however fresh its heartbeat is."""
    leases = JournalLeases(journal)
    with python(path, HOLD) as process:
        _wait_until_held(process)
        assert leases.holder("crm") is not None
        process.send_signal(signal.SIGKILL)
        # Not waited for: a zombie has ended too.
        assert _within(5, lambda: leases.holder("crm") is None)
        with leases.hold("crm", "heal", "run2"):
            leases.check("crm", "run2")


def test_the_heartbeat_goes_on_while_the_work_does(journal: SqliteJournal, path: Path) -> None:
    """A live holder renews its lease by itself, in a process of its own."""
    leases = JournalLeases(journal)
    with python(path, HOLD) as process:
        _wait_until_held(process)
        first = leases.holder("crm")
        assert first is not None
        assert _within(5, lambda: (now := leases.holder("crm")) is not None and now.renewed > first.renewed)
        process.kill()


def test_one_thread_renews_all_that_is_held(journal: SqliteJournal) -> None:
    """A fleet's worth of leases costs one thread, which ends with the last of them."""
    leases = JournalLeases(journal, heartbeat=0.05)
    before = threading.active_count()
    with ExitStack() as held:
        for number in range(50):
            held.enter_context(leases.hold(f"app{number}", "heal", "run1"))
        assert threading.active_count() == before + 1
        first = {number: leases.holder(f"app{number}") for number in range(50)}
        for number, holder in first.items():
            assert holder is not None
            assert _within(5, lambda app=f"app{number}", at=holder.renewed: _renewed(leases, app) > at)
    assert threading.active_count() == before
    assert not any(leases.holder(f"app{number}") for number in range(50))


def test_a_silent_holder_is_taken_over_and_told(journal: SqliteJournal, path: Path, clock: SteeredClock) -> None:
    """A stopped process loses its lease after ten seconds; when it wakes up it must not act, and ends with 6."""
    leases = JournalLeases(journal)
    # Without heartbeats, so that it is not stopped in the middle of one, with the file locked.
    script = HOLD.replace("0.2", "60") + "    JournalLeases(journal).check('crm', run)\n"
    with python(path, script) as process:
        _wait_until_held(process)
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(Refused), leases.hold("crm", "heal", "run2"):
            pytest.fail("it was silent for a moment only")
        clock.steady += 11
        with leases.hold("crm", "heal", "run2"):
            process.send_signal(signal.SIGCONT)
            _, complaint = process.communicate("")
            assert process.returncode == 1
            assert "the lease of crm was lost" in complaint
            leases.check("crm", "run2")


def test_a_step_of_the_wall_clock_takes_no_lease(journal: SqliteJournal, clock: SteeredClock) -> None:
    """On one machine silence is measured by a clock that nobody sets."""
    leases = JournalLeases(journal)
    with leases.hold("crm", "deploy", "run1"):
        clock.wall += timedelta(hours=1)
        assert leases.holder("crm") is not None


def test_a_holder_elsewhere_is_judged_by_its_heartbeat(journal: SqliteJournal, clock: SteeredClock) -> None:
    """The process of another machine cannot be looked up; ten seconds of silence end its lease."""
    leases = JournalLeases(journal)
    row = ("crm", "heal", "far", "far", "ops", os.getpid(), "another boot", 1, "", "", 0.0)
    with journal.database.atomic():
        journal.database._connection.execute("INSERT INTO lease VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        journal.database._connection.execute("UPDATE lease SET since = ?1, renewed = ?1", (clock.now().isoformat(),))
    with pytest.raises(Refused, match="another run"), leases.hold("crm", "deploy", "run1"):
        pytest.fail("it is alive")
    clock.wall += timedelta(seconds=11)
    with leases.hold("crm", "deploy", "run1"):
        pass


def test_a_number_that_came_back_is_another_process(journal: SqliteJournal) -> None:
    """A process with the holder's number and another start is not the holder."""
    leases = JournalLeases(journal)
    with leases.hold("crm", "deploy", "run1"):
        journal.database._connection.execute("UPDATE lease SET process_started = process_started - 1")
        assert leases.holder("crm") is None


def test_a_lease_lost_unnoticed_is_told_at_the_end(journal: SqliteJournal) -> None:
    """Work that never checked still ends with the refusal, not as if all were well."""
    leases = JournalLeases(journal)
    with pytest.raises(Refused, match="lost") as caught, leases.hold("crm", "deploy", "run1"):
        journal.database._connection.execute("UPDATE lease SET run = 'run2', what = 'heal --auto'")
    assert "`heal --auto`) has taken it over" in caught.value.why


def test_of_many_processes_one_holds(journal: SqliteJournal, path: Path) -> None:
    """Asked for at the same moment, a lease goes to exactly one; the others exit saying who has it."""
    processes = [python(path, HOLD) for _ in range(5)]
    try:
        said = [process.stdout.readline().strip() if process.stdout else "" for process in processes]
    finally:
        for process in processes:
            process.communicate("")
    assert sorted(said) == ["", "", "", "", "held"]
    assert JournalLeases(journal).holder("crm") is None


def _renewed(leases: JournalLeases, app: str) -> datetime:
    holder = leases.holder(app)
    assert holder is not None
    return holder.renewed


def _wait_until_held(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n", process.stderr and process.stderr.read()


def _within(seconds: float, is_so: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if is_so():
            return True
        time.sleep(0.02)
    return False
