"""The second way to a store: led there by us for the time of a job, so that the slice holds no key to it."""

import contextlib
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from backups import kept, pruned, stored, taken
from documents import document
from running_lab import RunningLab

pytestmark = pytest.mark.lab
DATA = "/srv/tfheal/files/web"
STORE = "/srv/tfheal/files/store"
SLOW = "upload_limit: 300K, "  # so that there is time to look, to steal and to kill
SERVER = 'pgrep -f "^restic-rest-server --append-only"'
SENDS = 'pgrep -f "^restic .* backup"'
MEBIBYTE = 1 << 10  # of the kibibytes of /proc
# What a thief with root on the slice tries by what the running job has: delete, look at another's, log in to the store.
THIEF = """\
pid=$(pgrep -f '^restic .* backup' | head -n 1)
eval "$(tr '\\0' '\\n' <"/proc/$pid/environ" | grep -E '^RESTIC_REST_(USERNAME|PASSWORD)=')"
url=$(tr '\\0' '\\n' <"/proc/$pid/cmdline" | sed -n 's/^rest:\\(http:.*\\)$/\\1/p')
asked() { curl -s -L -o /dev/null -w '%{http_code} ' --noproxy '*' "$@"; }
asked -u "$RESTIC_REST_USERNAME:$RESTIC_REST_PASSWORD" -X DELETE "${url}snapshots/SNAPSHOT"
asked -u "$RESTIC_REST_USERNAME:$RESTIC_REST_PASSWORD" --path-as-is "${url}../s9/config"
asked "${url}config"
ls /root/.ssh /opt/tfheal/files/*/.ssh 2>/dev/null | grep -c id_ || :
"""


@pytest.fixture(scope="module")
def led(deployed: RunningLab) -> Iterator[RunningLab]:
    """Have the example's backups go to s3 through us; afterwards they go nowhere."""
    with kept(deployed, "via: controller, ") as lab:
        yield lab


@pytest.fixture
def slow(led: RunningLab) -> Iterator[RunningLab]:
    """Have what is sent be sent slowly, and give it something to send; not any more after the test."""
    taken(led)
    spec = led.workspace / "apps" / "files.yaml"
    before = spec.read_text()
    spec.write_text(before.replace("via:", f"{SLOW}via:"))
    led.on("s1", f"head -c 9000000 /dev/urandom >{DATA}/files/random")
    yield led
    led.on("s1", f"rm -f {DATA}/files/random")
    spec.write_text(before)


def awaited(lab: RunningLab, name: str, script: str, seconds: float = 30.0) -> None:
    """Wait until a script says yes on a slice."""
    lab.on(name, f"timeout {seconds:g} sh -c 'until {script}; do sleep 0.1; done' >/dev/null")


def nothing_is_left(lab: RunningLab) -> None:
    """Demand that nothing serves on the store, nothing listens for it on the slice, and no job is at work."""
    awaited(lab, "s3", f"! {SERVER} && ! ls -d /run/tfheal/serves.*")
    awaited(lab, "s1", '! pgrep -f "^restic " && ! ss -Hltnp "src 127.0.0.1" | grep sshd')


def test_what_is_led_there_comes_back(led: RunningLab) -> None:
    """Backed up, spoilt and restored, all without a key of the slice, and nothing is left."""
    assert led.on("s3", "cat /opt/tfheal/files/store/.ssh/authorized_keys") == ""
    led.on("s1", f"echo before >{DATA}/files/one")
    taken(led)
    led.on("s1", f"echo spoilt >{DATA}/files/one")
    led.run("restore", "files", "--yes")
    assert led.on("s1", f"cat {DATA}/files/one; rm -rf {DATA}.before-*") == "before\n"
    nothing_is_left(led)


@pytest.mark.long
def test_it_serves_what_the_default_way_serves(led: RunningLab) -> None:
    """Drilled, looked into, read and deleted; what a server wrote there, restic of the store itself can read."""
    first = taken(led)
    assert document(led, "backup", "ls", str(first["id"]))["parts"]["folders@s1"]
    assert document(led, "backup", "drill", "files")["drills"][0]["state"] == "passed"
    assert document(led, "backup", "verify", "files")["repositories"][0]["sound"]
    document(led, "backup", "forget", str(first["id"]), "--why", "asked", "--yes")
    assert pruned(led)["state"] == "done"
    taken(led)
    nothing_is_left(led)


