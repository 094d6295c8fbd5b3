"""Whatever goes wrong with a repository, or dies in the middle: it is called what it is, no good snapshot is lost, the app runs."""

import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from backups import STORE, kept, pruned, stored, taken
from customer import Customer
from documents import document
from running_lab import RunningLab
from thief import Thief

pytestmark = [pytest.mark.lab, pytest.mark.long]
FILES = "/srv/tfheal/files/web/files"
DROP = """\
nft add table inet tfheal_test; nft add chain inet tfheal_test out '{{ type filter hook output priority 0; }}'
nft add rule inet tfheal_test out ip6 daddr {address} drop
"""

# A restore takes its time, so that the slice is without power in its midst.
SLOW = """\
mv /usr/bin/restic /usr/bin/restic.quick
printf '%s\\n' '#!/bin/sh' 'case " $* " in *" restore "*) sleep 60 ;; esac' 'exec restic.quick "$@"' >/usr/bin/restic
chmod 755 /usr/bin/restic; sync
"""


@pytest.fixture(scope="module")
def backed(deployed: RunningLab) -> Iterator[RunningLab]:
    """Have backups that take their time while the module lasts."""
    with kept(deployed, "upload_limit: 1M, "):
        yield deployed


@pytest.fixture
def shelf(backed: RunningLab) -> Customer:
    """Return a customer of the example."""
    return Customer.of(backed, "s1")


def detail(made: dict[str, Any]) -> str:
    """Return what is said of the only part of a backup."""
    (part,) = made["parts"]
    return str(part["detail"])


def grown(backed: RunningLab, name: str, size: int) -> None:
    """Write data of which nothing is stored yet."""
    backed.on("s1", f"cd {FILES} && head -c {size} /dev/urandom >{name} && chown --reference=. {name}")


