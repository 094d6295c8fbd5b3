"""A database that loses a table, a page, its slice for a while, its slice for good: healed, and what is missing is said."""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from backups import secret, written
from documents import actions, document, findings
from running_lab import RunningLab, name_of_ours

from tfheal.core.archiving import sealed
from tfheal.core.stores import key_name, password_name

pytestmark = [pytest.mark.lab, pytest.mark.long]
SPEC = """\
app: ledger
owner: lab
playbook: ledger
version: "1"
place: {db: [s1]}
spares: [s2]
backup: {to: s3, every: 1h}
heal: {reflex: off, allow: [restart, redeploy, recreate, rehome, restore, restore-logical, page]}
"""
SQL = "sql() { (cd / && setpriv --reuid=postgres --regid=postgres --init-groups psql -XqAt -v ON_ERROR_STOP=1 -d ledger -f -); }\n"
MADE = "CREATE TABLE entries (id int PRIMARY KEY); ALTER TABLE entries OWNER TO ledger; INSERT INTO entries VALUES (1);"
LISTED = "echo 'SELECT id FROM entries ORDER BY id' | sql"
ADDED = "sed 's/.*/INSERT INTO entries VALUES (&); SELECT pg_switch_wal();/' | sql"
SPOOL = "/var/spool/tfheal/ledger-db"
UNIT = "tfheal-ledger-db.wal.service"
SENT = f"[ -z \"$(find {SPOOL} -mindepth 3 -name '0*' -newer {SPOOL}/.sent)\" ]"
# Nothing of the page is in memory any more when it is read again.
SPOIL = """
file=$(echo "CHECKPOINT; SELECT setting || '/' || pg_relation_filepath('entries') FROM pg_settings WHERE name = 'data_directory'" | sql)
systemctl stop postgresql@17-main
head -c 8192 /dev/urandom | dd of="$file" bs=8192 conv=notrunc status=none
systemctl start postgresql@17-main
"""


@pytest.fixture(scope="module")
def ledger(lab_ground: Path, made_workspace: Callable[[str, Path], Path]) -> Iterator[RunningLab]:
    """Have a database on s1 with a backup and its changes on s3, and a spare; a file says how the contract of s1 is."""
    folder = made_workspace("copyparty", lab_ground / "lost-database")
    (folder / "apps/files.yaml").unlink()
    shutil.copytree(Path(__file__).parent / "ledger", folder / "playbooks/ledger")
    (folder / "apps/ledger.yaml").write_text(SPEC)
    (folder / "tfheal.toml").write_text((folder / "tfheal.toml").read_text() + 'gone_after = "2s"\n')
    running = RunningLab(name_of_ours("rows"), folder, ("env", f"TFHEAL_AGE_KEY_FILE={lab_ground / 'rows.key'}"))
    try:
        running.run("lab", "up", "--slices", "3", "--name", running.name, "--yes")
        running.run("deploy", "ledger", timeout=900)
        running.on(
            "s1", f"{SQL}sqlite3 /srv/tfheal/ledger/db/notes.db 'CREATE TABLE notes (note)'; echo '{MADE}' | sql"
        )
        (made,) = document(running, "backup", "run")["backups"]
        assert made["state"] == "good", made
        yield running
    finally:
        running.run("lab", "down", "--name", running.name)


def provides(ledger: RunningLab, recreate: str, contract: str) -> None:
    """Say how s1 is made anew, and how its contract is."""
    inventory = ledger.workspace / "inventory.toml"
    before, mark, after = inventory.read_text().partition("[slices.s1.provisioner]")
    written = f'recreate = "{recreate}"\nstate = "echo {contract}"\nbackoff = "20ms"'
    after = re.sub(r'recreate = ".*"(\nstate = ".*")?(\nbackoff = ".*")?', written, after, count=1)
    inventory.write_text(before + mark + after)


def add(ledger: RunningLab, row: int, where: str = "s1") -> None:
    """Add a row, and wait until it is on the store."""
    ledger.on(where, f"{SQL}echo {row} | {ADDED}")
    ledger.on(where, f"sleep 1; until systemctl start {UNIT} && {SENT}; do sleep 0.5; done")


def rows(ledger: RunningLab, where: str = "s1") -> list[str]:
    """Return the rows that are there."""
    return ledger.on(where, SQL + LISTED).split()


