"""Programs on this machine: limits hold, and nothing of them is left."""

import subprocess
import sys
import time

import pytest
from real_sshd import wait_until_gone

from tfheal.base.errors import ActionFailed
from tfheal.edge import local


def test_reply_of_a_program() -> None:
    """A program gets its stdin and environment, and its streams and status come back."""
    script = "cat; printf %s $WORD >&2; exit 3"
    reply = local.run(["sh", "-c", script], timeout=5, stdin=b"in", environment={"WORD": "spoken"})
    assert (reply.stdout, reply.stderr, reply.status) == (b"in", b"spoken", 3)


def test_program_that_reads_nothing_and_writes_much() -> None:
    """Neither an unread stdin nor output beyond the cap blocks."""
    reply = local.run(["sh", "-c", "head -c 3000000 /dev/zero"], timeout=10, stdin=b"x" * 3_000_000, cap=100)
    assert (len(reply.stdout), reply.status) == (100, 0)


def test_program_that_closes_its_output_early_goes_on() -> None:
    """A program may send its output elsewhere and work on: it has its whole time, and its status is waited for."""
    assert local.run(["sh", "-c", "exec >&- 2>&-; sleep 1.5; exit 4"], timeout=20).status == 4
    with pytest.raises(ActionFailed, match="time-out"):
        local.run(["sh", "-c", "exec >&- 2>&-; sleep 98762.5"], timeout=0.3)
    assert wait_until_gone("98762.5", 2)


def test_overdue_program_is_ended_with_its_children() -> None:
    """A program that outlives its time-out is killed, its children in the background too."""
    begun = time.monotonic()
    with pytest.raises(ActionFailed, match="time-out"):
        local.run(["sh", "-c", "sleep 98761.5 & sleep 98761.5"], timeout=0.3)
    assert time.monotonic() - begun < 3
    assert wait_until_gone("98761.5", 2)


def test_program_that_is_not_there() -> None:
    """A missing program is an error that names it."""
    with pytest.raises(ActionFailed, match="no-such-program") as caught:
        local.run(["no-such-program"], timeout=1)
    assert "installed" in caught.value.hint


def test_replacing_this_process_passes_the_status_on() -> None:
    """The program that replaces us has our place: its status is ours, and what we had said is not lost."""
    program = (
        "import sys; sys.stdout.write('before '); from tfheal.edge import local;"
        "local.replace(['sh', '-c', 'echo after; exit 9'])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.returncode) == ("before after\n", 9)


def test_replacing_by_nothing() -> None:
    """A program that is not there does not replace us."""
    with pytest.raises(ActionFailed, match="no-such-program"):
        local.replace(["no-such-program"])
