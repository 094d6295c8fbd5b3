"""What outlives its time-out is ended on the slice, with its children: looked up in the real process list."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from real_sshd import CAP, QUICK, Sshd, command_lines_with, wait_until_gone

from tfheal.base.errors import BadReply, ConnectionLost, RemoteTimeout
from tfheal.edge.ssh.dial import Line
from tfheal.edge.ssh.remote import bounded_shell
from tfheal.edge.ssh.session import hang_up
from tfheal.model.ports import Exec

_NUMBERS = itertools.count(1)


@pytest.fixture
def nap() -> Iterator[str]:
    """Return a number of seconds that no other process sleeps; what sleeps it is ended after the test."""
    seconds = f"9{os.getpid()}.{next(_NUMBERS):04d}"
    yield seconds
    for pid in command_lines_with(seconds):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    "script",
    [
        "sleep {nap}",
        "sleep {nap} & sleep {nap} & wait",
        "timeout 99999 sleep {nap}",
        "timeout 99999 sh -c 'sleep {nap} & sleep {nap}; true'",
        "trap '' TERM; sleep {nap}; sleep {nap}",
        "(trap '' TERM HUP INT; timeout 99999 sh -c 'trap \"\" TERM; sleep {nap}; sleep {nap}') & wait",
        "yes | sleep {nap}",
    ],
)
def test_nothing_of_an_overdue_script_is_left(sshd: Sshd, nap: str, script: str) -> None:
    """Children in the background, in process groups of their own and deaf to TERM end with the script."""
    transport = sshd.transport(replace(QUICK, grace=8.0))  # the slice itself may be busy with much else
    begun = time.monotonic()
    with pytest.raises(RemoteTimeout, match="was ended there"):
        transport.run(sshd.slice(), Exec(script.format(nap=nap), timeout=0.6, cap=CAP))
    assert 0.6 <= time.monotonic() - begun < 12
    assert command_lines_with(nap) == []


def test_time_out_is_for_the_whole_and_not_for_one_read(sshd: Sshd) -> None:
    """A trickle of lines does not keep a script alive."""
    begun = time.monotonic()
    with pytest.raises(RemoteTimeout):
        sshd.transport().run(sshd.slice(), Exec("while :; do echo line; sleep 0.1; done", timeout=0.8, cap=CAP))
    assert time.monotonic() - begun < 3


def test_script_that_itself_answers_as_timeout_does_is_no_time_out(sshd: Sshd) -> None:
    """Status 124 before the time-out is the script's own."""
    assert sshd.transport().run(sshd.slice(), Exec("timeout 0.1 sleep 5", timeout=10, cap=CAP)).status == 124


def test_connection_serves_on_after_a_time_out(sshd: Sshd) -> None:
    """A script that was ended says nothing against the connection."""
    transport = sshd.transport()
    with pytest.raises(RemoteTimeout):
        transport.run(sshd.slice(), Exec("sleep 60", timeout=0.3, cap=CAP))
    session = transport._sessions[sshd.slice()]
    assert transport.run(sshd.slice(), Exec("echo here", timeout=10, cap=CAP)).stdout == b"here\n"
    assert transport._sessions[sshd.slice()] is session


def test_slice_ends_an_overdue_script_when_the_controller_is_gone(sshd: Sshd, nap: str) -> None:
    """A connection that is lost does not leave a script running beyond its time-out."""
    transport = sshd.transport()
    begun = f"until grep -qs {nap} /proc/$!/cmdline; do sleep 0.1; done"
    script = f"timeout 99999 sleep {nap} & {begun}; echo ready; sleep {nap}"
    with pytest.raises(ConnectionLost):
        transport.run(sshd.slice(), Exec(script, timeout=4, cap=CAP, on_line=lambda _: transport.close()))
    assert command_lines_with(nap)
    assert wait_until_gone(nap, 14)


def test_script_that_leaves_a_child_with_open_streams_is_answered(sshd: Sshd, nap: str) -> None:
    """The reply does not wait for a child in the background that holds stdout open; the child stays."""
    begun = time.monotonic()
    reply = sshd.transport().run(sshd.slice(), Exec(f"sleep {nap} & echo done", timeout=20, cap=CAP))
    assert (reply.stdout, reply.status) == (b"done\n", 0)
    assert time.monotonic() - begun < 4
    assert command_lines_with(nap)


