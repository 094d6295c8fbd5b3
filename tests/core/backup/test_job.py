"""The trip of a job: nothing of a secret in an argument, nothing done by half a script, nothing believed unseen."""

import base64
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tfheal.base.errors import BadReply, Refused
from tfheal.core.backup import job as jobs
from tfheal.core.backup.job import REACH, Job, Task, TaskReply
from tfheal.model.backup import Repository

MARKER = "0123456789abcdef"
JOB = Job("1m", "files", "me", (REACH, Task("list", "r ls x")))
STORE = Repository("fd00::2", 22, "tf-files-store", ("ssh-ed25519 AAAA",), "THE-KEY", "THE-PASSWORD")


def reply(*lines: str) -> bytes:
    """Return what a slice says, each line behind the marker."""
    return "".join(f"{MARKER} {line}\n" for line in lines).encode()


def packed(text: str) -> str:
    """Return text as it travels."""
    return base64.b64encode(text.encode()).decode()


def test_secrets_are_in_no_argument() -> None:
    """The script holds the password and the key only as what a builtin writes into files that systemd takes over."""
    script = jobs.started(JOB, STORE, MARKER)
    assert "THE-PASSWORD" not in script
    assert "THE-KEY" not in script
    for secret in ("THE-PASSWORD", "THE-KEY"):
        (line,) = (line for line in script.splitlines() if packed(secret) in line)
        assert line.startswith(f"printf %s {packed(secret)} | base64 -d >")
    assert "LoadCredential=password:" in script


def test_a_job_gives_way_and_does_not_last_for_ever() -> None:
    """What serves has the processor and the disk first, and a restic that hangs is ended."""
    line = next(
        line for line in jobs.started(replace(JOB, longest=900.0), STORE, MARKER).splitlines() if "systemd-run" in line
    )
    for word in ("Nice=15", "IOSchedulingClass=idle", "RuntimeMaxSec=900"):
        assert f"--property={word} " in line, line
    assert f"RuntimeMaxSec={jobs.LONGEST:g} " in jobs.started(JOB, STORE, MARKER)


def test_what_an_address_needs_is_in_no_argument() -> None:
    """Variables travel as a credential of the unit, and are read there as they are, whatever is in them."""
    value = """it's "$HOME" `id`"""
    away = Repository(
        "", 22, "", (), "k", "p", url="rest:http://[::1]:8000/x", variables=(("RESTIC_REST_PASSWORD", value),)
    )
    script = jobs.started(JOB, away, MARKER)
    assert value not in script
    assert "LoadCredential=variables:" in script
    (line,) = (line for line in script.splitlines() if packed(f"RESTIC_REST_PASSWORD={value}\n") in line)
    assert line.startswith("printf %s ")
    reads = next(line for line in jobs._work(JOB, away).splitlines() if "read -r variable" in line)
    reads = reads.replace('"$CREDENTIALS_DIRECTORY/variables"', "/dev/stdin")
    shown = f"{reads}\nprintenv RESTIC_REST_PASSWORD"
    for shell in ("dash", "bash"):
        ran = subprocess.run(
            [shell, "-c", shown], input=f"RESTIC_REST_PASSWORD={value}\n", capture_output=True, text=True, check=True
        )
        assert ran.stdout == f"{value}\n"


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_the_script_is_one_that_a_shell_reads(shell: str) -> None:
    """Both scripts, and what the unit runs, are sh; one that is cut anywhere does nothing."""
    for script in (jobs.started(JOB, STORE, MARKER), jobs.followed(JOB, MARKER), jobs._work(JOB, STORE)):
        assert subprocess.run([shell, "-n"], input=script.encode(), check=False).returncode == 0
    whole = jobs.followed(JOB, MARKER)
    for end in range(0, len(whole) - len(f"_tfheal_{MARKER}\n"), 97):
        ran = subprocess.run([shell], input=whole[:end].encode(), capture_output=True, check=False)
        assert ran.stdout == b""


def test_each_task_is_told_of() -> None:
    """A status, or none for a task that was cut or never begun; what it said is masked and harmless."""
    told = jobs.replies(
        reply(f"task 0 0 {packed('hello')} ", f"task 1 - {packed('')} {packed('no hunter2!')}", "end"),
        JOB,
        MARKER,
        ("hunter2",),
    )
    assert told == {"reach": TaskReply(0, "hello", ""), "list": TaskReply(None, "", "no ***!")}