def test_a_killed_controller_leaves_nothing(slow: RunningLab) -> None:
    """A thief on the slice can add for the time of a job, no more; and we are killed in the middle: all of it ends."""
    snapshots = f"ls -t {STORE}/s1/snapshots"
    snapshot = slow.on("s3", snapshots).split()[0]
    with subprocess.Popen(
        slow.command("backup", "run", "files"),
        cwd=slow.workspace,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as run:
        awaited(slow, "s1", SENDS)
        found = slow.on("s1", THIEF.replace("SNAPSHOT", snapshot))
        run.send_signal(signal.SIGKILL)
    assert found.split() == ["403", "404", "401", "0"]
    assert snapshot in slow.on("s3", snapshots)
    nothing_is_left(slow)
    slow.on("s1", f"rm {DATA}/files/random")
    taken(slow)
    newest = [each["state"] for each in document(slow, "backup", "list", "files")["backups"][:3]]
    assert newest == ["good", "failed", "good"]


@pytest.mark.long
def test_a_way_that_ends_in_the_middle_ends_the_job(slow: RunningLab) -> None:
    """The server on the store is killed: the backup fails within seconds, says so, and the next one is good."""
    with subprocess.Popen(
        slow.command("backup", "run", "files", "--json"), cwd=slow.workspace, stdout=subprocess.PIPE, text=True
    ) as run:
        awaited(slow, "s1", SENDS)
        slow.on("s3", f"kill -9 $({SERVER})")
        begun = time.monotonic()
        said, _ = run.communicate(timeout=120)
        assert time.monotonic() - begun < 60
    assert run.returncode == 5
    assert '"state": "failed"' in said
    nothing_is_left(slow)
    slow.on("s1", f"rm {DATA}/files/random")
    taken(slow)


@pytest.mark.long
def test_a_full_store_is_told_soon(led: RunningLab) -> None:
    """It is called what it is within seconds, where restic would try for a quarter of an hour; with room all is well."""
    taken(led)
    free = int(led.on("s3", "df --output=avail -B1 / | tail -n 1")) - 4_000_000
    led.on("s1", f"head -c 30000000 /dev/urandom >{DATA}/files/random")
    led.on("s3", f"fallocate -l {free} /root/filler")
    try:
        begun = time.monotonic()
        (part,) = taken(led, "failed", 5)["parts"]  # type: ignore[misc]
        assert (part["detail"], time.monotonic() - begun < 60) == ("the store is full", True)
    finally:
        led.on("s3", "rm /root/filler")
        led.on("s1", f"rm {DATA}/files/random")
    nothing_is_left(led)
    taken(led)
    assert document(led, "backup", "verify", "--full")["repositories"][0]["sound"] is True


@pytest.mark.long
def test_a_prune_shuts_out_who_is_led_there(led: RunningLab) -> None:
    """While what is stored is locked for a prune nothing is taken; the owner's stop on the store is heeded too."""
    taken(led)
    before = stored(led)
    with subprocess.Popen([*led.around, *led.ssh("s3"), "--", f"flock -x {STORE}/s1 sleep 60"]) as lock:
        awaited(led, "s3", f"! flock -n {STORE}/s1 true")
        (made,) = document(led, "backup", "run", "files", check=6)["backups"]
        assert "what is stored is pruned" in str(made)
        lock.terminate()
    led.on("s3", "pkill -x sleep; mkdir -p /etc/tfheal && touch /etc/tfheal/hands-off", check=None)
    try:
        (made,) = document(led, "backup", "run", "files", check=6)["backups"]
        assert "paused by the owner" in str(made)
    finally:
        led.on("s3", "rm /etc/tfheal/hands-off")
    assert stored(led) == before


@pytest.mark.long
def test_memory_is_flat(led: RunningLab) -> None:
    """Six hundred megabytes pass through us, more than one key of SSH is used for, and we grow by no more than windows."""
    led.on("s1", f"head -c 600M /dev/urandom >{DATA}/files/random")
    peaks = []
    for _ in ("much", "little"):
        with subprocess.Popen(led.command("backup", "run", "files"), cwd=led.workspace) as run:
            peaks.append(_peak(run))
        led.on("s1", f"rm -f {DATA}/files/random")
    assert peaks[0] - peaks[1] < 60 * MEBIBYTE, peaks


def _peak(run: subprocess.Popen[bytes]) -> int:
    """Return the most kibibytes that a process had in the end; `env` became that process."""
    peak = 0
    while run.poll() is None:
        with contextlib.suppress(OSError, TypeError):
            found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{run.pid}/status").read_text())
            peak = max(peak, int(found[1]))  # type: ignore[index]
        time.sleep(0.2)
    return peak
