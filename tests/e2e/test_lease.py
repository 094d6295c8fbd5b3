"""Two controllers and one app: at no time do two act, and of one that died or was cut off the other takes over in time."""

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from documents import actions, document
from running_lab import RunningLab

from tfheal.model.lease import SILENCE

pytestmark = pytest.mark.lab
PAIR = Path(__file__).parent / "pair"
STORE = "/opt/tfheal/pair/store/config/store.conf"
IN_TIME = 20.0  # seconds from the end of a holder to the act of its successor (design section 8.11)


@pytest.fixture(scope="module")
def ours(fleet: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    """Have the small pair of components deployed from a workspace of its own, and gone after the tests."""
    folder = tmp_path_factory.mktemp("lease") / "ours"
    shutil.copytree(fleet.workspace, folder, ignore=shutil.ignore_patterns("*.lock", "journal.db*", "apps"))
    shutil.copytree(PAIR, folder, dirs_exist_ok=True)
    settings = folder / "tfheal.toml"
    settings.write_text(f"{settings.read_text()}asks = 1\n")
    running = replace(fleet, workspace=folder)
    running.run("deploy", "pair")
    yield running
    running.on("s3", "rm -f /run/pair.*")
    running.run("remove", "pair")


@pytest.fixture
def theirs(ours: RunningLab, tmp_path: Path) -> RunningLab:
    """Give a colleague on another machine the same workspace, with a journal of its own."""
    shutil.copytree(ours.workspace, tmp_path / "theirs", ignore=shutil.ignore_patterns("*.lock"))
    return replace(ours, workspace=tmp_path / "theirs")


def begun(controller: RunningLab) -> "subprocess.Popen[str]":
    """Damage front, begin to heal it, and return once that is under way; it waits there until `/run/pair.waits` is gone."""
    controller.on("s3", "rm -f /opt/tfheal/pair/front/prepared /run/pair.*; touch /run/pair.wait")
    holder = _healing(controller)
    end = time.monotonic() + 240  # on a machine that is busy with other things
    while controller.on("s3", "ls /run/pair.waits 2>/dev/null; true") == "" and time.monotonic() < end:
        if holder.poll() is not None:  # it may have ended with a wait for the back-off of what was done before
            holder.communicate()
            holder = _healing(controller)
        time.sleep(0.1)
    assert stamps(controller) == ["begin"]
    return holder


def _healing(controller: RunningLab) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        controller.command("heal", "--auto", "--json"),
        cwd=controller.workspace,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def stamps(controller: RunningLab) -> list[str]:
    """Return what the acts on front wrote: `begin` and `end`, and `overlap` if ever two were at it."""
    return [line.split()[0] for line in controller.on("s3", "cat /run/pair.stamps 2>/dev/null; true").splitlines()]


def uptime(controller: RunningLab) -> float:
    """Return what time it is on the slice, in seconds since it booted."""
    return float(controller.on("s3", "cut -d' ' -f1 /proc/uptime"))


def last_begun(controller: RunningLab) -> float:
    """Return when the last act on front began, in seconds since the slice booted."""
    return float(controller.on("s3", "grep begin /run/pair.stamps | tail -n 1 | cut -d' ' -f3"))


def test_one_acts_and_the_other_says_who_it_is(ours: RunningLab, theirs: RunningLab) -> None:
    """Not even on another slice of the app: 6, with the holder's name, while the work goes on for longer than silence."""
    with begun(ours) as holder:
        since = time.monotonic()
        theirs.on("s2", f"rm {STORE}")
        said = document(theirs, "heal", "--auto", check=6)
        assert actions(said) == [("redeploy", "refused")] * 2
        assert len(re.findall(r"Test provider on \S+, heal of pair, run \w+, since 20", str(said["incidents"]))) >= 2
        assert theirs.on("s2", f"ls {STORE}; true") == ""
        assert "pair" in document(ours, "heal", "--auto", check=6)["locked"]
        time.sleep(max(0.0, since + SILENCE + 2 - time.monotonic()))
        ours.on("s3", "rm /run/pair.waits")
        assert holder.wait(timeout=60) == 0
    assert stamps(ours) == ["begin", "end"]
    assert theirs.on("s2", f"ls {STORE}") != ""  # whoever held the lease saw to that too
    assert actions(document(theirs, "heal", "--auto")) == []


@pytest.fixture
def in_time(ours: RunningLab) -> float:
    """Return the seconds that a successor gets: 20, and more only where this machine is too busy for an idle round."""
    begin = time.monotonic()
    document(ours, "heal", "--auto", check=None)
    return max(IN_TIME, SILENCE + 4 * (time.monotonic() - begin))


def test_who_takes_over_from_the_killed_acts_in_time(ours: RunningLab, theirs: RunningLab, in_time: float) -> None:
    """What a killed controller began is ended, looked at, and done by the next, from its own workspace and from another."""
    for successor in (theirs, ours):
        with begun(ours) as holder:
            ours.on("s2", f"rm {STORE}")
            holder.kill()
            killed = uptime(ours)
            healed = document(successor, "heal", "--auto")
            assert last_begun(ours) - killed < in_time
        assert actions(healed)[-1] == ("redeploy", "done")
        assert ours.on("s2", f"ls {STORE}") != ""
        assert stamps(ours) == ["begin", "begin", "end"]


def test_who_takes_over_from_the_cut_off_acts_in_time(ours: RunningLab, theirs: RunningLab, in_time: float) -> None:
    """No word of the end reaches the slice, and still the work ends; who comes back later sees that another has done it."""
    with begun(ours) as holder:
        holder.send_signal(
            signal.SIGSTOP
        )  # when it comes back is told below: left to itself, it would try again meanwhile
        ports = re.findall(r":(\d+) +\S+:22 .*pid=(\d+)", subprocess.check_output(["ss", "-tnp"], text=True))
        mine = [port for port, pid in ports if int(pid) == holder.pid]
        drop = "".join(f"tcp {way} {port} drop\n" for port in mine for way in ("sport", "dport"))
        rules = f"""table inet cutoff {{
            chain in {{ type filter hook input priority -300; {drop} }}
            chain out {{ type filter hook output priority -300; {drop} }}
        }}"""
        assert mine
        theirs.on("s3", f"nft -f - <<'END'\n{rules}\nEND")
        cut = uptime(theirs)
        healed = actions(document(theirs, "heal", "--auto"))
        assert last_begun(theirs) - cut < in_time
        # On a slow machine the work may have ended before the successor came to the lock: then there is nothing to undo.
        assert healed in ([("redeploy", "undone"), ("redeploy", "done")], [("redeploy", "done")])
        theirs.on("s3", "nft delete table inet cutoff")
        holder.send_signal(signal.SIGCONT)
        said, _ = holder.communicate(timeout=90)
        assert holder.returncode in {0, 3, 4}, said
    assert stamps(theirs) == ["begin", "begin", "end"]