@pytest.mark.parametrize(
    "lines", [(), ("end",), ("task 0 0  ", "end"), ("task 0 0  ", "task 1 0  "), ("task 9 0  ", "end")]
)
def test_half_a_reply_is_none(lines: tuple[str, ...]) -> None:
    """What does not tell of every task, or has no end, is not read."""
    with pytest.raises(BadReply):
        jobs.replies(reply(*lines), JOB, MARKER, ())


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("paused", "by the owner"),
        ("wiped", "identity"),
        ("restic", "0.18"),
        ("busy", "another run"),
        ("gone", "nothing"),
    ],
)
def test_a_refusal_says_why(word: str, told: str) -> None:
    """Each reason of a slice is a refusal in our words, with what it said."""
    with pytest.raises(Refused, match=told):
        jobs.replies(reply(f"refused {word} {packed('since noon')}"), JOB, MARKER, ())


def test_a_job_that_is_led_there_ends_with_us() -> None:
    """It is stopped on the slice when our words end; any other goes on."""
    led = replace(STORE, url="rest:http://127.0.0.1:8000/", bound=True)
    assert 'systemctl kill --signal=TERM "$unit"' in jobs.started(JOB, led, MARKER)
    assert "systemctl kill" not in jobs.started(JOB, STORE, MARKER)


FAKE = """\
folder={folder} unclean={unclean} bad=no
task_0() {{ echo opened >>{folder}/order; return {opens}; }}
task_1() {{ echo took >>{folder}/order; [ -e {folder}/once ] && exit {then}; : >{folder}/once; echo {said} >&2; exit {first}; }}
task_2() {{ echo next >>{folder}/order; }}
"""
UNREACHED = (
    """'{"message_type":"exit_error","code":1,"message":"Fatal: unable to open repository at rclone:: error"}'"""
)
LOCKED = """'{"message_type":"exit_error","code":11,"message":"x"}'"""


@pytest.mark.parametrize(
    ("unclean", "opens", "ends", "order", "told"),
    [
        ("no", 0, (1, 0, UNREACHED), "took opened took next", "0 0 0"),
        ("no", 0, (0, 0, "''"), "took next", "0 0 0"),
        ("yes", 0, (0, 0, "''"), "opened took next", "0 0 0"),
        ("no", 0, (11, 0, LOCKED), "took opened took next", "0 0 0"),
        ("no", 12, (1, 0, LOCKED), "took opened", "12 - -"),
        ("no", 0, (1, 0, "'no such file'"), "took next", "0 1 0"),
        ("no", 0, (11, 11, LOCKED), "took opened took next", "0 11 0"),
        ("yes", 11, (0, 0, "''"), "opened", "11 - -"),
    ],
)
def test_a_repository_is_opened_by_itself_only_where_that_is_needed(
    unclean: str, opens: int, ends: tuple[int, int, str], order: str, told: str, tmp_path: Path
) -> None:
    """After a job that was cut, and where what is to be done meets a lock or a wrong password: it is done again then, once."""
    tasks = (Task("open", "", needed=True, later=True), Task("take", ""), Task("next", ""))
    work = jobs._work(replace(JOB, tasks=tasks), STORE)
    runs = work[work.index("opening=\n") : work.index("task_0()")] + work[work.index("later 0") :]
    first, then, said = ends
    fake = FAKE.format(folder=tmp_path, unclean=unclean, opens=opens, first=first, then=then, said=said)
    for shell in ("dash", "bash"):
        for old in tmp_path.iterdir():
            old.unlink()
        subprocess.run([shell, "-c", fake + runs], check=True)
        assert (tmp_path / "order").read_text().split() == order.split()
        ended = [tmp_path / f"status.{index}" for index in range(3)]
        assert " ".join(one.read_text().strip() if one.exists() else "-" for one in ended) == told


def test_a_disk_and_an_address_are_reached_before_anything_is_done() -> None:
    """A disk that is not mounted would be written below, and a dead address is tried for a quarter of an hour."""
    tasks = (jobs.REACH_LATER, jobs.OPEN_LATER, Task("take", ""))
    begins = {
        way: jobs._work(replace(JOB, tasks=tasks), store).splitlines()[-3:]
        for way, store in {
            "far": STORE,
            "disk": replace(STORE, url="/mnt/disk", folder="/mnt/disk"),
            "address": replace(STORE, url="rest:http://[::1]:8000/x"),
        }.items()
    }
    assert begins["far"] == ["later 0", "later 1", "run 2 goes-on"]
    assert begins["disk"] == begins["address"] == ["run 0 needed", "later 1", "run 2 goes-on"]
