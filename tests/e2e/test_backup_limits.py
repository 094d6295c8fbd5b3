"""What backups promise and what stands in their way: too old, no room, healing in the middle; each is called what it is."""

import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
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
backup: {to: s3}
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


def test_a_drill_asks_what_a_playbook_states_of_its_data(backed: RunningLab) -> None:
    """A least number of rows, and how old the newest may be: restored data without them is damaged, and that is 7."""
    playbook = backed.workspace / "playbooks/heap"
    shutil.copytree(HEAP, playbook)
    text = (playbook / "playbook.yaml").read_text()
    (playbook / "playbook.yaml").write_text(text.replace("data: [{name: data}]", ASSERTS))
    spec = backed.workspace / "apps/heap.yaml"
    spec.write_text(SPEC)
    try:
        backed.run("deploy", "heap")
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
    finally:
        backed.run("remove", "heap", "--data", "--backups", "--yes", check=None)
        spec.unlink()
        shutil.rmtree(playbook)