def test_frozen_slice_costs_its_deadline_and_no_more(sshd: Sshd) -> None:
    """A slice that stops in the middle of a script is given up after time-out and grace."""
    frozen: list[int] = []

    def freeze(line: bytes) -> None:
        frozen.append(_sshd_above(int(line)))
        os.kill(frozen[0], signal.SIGSTOP)

    transport = sshd.transport(replace(QUICK, grace=1.0))
    begun = time.monotonic()
    try:
        with pytest.raises(ConnectionLost, match="fell silent"):
            transport.run(sshd.slice(), Exec("echo $$; sleep 0.2; echo more", timeout=1.0, cap=CAP, on_line=freeze))
        assert 1.9 < time.monotonic() - begun < 4.5
        assert transport.run(sshd.slice(), Exec("echo again", timeout=5, cap=CAP)).stdout == b"again\n"
    finally:
        os.kill(frozen[0], signal.SIGCONT)


def test_who_listens_gives_up_on_silence_long_before_the_time_out(sshd: Sshd) -> None:
    """A script at work that says nothing at all is given up after the silence; a sign of life on stderr is enough."""
    transport = sshd.transport(replace(QUICK, silence=1.0))
    alive = "for i in 1 2 3 4 5 6 7 8; do sleep 0.25; printf . >&2; done; echo done"
    reply = transport.run(sshd.slice(), Exec(alive, timeout=60, cap=CAP, on_line=lambda _: None))
    assert (reply.stdout, reply.stderr) == (b"done\n", b"." * 8)
    begun = time.monotonic()
    with pytest.raises(ConnectionLost, match="fell silent: nothing came for 1 s"):
        transport.run(sshd.slice(), Exec("echo begun; sleep 30", timeout=60, cap=CAP, on_line=lambda _: None))
    assert time.monotonic() - begun < 6


def test_kept_connection_that_froze_is_replaced(sshd: Sshd) -> None:
    """A kept connection that no longer answers costs its own limit, then a new one is used."""
    transport = sshd.transport(replace(QUICK, connect_timeout=1.0))
    transport.run(sshd.slice(), Exec("true", timeout=5, cap=CAP))
    session_process = _newest_session(sshd)
    os.kill(session_process, signal.SIGSTOP)
    try:
        assert transport.run(sshd.slice(), Exec("echo again", timeout=5, cap=CAP)).stdout == b"again\n"
    finally:
        os.kill(session_process, signal.SIGCONT)


def test_connection_with_one_lost_exec_serves_the_others_to_their_end(sshd: Sshd) -> None:
    """An exec that falls silent takes its connection out of use, but not away from another one that still runs."""
    transport = sshd.transport(replace(QUICK, grace=0.5))
    stopped: list[int] = []
    other: list[bytes] = []

    def run_other() -> None:
        other.append(transport.run(sshd.slice(), Exec("sleep 3; echo whole", timeout=20, cap=CAP)).stdout)

    def begin_other(line: bytes) -> None:
        stopped.append(int(line))
        thread.start()

    thread = threading.Thread(target=run_other)
    # The shell stops its parent: nobody is left who could end it in time.
    script = "echo $PPID; kill -STOP $PPID; sleep 4"
    with pytest.raises(ConnectionLost, match="silent"):
        transport.run(sshd.slice(), Exec(script, timeout=1, cap=CAP, on_line=begin_other))
    os.kill(stopped[0], signal.SIGCONT)
    thread.join()
    assert other == [b"whole\n"]
    assert sshd.slice() not in transport._sessions


def test_large_script_to_a_frozen_slice_does_not_hang(sshd: Sshd) -> None:
    """A write that is stuck in full buffers is woken at the deadline."""
    transport = sshd.transport(replace(QUICK, grace=0.5))
    transport.run(sshd.slice(), Exec("true", timeout=5, cap=CAP))
    channel_opened = transport._sessions[sshd.slice()].open_channel

    def open_and_freeze(**lasting: bool) -> object:
        channel = channel_opened(**lasting)
        os.kill(_newest_session(sshd), signal.SIGSTOP)
        return channel

    transport._sessions[sshd.slice()].open_channel = open_and_freeze  # type: ignore[method-assign, assignment]
    frozen = _newest_session(sshd)
    begun = time.monotonic()
    try:
        with pytest.raises(ConnectionLost):
            transport.run(sshd.slice(), Exec("# filler\n" * 3_000_000, timeout=0.5, cap=CAP))
        assert time.monotonic() - begun < 8
    finally:
        os.kill(frozen, signal.SIGCONT)


@pytest.mark.parametrize("stream", ["", ">&2"])
def test_endless_output_is_hung_up_on(sshd: Sshd, nap: str, stream: str) -> None:
    """Output without an end costs neither memory nor time, and what wrote it ends."""
    with pytest.raises(BadReply, match="no end"):
        sshd.transport().run(sshd.slice(), Exec(f"yes {nap} {stream}", timeout=20, cap=1000))
    assert wait_until_gone(nap, 3)


