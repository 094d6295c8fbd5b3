"""The lease on the slice by a real shell: who is heard of keeps it, who falls silent is ended with all it started."""

import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from releases import a_release
from shells import MARKER, SHELLS, begun, kept_open

from tfheal.core import apply, lease
from tfheal.core.apply import Order, Report
from tfheal.core.resources.step import Step
from tfheal.model import paths

RELEASE = a_release(unit=None, checks=[])
FIRST = Order("deploy", "Provider on desk", "run-1", "deploy: new", 3, remembers=False, identity="s1 abc")
QUIET = 2.0  # seconds, instead of ten
SHELL = pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: str(shell[0]))


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give what an apply trip writes a place of its own, and silence less time; what still runs at the end is ended."""
    places = {"STATE": "var", "RUN": "run", "OWNER": "etc", "HANDS_OFF": "etc/off", "SLICE_JOURNAL": "log/journal"}
    for name, place in (places | {"IDENTITY": "var/identity"}).items():
        monkeypatch.setattr(paths, name, str(tmp_path / place))
    monkeypatch.setattr(lease, "SILENCE", QUIET)
    yield tmp_path
    for line in stamps(tmp_path):
        assert not Path(f"/proc/{line.split()[1]}/exe").exists(), line  # a process that nobody reaped has none


def script(machine: Path, body: str) -> str:
    """Return the script of an apply trip with one step, which stamps when it begins and ends."""
    step = Step("works", "", f"echo begin $$ >>{machine}/stamps\n{body}\necho end $$ >>{machine}/stamps", None, 60.0)
    return apply.composed(RELEASE, (step,), FIRST, {}, MARKER)


def stamps(machine: Path) -> list[str]:
    """Return what the steps wrote."""
    path = machine / "stamps"
    return path.read_text().splitlines() if path.exists() else []


def told(said: bytes) -> Report:
    """Read the report of an apply trip with one step."""
    return apply.report(said, RELEASE, (Step("works", "", "", None, 1.0),), FIRST, (), MARKER)


def open_in(process: str) -> set[int]:
    """Return the files that a process has open, under whatever number."""
    return {file.stat().st_ino for file in Path(f"/proc/{process}/fd").iterdir() if file.exists()}


def wait_for(machine: Path, lines: int) -> None:
    """Wait until the steps wrote so many lines."""
    end = time.monotonic() + 10
    while len(stamps(machine)) < lines and time.monotonic() < end:
        time.sleep(0.02)
    assert len(stamps(machine)) == lines


def beat_while(process: subprocess.Popen[bytes]) -> bytes:
    """Say now and then that we are there until the script has ended, and return what it said."""
    assert process.stdin
    assert process.stdout
    while process.poll() is None:
        process.stdin.write(b"\n")
        time.sleep(0.3)
    return process.stdout.read()


@SHELL
def test_who_is_heard_of_keeps_it_and_the_other_is_told_who_it_is(machine: Path, shell: tuple[str, ...]) -> None:
    """Work that takes longer than the silence goes on; a second run waits for one word, does nothing, and says whose."""
    with begun(script(machine, "sleep 4"), shell) as first:
        wait_for(machine, 1)
        with begun(script(machine, ":"), shell) as second:
            assert told(beat_while(first)).complete
            assert second.stdout
            refused = told(second.stdout.read())
    assert refused.refused.startswith("another run is at work on the slice: Provider on desk, deploy of notes/web, run")
    assert " since 20" in refused.refused
    assert " process " in refused.refused
    assert not refused.late
    assert len(stamps(machine)) == 2


@SHELL
@pytest.mark.parametrize("gone", [True, False], ids=["its connection is gone", "it is silent"])
def test_who_falls_silent_is_ended_with_all_it_started(machine: Path, shell: tuple[str, ...], gone: bool) -> None:  # noqa: FBT001
    """Also what made a session of its own; the next run says that it was late, and the one after that acts."""
    body = f"setsid sh -c 'echo begin $$ >>{machine}/stamps; sleep 60' &\nsleep 60"
    with begun(script(machine, body), shell) as first:
        assert first.stdin
        while len(stamps(machine)) < 2:  # until then it is heard of, however slow this machine is
            be_heard(first, machine)
        watching = stopped(first.pid, machine)  # its silence does not end before the second waits for that
        with begun(script(machine, ":"), shell) as second:
            assert second.stdout
            while "sleep" not in commands_of(second.pid):  # it found the lock taken, and waits
                assert second.poll() is None
            if gone:
                first.stdin.close()
            for pid in watching:
                os.kill(pid, signal.SIGCONT)
            late = told(second.stdout.read())
        assert first.wait(timeout=30) != 0
    assert (late.late, late.steps) == (True, ()), late
    assert "until just now: Provider on desk, deploy of notes/web, run run-1" in late.refused
    assert told(kept_open(script(machine, ":"), shell).stdout).complete
    assert [line.split()[0] for line in stamps(machine)] == ["begin", "begin", "begin", "end"]


def be_heard(process: subprocess.Popen[bytes], machine: Path) -> None:
    """Say once that we are there, as soon as somebody listens, and return when that was heard."""
    heard = machine / "run/notes.beat"
    while not (before := heard.read_text() if heard.exists() else ""):
        assert process.poll() is None
    time.sleep(0.02)  # the clock of the beats counts in hundredths of a second
    assert process.stdin
    process.stdin.write(b"\n")
    while heard.read_text() in {"", before}:
        assert process.poll() is None


def stopped(pid: int, machine: Path) -> list[int]:
    """Stop what watches over a trip, with all that it started, and return what was stopped, the last first."""
    lock = (machine / "run/notes.lock").stat().st_ino
    found = [child for child in children_of(pid) if lock not in open_in(str(child))]
    for (
        watcher
    ) in found:  # grows as it is gone through: once a parent is stopped, it has all the children that it will have
        os.kill(watcher, signal.SIGSTOP)
        found += children_of(watcher)
    return found[::-1]


def children_of(pid: int) -> list[int]:
    """Return the processes that a process started and that are not over."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def commands_of(pid: int) -> set[str]:
    """Return the names of the programs that a process has started and that are not over."""
    found = set()
    for child in children_of(pid):
        with suppress(OSError):
            found.add(Path(f"/proc/{child}/comm").read_text().strip())
    return found


