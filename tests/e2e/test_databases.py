"""Databases on real slices: dumped, spoilt, brought back; and every dump that only looks whole is called what it is."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents import document
from running_lab import RunningLab

pytestmark = pytest.mark.lab
PLAYBOOK = Path(__file__).parent / "ledger"
SPEC = """\
app: ledger
owner: lab
playbook: ledger
version: "1"
place: {db: [s2]}
backup: {to: s3, every: 1h}
heal: {reflex: off}
"""
DATA = "/srv/tfheal/ledger/db"
PG = "/usr/lib/postgresql/17/bin"
SQL = 'sql() { (cd / && setpriv --reuid=postgres --regid=postgres --init-groups psql -XqAt -v ON_ERROR_STOP=1 -d "${1:-ledger}" -f -); }\n'
# A dump that ends in its midst, and says that all is well.
CUTS = f"""#!/bin/bash
set -o pipefail
{PG}/pg_dump.whole "$@" | head -c 9000
exit 0
"""
# The file is in use: what was written last is in its WAL alone, as with any server that is under way.
FILLED = """
echo 'CREATE TABLE entries (id int PRIMARY KEY); INSERT INTO entries SELECT generate_series(1, 1000); ALTER TABLE entries OWNER TO ledger;' | sql
mkfifo /root/pipe
systemd-run -q --collect --unit=ledger-notes sh -c 'exec sqlite3 /srv/tfheal/ledger/db/notes.db <>/root/pipe'
echo 'PRAGMA journal_mode=WAL; CREATE TABLE notes (note); INSERT INTO notes VALUES (1), (2);' >/root/pipe
until [ -s /srv/tfheal/ledger/db/notes.db-wal ]; do sleep 0.1; done
cp /srv/tfheal/ledger/db/notes.db /root/copied.db
"""
COUNTED = """
echo 'SELECT count(*) FROM entries' | sql
sqlite3 /srv/tfheal/ledger/db/notes.db 'SELECT count(*) FROM notes'
"""
BESIDE = """
echo "SELECT count(*) FROM pg_database WHERE datname LIKE 'ledger_new%'" | sql postgres
ls -A /var/lib/postgresql/17 /srv/tfheal/ledger | grep -c tfheal-restore
"""
ASIDE = """echo "SELECT count(*) FROM pg_database WHERE datname LIKE 'ledger_before%'" | sql postgres"""


@pytest.fixture(scope="module")
def ledger(fleet: RunningLab) -> Iterator[RunningLab]:
    """Deploy an app with a database of each kind on s2, with its backups on s3, and take it away after the tests."""
    shutil.copytree(PLAYBOOK, fleet.workspace / "playbooks" / "ledger")
    spec = fleet.workspace / "apps/ledger.yaml"
    spec.write_text(SPEC)
    try:
        fleet.run("deploy", "ledger")
        fleet.on("s2", SQL + FILLED)
        yield fleet
    finally:
        fleet.on("s2", "systemctl stop ledger-notes; rm -f /root/pipe /root/copied.db /root/hooks", check=None)
        fleet.run("remove", "ledger", "--data", "--backups", "--yes", check=None)
        spec.unlink()
        shutil.rmtree(fleet.workspace / "playbooks" / "ledger")


def taken(ledger: RunningLab, state: str = "good", code: int = 0) -> dict[str, object]:
    """Make a backup, demand what it is, and return it."""
    (made,) = document(ledger, "backup", "run", "ledger", check=code)["backups"]
    assert made["state"] == state, made
    return dict(made)


def test_what_databases_held_comes_back(ledger: RunningLab) -> None:
    """A dropped table and a lost file are back, the file with what was in its WAL alone; what was live is set aside."""
    assert "2" not in ledger.on("s2", "sqlite3 /root/copied.db 'SELECT count(*) FROM notes' 2>&1", check=None)
    made = taken(ledger)
    assert ledger.on("s2", "cat /root/hooks") == "freeze\nthaw\n"
    spoil = f"{SQL}echo 'DROP TABLE entries' | sql; systemctl stop ledger-notes; rm {DATA}/notes.db*"
    ledger.on("s2", spoil)
    # Somebody who stays connected is sent away, and holds nothing up.
    sits = "--uid=postgres psql -d ledger -c 'SELECT pg_sleep(600)'"
    ledger.on("s2", f"cd /; systemd-run -q --collect --unit=ledger-sits {sits}")
    plan = document(ledger, "restore", "ledger", "--plan")
    here = {"instance": "ledger/db@s2", "folders": [DATA], "dumps": ["rows", "notes"]}
    assert (plan["backup"], plan["instances"], plan["left_out"]) == (made["id"], [here], [])
    same = document(ledger, "restore", "ledger", "--plan", "--at", "2199-01-01T01:00:00+01:00")
    assert (same["backup"], same["asked_for"]) == (made["id"], "2199-01-01T00:00:00Z")
    early = document(ledger, "restore", "ledger", "--plan", "--at", str(made["started"]), check=6)
    assert f"was whole at {made['started']}" in str(early["error"])
    assert [one["outcome"] for one in document(ledger, "restore", "ledger", "--yes")["outcomes"]] == ["done"]
    assert ledger.on("s2", SQL + COUNTED) == "1000\n2\n"
    assert ledger.on("s2", SQL + ASIDE) == "1\n"
    assert ledger.on("s2", SQL + BESIDE, check=None) == "0\n0\n"
    assert document(ledger, "status", "ledger")["health"] == "healthy"


@pytest.mark.long
def test_a_dump_that_was_cut_is_put_nowhere(ledger: RunningLab) -> None:
    """`pg_restore --list` calls a cut dump whole; a restore reads all of it, says what it is, and changes nothing."""
    ledger.on("s2", f"mv {PG}/pg_dump {PG}/pg_dump.whole; printf %s '{CUTS}' >{PG}/pg_dump; chmod 755 {PG}/pg_dump")
    try:
        bad = str(taken(ledger)["id"])
        listed = f"cd /; setpriv --reuid=postgres --regid=postgres --init-groups {PG}/pg_dump -Fc -Z0 ledger | {PG}/pg_restore --list"
        assert "TABLE DATA public entries" in ledger.on("s2", listed), "it looks whole"
    finally:
        ledger.on("s2", f"mv {PG}/pg_dump.whole {PG}/pg_dump")
    failed = document(ledger, "restore", "ledger", "--snapshot", bad, "--yes", check=5)
    assert "is not whole" in failed["outcomes"][0]["outcome"]
    assert ledger.on("s2", SQL + COUNTED) == "1000\n2\n"
    assert ledger.on("s2", SQL + BESIDE, check=None) == "0\n0\n"


@pytest.mark.long
def test_what_is_not_consistent_is_taken_back(ledger: RunningLab) -> None:
    """A backup of an empty table is put in place, its `consistent` check fails, and the live databases are back."""
    ledger.on("s2", f"{SQL}echo 'CREATE TABLE kept AS TABLE entries; TRUNCATE entries' | sql")
    empty = str(taken(ledger)["id"])
    ledger.on("s2", f"{SQL}echo 'INSERT INTO entries TABLE kept; DROP TABLE kept' | sql; echo live >{DATA}/plain")
    failed = document(ledger, "restore", "ledger", "--snapshot", empty, "--yes", check=5)
    assert "undone: rows: " in failed["outcomes"][0]["outcome"]
    assert ledger.on("s2", f"{SQL}{COUNTED}cat {DATA}/plain") == "1000\n2\nlive\n"
    assert ledger.on("s2", SQL + BESIDE, check=None) == "0\n0\n"


@pytest.mark.long
def test_what_holds_still_goes_on_whatever_happens(ledger: RunningLab) -> None:
    """What cannot hold still is not taken, and thawed; when all of the job is killed, the slice thaws it by itself."""
    ledger.on("s2", "rm -f /root/hooks; touch /root/warm")
    try:
        made = taken(ledger, "partial", 5)
    finally:
        ledger.on("s2", "rm /root/warm")
    details = {part["what"]: part["detail"] for part in made["parts"]}  # type: ignore[attr-defined]
    assert (details["folders"], ledger.on("s2", "cat /root/hooks")) == ("db does not hold still", "freeze\nthaw\n")

    ledger.on("s2", f"rm -f /root/hooks; head -c 300M /dev/urandom >{DATA}/large")
    kills = "until grep -q freeze /root/hooks; do sleep 0.05; done; systemctl kill -s KILL tfheal-backup-ledger.service"
    ledger.on("s2", f"systemd-run -q --collect sh -c '{kills}'")
    taken(ledger, "failed", 5)
    assert ledger.on("s2", "cat /root/hooks") == "freeze\n"
    until = time.monotonic() + 60
    while "thaw" not in ledger.on("s2", "cat /root/hooks") and time.monotonic() < until:
        time.sleep(1)
    assert ledger.on("s2", f"rm {DATA}/large; cat /root/hooks") == "freeze\nthaw\n"
