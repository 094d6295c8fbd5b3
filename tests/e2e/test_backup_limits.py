"""What backups promise and what stands in their way: too old, no room, healing in the middle; each is called what it is."""

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from backups import kept, taken
from documents import document, findings
from running_lab import RunningLab

from tfheal.edge.clock import SystemClock

pytestmark = [pytest.mark.lab, pytest.mark.long]
FILES = "/srv/tfheal/files/web/files"
HEAP = Path(__file__).parents[1] / "benchmark" / "heap"
SPEC = """\
app: heap
owner: lab
playbook: heap
version: "1"
place: {heap: [s2]}
backup: {to: s3, upload_limit: 1M}
"""
ASSERTS = """\
data: [{name: data, asserts: [
      {name: rows, command: "[ $(wc -l <'{{ data }}/rows') -ge 3 ]"},
      {name: recent, command: "find '{{ data }}/rows' -mmin -60 | grep -q ."}]}]"""
BESIDE = "ls -A /srv/tfheal/files | grep -c -e tfheal-restore -e before-"


@pytest.fixture(scope="module")
def backed(deployed: RunningLab) -> Iterator[RunningLab]:
    """Have backups that take their time while the module lasts."""
    with kept(deployed, "upload_limit: 1M, "):
        yield deployed
    deployed.on("s1", f"rm -f {FILES}/bulk")


def grown(backed: RunningLab, size: int) -> None:
    """Write data of which nothing is stored yet."""
    backed.on("s1", f"cd {FILES} && head -c {size} /dev/urandom >bulk && chown --reference=. bulk")


def test_no_room_is_refused_with_the_bytes_that_are_missing(backed: RunningLab) -> None:
    """Nothing is begun, the service stays as it is, and nothing is left beside; with room it comes back."""
    grown(backed, 40_000_000)
    taken(backed)
    free = "$(($(df --output=avail -B1 /srv | tail -n 1) - 50000000))"
    backed.on("s1", f"fallocate -l {free} /root/filler")
    try:
        done = document(backed, "restore", "files", "--yes", check=6)
        drill = document(backed, "backup", "drill", "files", check=6)
        assert backed.on("s1", BESIDE, check=None) == "0\n"
    finally:
        backed.on("s1", "rm /root/filler")
    (outcome,) = [one["outcome"] for one in done["outcomes"]]
    assert ("refused: " in outcome, "bytes are missing" in outcome) == (True, True), outcome
    assert "bytes are missing" in str(drill["drills"][0]["detail"])
    assert document(backed, "status")["health"] == "healthy"
    document(backed, "restore", "files", "--yes")
    backed.on("s1", "rm -rf /srv/tfheal/files/web.before-*")


def test_what_is_healed_in_its_midst_is_partial(backed: RunningLab) -> None:
    """Healing waits for no backup: it restarts what died, and the backup is not called good."""
    taken(backed)
    grown(backed, 60_000_000)  # a minute
    words = backed.command("backup", "run", "files", "--json")
    with subprocess.Popen(words, cwd=backed.workspace, stdout=subprocess.PIPE, text=True) as run:
        backed.on("s1", "timeout 60 sh -c 'until systemctl is-active -q tfheal-backup-files; do sleep 0.05; done'")
        backed.do("break", "s1", "kill-service")
        document(backed, "heal", "--auto")
        backed.do("mend", "s1")
        out, _ = run.communicate(timeout=400)
    assert (run.returncode, "meanwhile there was a restart of files/web@s1" in out) == (5, True), out
    newest = document(backed, "backup", "list", "files")["backups"][0]
    assert newest["state"] == "partial"


def as_of(backed: RunningLab, year: int) -> None:
    """Have all that is known of backups be of another year, as far as the journal knows."""
    times = {"backup": ("started", "received", "drilled"), "drill": ("at",), "verification": ("at",)}
    with closing(sqlite3.connect(backed.workspace / ".tfheal/journal.db")) as journal, journal:
        for table, columns in times.items():
            changes = ", ".join(f"{column} = '{year}' || substr({column}, 5)" for column in columns)
            journal.execute(f"UPDATE {table} SET {changes} WHERE app = 'files'")  # noqa: S608 - words of ours