def test_hundred_megabytes_on_stderr_are_drained(sshd: Sshd) -> None:
    """What exceeds the cap is read and dropped, so that neither stream blocks the other."""
    transport = sshd.transport(replace(QUICK, flood=256 << 20))
    script = "head -c 104857600 /dev/zero >&2; echo done; head -c 3000000 /dev/zero"
    reply = transport.run(sshd.slice(), Exec(script, timeout=60, cap=1000))
    assert (len(reply.stdout), len(reply.stderr), reply.truncated) == (1000, 1000, True)
    assert reply.stdout.startswith(b"done\n")
    assert reply.status == 0


def test_shell_that_a_signal_ends_has_no_exit_status(sshd: Sshd) -> None:
    """A shell that was killed on the slice is a reply with status 137, as sh says it, and not a lost connection."""
    assert sshd.transport().run(sshd.slice(), Exec("kill -9 $$", timeout=5, cap=CAP)).status == 137


def test_forced_command_does_not_hang(make_sshd: Callable[..., Sshd]) -> None:
    """A login that may only run something else gives a reply, whatever that says."""
    sshd = make_sshd(ForceCommand="echo only this")
    assert sshd.transport().run(sshd.slice(), Exec("echo hello", timeout=5, cap=CAP)).stdout == b"only this\n"


def test_interpreter_exits_at_once_and_silently(sshd: Sshd, tmp_path: Path) -> None:
    """A program that fails or forgets to close its connections ends without noise and without waiting."""
    sshd.pins("s1")
    pins = next(sshd.folder.glob("pins-*/known_hosts"))
    program = f"""
import sys, time; sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from dataclasses import replace
from pathlib import Path
from real_sshd import QUICK, misbehaving
from build import a_slice
from tfheal.base.errors import ConnectFailed
from tfheal.edge.known_hosts import KnownHosts
from tfheal.edge.ssh.transport import SshTransport
from tfheal.model.ports import Exec
settings = replace(QUICK, banner_timeout=0.5, patience=0.6)
transport = SshTransport(settings, KnownHosts(Path({str(pins)!r})), Path({str(sshd.folder)!r}))
print(transport.run(a_slice(port={sshd.port}, key="client"), Exec("echo here", timeout=5, cap=100)).stdout.decode(), end="")
with misbehaving(lambda connection: connection.sendall(b"SSH-2.0-quiet\\r\\n")) as port:
    try:
        transport.run(a_slice(port=port, key="client"), Exec("true", timeout=5, cap=100))
    except ConnectFailed:
        print("failed")
Path({str(tmp_path / "end")!r}).write_text(str(time.monotonic()))
"""
    (tmp_path / "program.py").write_text(program)
    ended = subprocess.run(
        [sys.executable, tmp_path / "program.py"], capture_output=True, text=True, timeout=30, check=False
    )
    assert time.monotonic() - float((tmp_path / "end").read_text()) < 5
    assert (ended.stdout, ended.stderr, ended.returncode) == ("here\nfailed\n", "", 0)


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_any_shell_passes_the_command_on(shell: str) -> None:
    """The command around a script survives the login shell's reading of it."""
    command = bounded_shell("root", 5, 3)
    ended = subprocess.run([shell, "-c", command], input=b"echo $((20 + 3)); exit 4", capture_output=True, check=False)
    assert (ended.stdout, ended.returncode) == (b"23\n", 4)


def test_command_has_nothing_that_a_login_shell_could_change() -> None:
    """One line, one pair of single quotes, no backslash, no exclamation mark: csh and fish read it alike."""
    command = bounded_shell("admin", 5, 3)
    assert command.startswith("sudo -n sh -c '")
    assert not set(command) & set("\n\\!`")
    assert command.count("'") == 2


def _sshd_above(pid: int) -> int:
    """Return the nearest process above that is an sshd."""
    while "sshd" not in Path(f"/proc/{pid}/comm").read_text():
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid


def _newest_session(sshd: Sshd) -> int:
    """Return the process that talks on the connection that was made last; OpenSSH 9.8 and later put a monitor above it."""
    talker = sshd.process.pid
    for _ in range(2):
        below = subprocess.run(["pgrep", "-n", "-P", str(talker), "sshd"], capture_output=True, text=True, check=False)
        talker = int(below.stdout or talker)
    return talker


def test_a_way_that_is_gone_is_hung_up_all_the_same() -> None:
    """The machine that a connection leads through is gone: that it cannot be told so is no error, and the socket is closed."""
    near, far = socket.socketpair()

    def cut() -> None:
        raise EOFError

    hang_up(Line(near, cut), None)
    assert near.fileno() == -1
    far.close()