def healed(ledger: RunningLab) -> dict[str, object]:
    """Heal until something was done, and return that run; a service that started just now is left to start."""
    until = time.monotonic() + 180
    while not actions(done := document(ledger, "heal", "--auto", check=None)) and time.monotonic() < until:
        time.sleep(1)
    return done


def told(done: dict[str, object]) -> str:
    """Return what a run says of the last thing that it did."""
    return str([one["detail"] for incident in done["incidents"] for one in incident["actions"]][-1])  # type: ignore[attr-defined]


def is_on_no_disk_in_plain(ledger: RunningLab) -> None:
    """Demand that what opens the repository, and the key to the store, by which changes are sent, lie sealed for this machine."""
    lines = ledger.on("s1", f"cd {sealed('ledger', 'db')} && wc -c password key").split()
    assert all(int(size) > 0 for size in lines[::2])
    *_, line, _ = secret(ledger, key_name("s1"), "ledger").splitlines()  # the first ones are those of any key
    for word in (secret(ledger, password_name("s1"), "ledger"), line):
        assert written(ledger, "s1", word, "/etc /var /root /tmp /opt /srv") == "0\n"


def test_a_dropped_table_comes_back_as_it_was_when_all_was_right(ledger: RunningLab) -> None:
    """What was written after the backup, and before the last look, is there; the rest is said to be lost."""
    add(ledger, 2)
    is_on_no_disk_in_plain(ledger)
    time.sleep(1)
    document(ledger, "status")
    ledger.on("s1", f"{SQL}echo 'DROP TABLE entries' | sql")
    assert "inconsistent" in findings(document(ledger, "status", check=None))
    done = healed(ledger)
    assert actions(done) == [("restore", "done")], done
    assert rows(ledger) == ["1", "2"]
    moment = re.search(r"as they were at (\S+); what was written since .* is lost", told(done))
    assert moment
    assert datetime.fromisoformat(moment[1])
    document(ledger, "tick", "--deadline", "4m", check=None)  # a new base begins at once
    assert document(ledger, "status")["health"] == "healthy"


def test_a_spoilt_page_costs_nothing_that_was_stored(ledger: RunningLab) -> None:
    """What PostgreSQL calls an invalid page is no matter of what is in it: all changes are replayed, to the last one."""
    add(ledger, 3)
    ledger.on("s1", SQL + SPOIL)
    seen = document(ledger, "status", check=None)
    assert "data-damaged" in findings(seen), seen
    done = healed(ledger)
    assert actions(done) == [("restore", "done")], done
    assert rows(ledger) == ["1", "2", "3"]
    assert "databases as the last stored change left them" in told(done)
    document(ledger, "tick", "--deadline", "4m", check=None)


def test_a_wiped_slice_has_every_change_that_was_stored(ledger: RunningLab) -> None:
    """Another machine answers with another key: it is made anew, and its database comes to the last change."""
    provides(ledger, f"tfheal lab recreate s1 --name {ledger.name}", "running")
    add(ledger, 4)
    ledger.do("break", "s1", "wipe-slice")
    done = document(ledger, "heal", "--auto", check=None)
    assert actions(done) == [("recreate", "done"), ("restore", "done")], done
    assert rows(ledger) == ["1", "2", "3", "4"]
    document(ledger, "tick", "--deadline", "4m", check=None)
    assert document(ledger, "status")["health"] == "healthy"


def test_a_slice_that_is_gone_for_good_is_left_for_a_spare(ledger: RunningLab) -> None:
    """The spare has the database to the last stored change, and stores its own from there on."""
    add(ledger, 5)
    provides(ledger, "false", "destroyed")
    ledger.do("break", "s1", "lose-slice")
    document(ledger, "status", check=None)
    time.sleep(2)
    done = document(ledger, "heal", "--auto", check=None)
    assert actions(done)[-2:] == [("rehome", "done"), ("restore", "done")], done
    assert rows(ledger, "s2") == ["1", "2", "3", "4", "5"]
    document(ledger, "tick", "--deadline", "4m", check=None)
    add(ledger, 6, "s2")
    assert document(ledger, "status", check=4)["health"] == "healthy", "all but the slice that is gone"