def test_what_is_too_old_is_found_of_a_slice_that_is_dead_too(backed: RunningLab) -> None:
    """Four ages, each with its limit, by our own clock: nothing has to answer for that."""
    taken(backed)
    document(backed, "backup", "drill", "files")
    document(backed, "backup", "verify", "files", "--full")
    late = {"backup-late", "drill-late", "backup-unverified"}
    assert not late & set(findings(document(backed, "status", check=None)))
    year = SystemClock().now().year
    backed.do("break", "s1", "power-off")
    as_of(backed, 2020)
    try:
        seen = document(backed, "status", check=3)
    finally:
        as_of(backed, year)
        backed.do("mend", "s1")
    assert late <= set(findings(seen)), findings(seen)
    ages = next(one for one in seen["apps"] if one["app"] == "files")["backup"]
    assert min(ages["taken"], ages["complete"]) > ages["limit"]
    assert ages["drilled"] > ages["drilled_limit"]
    assert ages["verified"]["payload"] > ages["verified"]["payload_limit"]
    assert ages["verified"]["structure"] > ages["verified"]["structure_limit"]
    document(backed, "heal", "--auto", check=None)


@pytest.fixture
def heap(backed: RunningLab) -> Iterator[Callable[[str], None]]:
    """Return what puts an app of one folder on s2, its backups on s3, its component being said in a playbook."""
    playbook, spec = backed.workspace / "playbooks/heap", backed.workspace / "apps/heap.yaml"
    shutil.copytree(HEAP, playbook)
    text = (playbook / "playbook.yaml").read_text()
    text = text.replace("}", ', "2": locks/none.txt}', 1)
    spec.write_text(SPEC)

    def deploy(component: str) -> None:
        (playbook / "playbook.yaml").write_text(text.replace("data: [{name: data}]", component))
        backed.run("deploy", "heap")

    try:
        yield deploy
    finally:
        backed.run("remove", "heap", "--data", "--backups", "--yes", check=None)
        spec.unlink()
        shutil.rmtree(playbook)


def test_a_drill_asks_what_a_playbook_states_of_its_data(backed: RunningLab, heap: Callable[[str], None]) -> None:
    """A least number of rows, and how old the newest may be: restored data without them is damaged, and that is 7."""
    heap(ASSERTS)
    for rows, code, state in ((4, 0, "passed"), (2, 7, "damaged")):
        backed.on("s2", f"seq {rows} >/srv/tfheal/heap/heap/rows")
        document(backed, "backup", "run", "heap", check=None)
        made = document(backed, "backup", "list", "heap")["backups"][0]
        document(backed, "backup", "accept", made["id"], check=None)
        (drill,) = document(backed, "backup", "drill", "heap", check=code)["drills"]
        assert (drill["state"], drill["backup"]) == (state, made["id"]), drill
        assert ("rows heap" in str(drill["detail"])) is (code == 7), drill
    (removed,) = document(backed, "remove", "heap")["apps"]
    kept_there = {one["instance"]: one["kept"] for one in removed["instances"]}
    assert kept_there == {"heap/heap@s2": ["/srv/tfheal/heap/heap"], "heap/store@s3": ["/srv/tfheal/heap/store"]}
    assert backed.on("s3", "ls -d /srv/tfheal/heap/store/s2/snapshots").startswith("/srv")
    backed.run("deploy", "heap")
    assert len(document(backed, "backup", "rescan", "heap")["apps"]) == 1, "what opens it was kept too"


