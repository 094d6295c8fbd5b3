"""A database at any second: every change is stored as it comes, and replayed until the moment that is asked for."""

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
SQL = 'sql() { (cd / && setpriv --reuid=postgres --regid=postgres --init-groups psql -XqAt -v ON_ERROR_STOP=1 -d "${1:-ledger}" -f -); }\n'
MADE = "echo 'CREATE TABLE entries (id int PRIMARY KEY, begun timestamptz); INSERT INTO entries VALUES (0, now()); ALTER TABLE entries OWNER TO ledger;' | sql\n"
ALL = "echo 'SELECT id FROM entries' | sql"
# A client that notes of each row when it was begun and when it was told that it is there.
WRITER = """\
#!/bin/sh
cd /; n=0
while :; do
  n=$((n + 1)); begun=$(date +%s.%N)
  psql -XqAt -d ledger -c "INSERT INTO entries VALUES ($n, now())" || exit 1
  echo "$n $begun $(date +%s.%N)"
done
"""


@pytest.fixture(scope="module")
def ledger(fleet: RunningLab) -> Iterator[RunningLab]:
    """Deploy an app with a database on s2 whose every change is stored on s3, and take it away after the tests."""
    folder = fleet.workspace / "playbooks" / "ledger"
    shutil.copytree(PLAYBOOK, folder)
    playbook = folder / "playbook.yaml"
    playbook.write_text(playbook.read_text().replace("postgres: ledger}", "postgres: ledger, wal: true}"))
    spec = fleet.workspace / "apps/ledger.yaml"
    spec.write_text(SPEC)
    try:
        fleet.run("deploy", "ledger")
        fleet.on("s2", SQL + MADE + "sqlite3 /srv/tfheal/ledger/db/notes.db 'CREATE TABLE notes (note)'")
        yield fleet
    finally:
        fleet.on("s2", "systemctl stop ledger-writer", check=None)
        fleet.run("remove", "ledger", "--data", "--backups", "--yes", check=None)
        spec.unlink()
        shutil.rmtree(folder)


def noted(ledger: RunningLab) -> list[tuple[int, float, float]]:
    """Return what the writer noted: each row, when it was begun, and when it was known to be there."""
    lines = ledger.on("s2", "cat /root/written").splitlines()
    return [(int(one), float(begun), float(known)) for one, begun, known in (line.split() for line in lines)]


def rows(ledger: RunningLab) -> set[int]:
    """Return the rows that are there."""
    return {int(one) for one in ledger.on("s2", SQL + ALL).split()}


def test_a_database_goes_back_to_any_moment(ledger: RunningLab) -> None:
    """Of a moment between two rows all that was acknowledged before is there, and nothing that was begun after."""
    made = document(ledger, "backup", "run", "ledger")["backups"][0]  # type: ignore[index]
    assert made["state"] == "good", made
    assert "db/17-main" in [part["what"] for part in made["parts"]]
    ledger.on("s2", f"printf %s '{WRITER}' >/root/writer; chmod 755 /root/writer; chmod 711 /root")
    ledger.on(
        "s2",
        "systemd-run -q --collect --unit=ledger-writer --uid=postgres -p StandardOutput=file:/root/written /root/writer",
    )
    until = time.monotonic() + 30
    while len(noted(ledger)) < 60 and time.monotonic() < until:
        time.sleep(0.5)
    ledger.on("s2", f"{SQL}systemctl stop ledger-writer; echo 'DROP TABLE entries' | sql")
    written = noted(ledger)
    moment = (written[30][1] + written[30][2]) / 2
    asked = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1e6):06d}Z"
    plan = document(ledger, "restore", "ledger", "--at", asked, "--plan")
    assert [one["replayed"] for one in plan["instances"]] == [True]  # type: ignore[union-attr]
    done = document(ledger, "restore", "ledger", "--at", asked, "--yes")
    assert [one["outcome"] for one in done["outcomes"]] == ["done"], done  # type: ignore[union-attr]
    assert [one["to_the_end"] for one in done["replayed"]] == [False]  # type: ignore[union-attr]
    there = rows(ledger)
    assert {one for one, _, known in written if known <= moment} <= there
    assert not there & {one for one, begun, _ in written if begun > moment}