def test_what_a_dead_keeper_left_is_ended_by_the_next(machine: Path) -> None:
    """If nobody on the slice watches over the silence any more, the successor does."""
    with begun(script(machine, "trap '' TERM; sleep 60; sleep 60")) as first:
        wait_for(machine, 1)
        lock = (machine / "run/notes.lock").stat().st_ino
        keepers = [pid for pid in children_of(first.pid) if lock not in open_in(str(pid))]
        assert len(keepers) == 2, "the keeper, and what gives signs of life"
        for keeper in keepers:
            os.kill(keeper, signal.SIGKILL)
        assert told(kept_open(script(machine, ":")).stdout).late
        assert first.wait(timeout=5) != 0


def test_a_lock_that_is_nobodys_trip_is_waited_for_and_then_left_alone(machine: Path) -> None:
    """Who holds it as another descriptor, as the freeing of a disk does, is refused to and never ended."""
    (machine / "run").mkdir()
    with (machine / "run/notes.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = told(kept_open(script(machine, ":")).stdout)
    assert (refused.late, refused.refused) == (False, "another run is at work on the slice: ")
    assert stamps(machine) == []


def test_nothing_is_left_of_a_trip_that_is_over(machine: Path) -> None:
    """Its keeper ends with it, and whoever takes the lease then is not ended by it."""
    for _ in range(3):
        assert told(kept_open(script(machine, ":")).stdout).complete
    with begun(script(machine, "sleep 0.5")) as first:
        assert told(beat_while(first)).complete
        children = Path(f"/proc/{first.pid}/task")
        assert not children.exists()
    assert json.loads((machine / "log/journal").read_text().splitlines()[-1])["event"] == "end"


@SHELL
def test_a_vigil_holds_the_app_among_its_slices_as_long_as_it_is_kept(machine: Path, shell: tuple[str, ...]) -> None:
    """It says so again and again, refuses another vigil, hinders no work on its slice, and ends with its connection."""
    with begun(lease.vigil("notes", "Provider on desk, heal", MARKER), shell) as first:
        assert first.stdin
        assert first.stdout
        said = lease.word(first.stdout.readline().strip(), MARKER)
        assert said == lease.Word("held")
        assert told(kept_open(script(machine, ":")).stdout).complete
        with begun(lease.vigil("notes", "Provider elsewhere", MARKER), shell) as second:
            assert second.stdout
            first.stdin.write(b"\n")
            time.sleep(0.5)
            first.stdin.write(b"\n")
            refused = lease.word(second.stdout.readline().strip(), MARKER)
        assert refused
        assert (refused.state, refused.who.split(",")[0]) == ("busy", "Provider on desk")
        first.stdin.close()
        first.wait(timeout=5)
    with (machine / "run/notes.slices.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_who_takes_the_vigil_of_one_that_fell_silent_is_told_so(machine: Path) -> None:
    """What was planned meanwhile is planned anew."""
    with begun(lease.vigil("notes", "Provider on desk, heal", MARKER), SHELLS[0]) as first:
        assert first.stdin
        assert first.stdout
        first.stdout.readline()
        late = lease.word(kept_open(lease.vigil("notes", "Provider elsewhere", MARKER)).stdout.strip(), MARKER)
        assert late
        assert (late.state, late.who.split(",")[0]) == ("late", "Provider on desk")
        assert first.wait(timeout=5) != 0
    assert lease.word(b"noise", MARKER) is None
    assert not stamps(machine)