def test_a_drill_without_memory_for_it_is_refused(backed: RunningLab, heap: Callable[[str], None]) -> None:
    """A service that may use more than the slice has is not started a second time beside the live one."""
    heap("data: [{name: data}]\n    service: {exec: /usr/bin/sleep infinity, memory: 1T}")
    backed.on("s2", "seq 4 >/srv/tfheal/heap/heap/rows")
    document(backed, "backup", "run", "heap")
    (drill,) = document(backed, "backup", "drill", "heap", check=6)["drills"]
    assert "bytes of memory are missing" in drill["detail"], drill
    assert backed.on("s2", "ls -d /srv/tfheal/.drill-* 2>/dev/null | wc -l") == "0\n"
    heap("data: [{name: data}]\n    service: {exec: /usr/bin/sleep infinity}")
    document(backed, "backup", "run", "heap")
    (drill,) = document(backed, "backup", "drill", "heap")["drills"]
    assert drill["state"] == "passed", drill


def test_a_file_system_below_the_data_is_in_or_out_by_its_name(backed: RunningLab, heap: Callable[[str], None]) -> None:
    """One that nobody spoke of, and one that is to be taken and is not mounted, make it partial; none goes away by a restore."""
    data = "/srv/tfheal/heap/heap"
    disk = f"{data}/disk"
    said = "data: [{name: data, mounts: [{path: '{{ data }}/disk', taken: TAKEN}]}]"

    def held(state: str, code: int = 0) -> tuple[bool, str]:
        (made,) = document(backed, "backup", "run", "heap", check=code)["backups"]
        assert made["state"] == state, made
        (listed,) = document(backed, "backup", "ls", made["id"], disk)["parts"].values()
        return f"{disk}/big" in {one["path"] for one in listed}, str(made["parts"])

    heap("data: [{name: data}]")
    backed.on("s2", f"seq 4 >{data}/rows; mkdir {disk} && mount -t tmpfs tmpfs {disk} && seq 9 >{disk}/big")
    try:
        assert f"whether to take the file system on {disk}" in held("partial", 5)[1]
        heap(said.replace("TAKEN", "false"))
        assert held("good")[0] is False
        heap(said.replace("TAKEN", "true"))
        assert held("good")[0] is True
        refused = document(backed, "restore", "heap", "--yes", check=6)
        assert f"a file system is mounted on {disk}" in str(refused["outcomes"])
        assert backed.on("s2", f"cat {disk}/big {data}/rows | wc -l; ls -A /srv/tfheal/heap") == "13\nheap\n"
    finally:
        backed.on("s2", f"umount {disk}")
    assert f"the file system on {disk}" in held("partial", 5)[1]
    document(backed, "restore", "heap", "--yes")
    assert backed.on("s2", f"cat {disk}/big | wc -l") == "9\n", "with nothing mounted there all of it is put there"


def test_a_restore_and_an_upgrade_wait_for_a_backup_that_is_under_way(
    backed: RunningLab, heap: Callable[[str], None]
) -> None:
    """They say whom they wait for, and what they do comes after it."""
    heap("data: [{name: data}]")
    backed.on("s2", "seq 4 >/srv/tfheal/heap/heap/rows")
    document(backed, "backup", "run", "heap")
    for command in (("restore", "heap", "--yes"), ("upgrade", "heap", "--to", "2", "--soak", "1s")):
        backed.on("s2", "head -c 15000000 /dev/urandom >/srv/tfheal/heap/heap/bulk")
        words = backed.command("backup", "run", "heap", "--json")
        with subprocess.Popen(words, cwd=backed.workspace, stdout=subprocess.PIPE, text=True) as run:
            backed.on("s2", "timeout 60 sh -c 'until systemctl is-active -q tfheal-backup-heap; do sleep 0.05; done'")
            waited = backed.run(*command)
            out, _ = run.communicate(timeout=400)
        assert "waiting until `backup run` of " in waited.stderr, waited
        (made,) = json.loads(out)["backups"]
        assert (run.returncode, made["state"]) == (0, "good"), out
    assert document(backed, "status", "heap")["apps"][0]["version"] == "2"