def killed(backed: RunningLab, at: str, *words: str) -> str:
    """Run a command that dies at a point, and return what it said."""
    around = {**os.environ, "TFHEAL_FAILPOINT": at}
    ran = subprocess.run(
        backed.command(*words),
        cwd=backed.workspace,
        env=around,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (ran.returncode, "failpoint: " in ran.stderr) == (-9, True), ran.stderr
    return ran.stderr


def test_a_lock_is_removed_only_if_its_holder_is_gone(backed: RunningLab) -> None:
    """One of a dead process of this machine, or older than half an hour, goes; of any other it is said who holds it."""
    thief = Thief(backed, "s1", "s3")
    taken(backed)
    for host, seconds in (("s1", 0.0), ("elsewhere", 1_900.0)):
        lock = thief.locks(host, seconds)
        taken(backed)
        assert backed.on("s3", f"ls {STORE}/{lock} 2>/dev/null", check=None) == ""
    lock = thief.locks("elsewhere", 0.0)
    try:
        assert "by PID 4194303 on elsewhere" in detail(taken(backed, "failed", 5))
        document(backed, "backup", "forget", str(taken_before(backed)), "--why", "it may go", "--yes")
        before = stored(backed)
        refused = pruned(backed, check=6)
        assert "by PID 4194303 on elsewhere" in str(refused["detail"]), refused
        assert stored(backed) == before
    finally:
        backed.on("s3", f"rm {STORE}/{lock}")
    taken(backed)
    assert pruned(backed)["state"] == "done"


def taken_before(backed: RunningLab) -> str:
    """Return the oldest good backup that there is."""
    good = [one for one in document(backed, "backup", "list")["backups"] if one["state"] == "good"]
    return str(good[-1]["id"])


def test_a_full_store_and_a_wrong_password_are_named(backed: RunningLab) -> None:
    """Both fail the backup, with the right word; nothing that was stored suffers, and the next one is good."""
    taken(backed)
    backed.on("s3", f"mv {STORE}/keys /root/keys && mkdir {STORE}/keys")
    try:
        assert detail(taken(backed, "failed", 5)).endswith("the password of the repository is wrong")
    finally:
        backed.on("s3", f"rm -rf {STORE}/keys && mv /root/keys {STORE}/keys")
    grown(backed, "bulk", 20_000_000)
    free = "$(($(df --output=avail -B1 /srv | tail -n 1) - 5000000))"
    backed.on("s3", f"fallocate -l {free} /root/filler")
    try:
        assert detail(taken(backed, "failed", 5)) == "the store is full"
    finally:
        backed.on("s3", "rm /root/filler")
    taken(backed)
    assert document(backed, "backup", "verify", "--full")["repositories"][0]["sound"] is True


def test_a_network_that_goes_in_the_middle_ends_a_backup_and_nothing_else(backed: RunningLab) -> None:
    """It fails within minutes, not hours; once the network is back the next one is good, and all that is stored is sound."""
    taken(backed)
    grown(backed, "bulk", 30_000_000)
    backed.on("s3", "touch /root/begun")
    begun = time.monotonic()
    with subprocess.Popen(
        backed.command("backup", "run", "--json"), cwd=backed.workspace, stdout=subprocess.PIPE, text=True
    ) as run:
        until = f"until find {STORE}/data -type f -newer /root/begun -size +9M | grep -q .; do sleep 0.2; done"
        backed.on("s3", f"timeout 60 sh -c '{until}'")
        backed.on("s1", DROP.format(address=backed.address("s3")))
        try:
            out, _ = run.communicate(timeout=400)
        finally:
            backed.on("s1", "nft delete table inet tfheal_test")
    assert (run.returncode, "the connection to the store broke" in out) == (5, True), out
    assert time.monotonic() - begun < 300
    taken(backed)
    assert document(backed, "backup", "verify", "--full")["repositories"][0]["sound"] is True


def test_a_restore_that_is_killed_leaves_the_app_running(backed: RunningLab, shelf: Customer) -> None:
    """The run dies while data comes back beside, and while it is exchanged; the slice loses power: heal has the app well."""
    shelf.put("one", b"right")
    good = str(taken(backed)["id"])
    for point in ("exec on s1", "first line from s1", "data:web"):
        shelf.put("one", b"spoilt")
        killed(backed, point, "restore", "files", "--snapshot", good, "--yes")
        document(backed, "heal", "--auto", check=None)
        assert document(backed, "status", check=None)["health"] == "healthy", point
        assert shelf.get("one") in {b"right", b"spoilt"}, point
        document(backed, "restore", "files", "--snapshot", good, "--yes")
        assert shelf.get("one") == b"right", point
        backed.on("s1", f"rm -rf {FILES.rpartition('/')[0]}.before-*")
    shelf.put("one", b"spoilt")
    backed.on("s1", SLOW)
    words = backed.command("restore", "files", "--snapshot", good, "--yes")
    with subprocess.Popen(words, cwd=backed.workspace, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        backed.on("s1", "timeout 60 sh -c 'until systemctl is-active -q tfheal-backup-files; do sleep 0.05; done'")
        backed.do("break", "s1", "power-off")
        run.wait(timeout=300)
    assert run.returncode != 0
    backed.do("mend", "s1")
    backed.on("s1", "mv /usr/bin/restic.quick /usr/bin/restic")
    document(backed, "heal", "--auto", check=None)
    assert document(backed, "status", check=None)["health"] == "healthy"
    assert shelf.get("one") == b"spoilt", "what was live stayed where it was"
    document(backed, "restore", "files", "--snapshot", good, "--yes")
    assert shelf.get("one") == b"right"
    left = backed.on("s1", "find /srv/tfheal/files -path '*/.tfheal-restore-*' -type f")
    assert left == "", "what the killed ones left is gone with the first that came to its end"


def test_a_prune_that_is_killed_is_finished_by_the_next(backed: RunningLab) -> None:
    """The run dies, or the job does with its lock in the repository: a backup is made meanwhile, and the next prune ends it."""
    first, second, last = (str(taken(backed)["id"]) for _ in range(3))
    document(backed, "backup", "forget", first, "--why", "it may go", "--yes")
    killed(backed, "first line from s3", "backup", "prune", "files", "--yes")
    document(backed, "backup", "verify", "files", check=6)
    backed.on("s3", "timeout 100 sh -c 'while systemctl is-active -q tfheal-backup-files; do sleep 0.2; done'")
    taken(backed)
    assert first in str(pruned(backed)["backups"])
    assert document(backed, "backup", "show", first)["state"] == "erased"

    document(backed, "backup", "forget", second, "--why", "it may go", "--yes")
    with subprocess.Popen(backed.command("backup", "prune", "files", "--yes"), cwd=backed.workspace) as run:
        locked = f"until ls {STORE}/locks/* >/dev/null 2>&1; do sleep 0.05; done"
        kills = "kill -9 $(systemctl show -p MainPID --value tfheal-backup-files)"
        backed.on("s3", f"timeout 60 sh -c '{locked}'; {kills}")
        assert run.wait(timeout=100) == 5
    taken(backed)
    assert pruned(backed)["state"] == "done"
    assert document(backed, "backup", "show", last)["state"] == "good"
    assert document(backed, "backup", "verify", "--full")["repositories"][0]["sound"] is True
