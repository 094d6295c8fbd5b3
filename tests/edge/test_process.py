"""A process is told from every other that has had, or will have, its number."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tfheal.edge.process import is_gone, is_here, this_boot, this_process


def test_this_process_is_here_and_not_gone() -> None:
    """We know ourselves: number, start, boot, and the name of the user."""
    me = this_process()
    assert me.pid == os.getpid()
    assert me.user
    assert is_here(me.boot)
    assert not is_gone(me.pid, me.started)
    assert is_gone(me.pid, me.started + 1)


def test_a_process_that_ended_is_gone_also_as_a_zombie() -> None:
    """A killed process that nobody has waited for still has a number, and is gone."""
    with subprocess.Popen(["sleep", "60"]) as process:
        started = _start_of(process.pid)
        assert not is_gone(process.pid, started)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert is_gone(process.pid, started)
    assert is_gone(process.pid, started)


def test_no_name_of_a_process_confuses_us() -> None:
    """A name with spaces and brackets shifts no field."""
    script = "open('/proc/self/comm', 'w').write(') Z 1 (x'); print(flush=True); input()"
    argv = [sys.executable, "-c", script]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert not is_gone(process.pid, _start_of(process.pid))
        process.communicate("\n")


@pytest.mark.parametrize("boot", ["", "another boot", this_boot().replace("pid:[", "pid:[1")])
def test_another_boot_or_namespace_is_not_here(boot: str) -> None:
    """A number of another machine, boot or container says nothing here."""
    assert not is_here(boot)


def test_a_thread_is_the_process() -> None:
    """From a thread we are the same process."""
    found = []
    thread = threading.Thread(target=lambda: found.append(this_process()))
    thread.start()
    thread.join()
    assert found == [this_process()]


def _start_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
