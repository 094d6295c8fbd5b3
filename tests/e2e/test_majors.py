"""PostgreSQL 15 becomes 17 on a real slice, and goes back: every acknowledged row is there, whatever fails or is killed."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from documents import actions, document
from readers import Readers, asked
from running_lab import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.long]
SPEC = """\
app: majors
owner: lab
playbook: majors
version: "15"
place: {db: [s2], web: [s2]}
backup: {to: s1}
heal: {reflex: off}
hostname: ledger.example
route: {gateway: edge}
"""
GATEWAY = """\
app: edge
owner: lab
playbook: gateway
version: "debian"
place: {gateway: [s3]}
heal: {reflex: off}
"""
# Debian 12's packages beside those of the slice's own release, which stay the ones that are wanted.
OLDER = """
set -e
base=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | sort -u | head -n 1)
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $base bookworm main" >/etc/apt/sources.list.d/bookworm.list
printf 'Package: *\\nPin: release n=bookworm\\nPin-Priority: 100\\n' >/etc/apt/preferences.d/bookworm
apt-get update -qq
"""
GONE = """
systemctl stop majors-writer
DEBIAN_FRONTEND=noninteractive apt-get purge -q -y 'postgresql*' >/dev/null 2>&1
rm -rf /var/lib/postgresql /etc/postgresql /etc/apt/sources.list.d/bookworm.list /etc/apt/preferences.d/bookworm /root/written /root/writer
systemctl reset-failed
"""
SQL = 'sql() { (cd / && setpriv --reuid=postgres --regid=postgres --init-groups psql -XqAt -v ON_ERROR_STOP=1 -p 5432 -d "${1:-majors}" -f -); }\n'
# What does not come back by itself: who else may log in, and with what; what a database has beside its tables.
FILLED = """
{
  echo "CREATE TABLE entries (id int PRIMARY KEY, said text); INSERT INTO entries SELECT n, md5(n::text) FROM generate_series(1, 50000) n;"
  echo "CREATE TABLE written (id int PRIMARY KEY); CREATE EXTENSION pg_trgm; CREATE INDEX ON entries USING gin (said gin_trgm_ops);"
  echo "ALTER TABLE entries OWNER TO majors; ALTER TABLE written OWNER TO majors; SELECT lo_from_bytea(0, decode(repeat('ab', 1000), 'hex'));"
  echo "CREATE ROLE reader LOGIN PASSWORD 'of-the-reader'; GRANT SELECT ON entries TO reader; GRANT CONNECT ON DATABASE majors TO reader;"
  echo "ALTER SYSTEM SET max_wal_size = '96MB'; SELECT pg_reload_conf();" # the slices are small
  echo "CREATE SEQUENCE counted; SELECT setval('counted', 42); ALTER DATABASE majors SET statement_timeout = '1h';"
} | sql
"""
SEEN = """
{
  echo "SELECT count(*), md5(string_agg(said, '' ORDER BY id)) FROM entries; SELECT last_value FROM counted; SELECT md5(string_agg(data, '')) FROM pg_largeobject;"
  echo "SELECT rolname, rolpassword FROM pg_authid WHERE rolname !~ '^pg_' ORDER BY 1; SELECT extname FROM pg_extension ORDER BY 1;"
  echo "SELECT has_table_privilege('reader', 'entries', 'SELECT'), has_database_privilege('reader', 'majors', 'CONNECT'); SHOW statement_timeout;"
  echo "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'majors'; SELECT current_setting('server_version_num')::int / 10000;"
} | sql
"""
# A client that notes each row that it was told is there, and when; it tries again for ever, as clients do.
WRITER = """#!/bin/sh
cd /; n=0
while :; do
  n=$((n + 1))
  PGCONNECT_TIMEOUT=2 psql -XqAt -p 5432 -d majors -c "INSERT INTO written VALUES ($n)" 2>/dev/null && echo "$n $(date +%s.%N)"
  sleep 0.05
done
"""
WRITES = f"printf %s '{WRITER}' >/root/writer; chmod 755 /root/writer; chmod 711 /root; systemd-run -q --collect --unit=majors-writer --uid=postgres -p StandardOutput=append:/root/written /root/writer"
UPGRADE = ("upgrade", "majors", "--to", "17", "--soak", "1s", "--no-backup", "--again")
THERE = "DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends postgresql-17 >/dev/null 2>&1"
ROWS = "echo 'SELECT id FROM written' | sql"
EMPTY = "echo 'TRUNCATE written' | sql"
CLUSTERS = "pg_lsclusters -h | awk '{ print $1, $3, $4 }'"


# The making of a new cluster is killed when it has hardly begun.
STUMP = """
[ ! -e /etc/postgresql/17/main ] || pg_dropcluster --stop 17 main
setsid pg_createcluster 17 main >/dev/null 2>&1 &
until [ -e /var/lib/postgresql/17/main/PG_VERSION ]; do :; done
kill -9 -- -$!
[ ! -e /var/lib/postgresql/17/main/pg_hba.conf ]
"""


@pytest.fixture(scope="module")
def majors(fleet: RunningLab) -> Iterator[RunningLab]:
    """Have an app whose database is on PostgreSQL 15 on s2, its backups on s1, behind a gateway on s3; taken away after the last test."""
    folder = fleet.workspace / "playbooks" / "majors"
    shutil.copytree(Path(__file__).parent / "majors", folder)
    (fleet.workspace / "apps").mkdir(exist_ok=True)
    spec(fleet).write_text(SPEC)
    edge = fleet.workspace / "apps/edge.yaml"
    edge.write_text(GATEWAY)
    try:
        fleet.on("s2", OLDER)
        fleet.run("deploy", "majors", "edge")
        fleet.on("s2", f"apt-get clean; {SQL}{FILLED}")
        yield fleet
    finally:
        fleet.run("remove", "majors", "edge", "--data", "--backups", "--yes", check=None)
        fleet.on("s2", GONE, check=None)
        spec(fleet).unlink()
        edge.unlink()
        shutil.rmtree(folder)


@pytest.fixture
def fifteen(majors: RunningLab) -> RunningLab:
    """Have it on 15, whatever the test before left."""
    majors.on("s2", "systemctl stop majors-writer 2>/dev/null; rm -f /root/written")
    if "15 5432 online" not in majors.on("s2", CLUSTERS):
        majors.run("rollback", "majors", "--lose-changes", check=None)
    assert "15 5432 online" in majors.on("s2", CLUSTERS)
    majors.on("s2", SQL + EMPTY)
    assert document(majors, "status", "majors")["health"] == "healthy"
    return majors


def spec(lab: RunningLab) -> Path:
    """Return the spec of the app."""
    return lab.workspace / "apps/majors.yaml"


def seen(lab: RunningLab) -> list[str]:
    """Return all that a move has to keep, and the version of the server as the last line."""
    return lab.on("s2", SQL + SEEN).splitlines()


def written(lab: RunningLab) -> list[tuple[int, float]]:
    """End the writer, and return the rows that it was told are there, and when."""
    lab.on("s2", "systemctl stop majors-writer")
    lines = lab.on("s2", "cat /root/written; rm /root/written").splitlines()
    return [(int(number), float(when)) for number, when in (line.split() for line in lines)]


def rows(lab: RunningLab) -> set[int]:
    """Return the rows that are there."""
    return {int(one) for one in lab.on("s2", SQL + ROWS).split()}


def test_a_database_moves_to_another_major_version_and_back(fifteen: RunningLab) -> None:
    """While somebody writes: each acknowledged row is there; the old server stays as the way back, until something is written.

    Who comes through the gateway meanwhile reads that it is being worked on.
    """
    before = seen(fifteen)
    assert before[-1] == "15"
    plan = document(fifteen, "upgrade", "majors", "--to", "17", "--plan", check=3)
    assert "goes from 15/main to 17/main" in plan["interruption"]["db"]
    assert "web stopped, its gateways, if it has any, answering" in plan["interruption"]["db"]
    fifteen.on("s2", WRITES)
    time.sleep(1)
    with Readers(fifteen.address("s3"), "ledger.example") as people:
        done = document(fifteen, "upgrade", "majors", "--to", "17", "--soak", "1s")
    assert (done["state"], done["detail"]) == ("done", ""), done
    assert (people.answered > 0, people.closed > 0) == (True, True)
    # What is under way at the only web server when that is switched itself is lost; nobody is told that there is none.
    assert len(people.failed) <= 2, people.failed
    assert not any(one.startswith("503") for one in people.failed), people.failed
    assert done["closed_for"] > 0
    time.sleep(8)
    there = written(fifteen)
    told = {number for number, _ in there}
    assert told <= rows(fifteen)
    away = max(after - before for (_, before), (_, after) in pairwise(there))
    assert away < 60, "seconds in which nothing was written, with a dump of a few MB"
    assert seen(fifteen) == [*before[:-1], "17"]
    assert fifteen.on("s2", CLUSTERS) == "15 5433 down\n17 5432 online\n"
    status = document(fifteen, "status", "majors")
    assert status["health"] == "healthy"
    assert actions(document(fifteen, "heal", "--auto", "majors")) == []
    refused = document(fifteen, "rollback", "majors", check=6)["error"]
    assert "what was written since in 17/main would be lost in 15/main" in str(refused), refused
    assert document(fifteen, "status", "majors")["health"] == "healthy", "nothing was touched"
    moment = there[-1][1] - 3  # after the new base
    asked = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1e6):06d}Z"
    restored = document(fifteen, "restore", "majors", "--at", asked, "--yes")
    assert [one["to_the_end"] for one in restored["replayed"]] == [False], restored
    late = {number for number, when in there if when > moment + 1}
    assert told - {number for number, when in there if when > moment} <= rows(fifteen), "all that was told before"
    assert late
    assert not late & rows(fifteen), "from the new server's own changes"
    document(fifteen, "rollback", "majors", "--lose-changes")
    assert seen(fifteen) == before
    assert fifteen.on("s2", CLUSTERS) == "15 5432 online\n17 5433 down\n", (
        "what was written on the new one is lost to the app, and still there"
    )


def test_a_rollback_to_a_server_that_is_as_it_was_loses_nothing(fifteen: RunningLab) -> None:
    """Nothing was written since the move: the old server takes over again, the new one is gone, and a move can be made again."""
    before = seen(fifteen)
    assert document(fifteen, *UPGRADE)["state"] == "done"
    assert document(fifteen, "rollback", "majors")["state"] == "rolled-back"
    assert seen(fifteen) == before
    assert fifteen.on("s2", CLUSTERS) == "15 5432 online\n"
    assert 'version: "15"' in spec(fifteen).read_text()
    assert actions(document(fifteen, "heal", "--auto", "majors")) == []


BROKEN = [
    (
        "an extension that the new server has not",
        "mv {0}/pg_trgm.control {0}/pg_trgm.away",
        "mv {0}/pg_trgm.away {0}/pg_trgm.control",
        "the extension pg_trgm",
    ),
    (
        "a restore that fails in its midst",
        "mv {1}/pg_restore {1}/restore; printf '#!/bin/sh\\nhead -c 100000 >/dev/null; exit 1\\n' >{1}/pg_restore; chmod 755 {1}/pg_restore",
        "mv {1}/restore {1}/pg_restore",
        "could not be copied",
    ),
    (
        "a dump that is cut and says that all is well",
        "mv {1}/pg_dump {1}/dump; printf '#!/bin/sh\\nexit 1\\n' >{1}/pg_dump; chmod 755 {1}/pg_dump",
        "mv {1}/dump {1}/pg_dump",
        "could not be copied",
    ),
]


@pytest.mark.parametrize(("breaks", "mends", "says"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_a_move_that_fails_leaves_the_old_server_as_it_was(
    fifteen: RunningLab, breaks: str, mends: str, says: str
) -> None:
    """It is taken back by itself, with every acknowledged row, and the version is not held for it."""
    places = ("/usr/share/postgresql/17/extension", "/usr/lib/postgresql/17/bin")
    fifteen.on("s2", WRITES)
    fifteen.on("s2", f"{THERE} && {breaks.format(*places)}")
    try:
        done = document(fifteen, *UPGRADE, check=5)
    finally:
        fifteen.on("s2", mends.format(*places))
    assert (done["state"], says in done["detail"]) == ("rolled-back", True), done
    told = {number for number, _ in written(fifteen)}
    assert told <= rows(fifteen)
    assert fifteen.on("s2", CLUSTERS) == "15 5432 online\n"
    assert document(fifteen, "status", "majors")["health"] == "healthy"
    assert actions(document(fifteen, "heal", "--auto", "majors")) == []


def test_a_slice_without_room_for_a_second_copy_is_refused(fifteen: RunningLab) -> None:
    """Before anything is touched."""
    fifteen.on(
        "s2", "fallocate -l $(($(df --output=avail -B1 /var/lib/postgresql | tail -n 1) - 80000000)) /var/lib/fill"
    )
    try:
        refused = document(fifteen, *UPGRADE, check=6)["error"]
    finally:
        fifteen.on("s2", "rm /var/lib/fill")
    assert "no room for a second copy" in str(refused), refused
    assert "15 5432 online" in fifteen.on("s2", CLUSTERS)


@pytest.mark.parametrize("moment", ["cluster", "changed cluster", "restart:", "waits until it is ready"])
def test_a_move_whose_run_is_killed_goes_on(fifteen: RunningLab, moment: str) -> None:
    """The slice ends what was begun by itself; the same command goes on, and each acknowledged row is there."""
    fifteen.on("s2", WRITES)
    dying = replace(fifteen, around=(*fifteen.around, f"TFHEAL_FAILPOINT={moment}"))
    assert "failpoint: " in dying.run(*UPGRADE, check=-9).stderr
    running = "systemctl show -P ActiveState postgresql@15-main postgresql@17-main | grep -cx active"
    until = time.monotonic() + 90
    while fifteen.on("s2", running, check=None) != "1\n" and time.monotonic() < until:
        time.sleep(1)
    before = fifteen.on("s2", "wc -l </root/written")
    time.sleep(2)
    assert int(fifteen.on("s2", "wc -l </root/written")) > int(before), "it serves, without anybody's help"
    document(fifteen, "heal", "--auto", "majors", check=None)
    assert document(fifteen, *UPGRADE)["state"] == "done"
    told = {number for number, _ in written(fifteen)}
    assert told <= rows(fifteen)
    assert fifteen.on("s2", CLUSTERS) == "15 5433 down\n17 5432 online\n"
    assert asked(fifteen.address("s3"), "ledger.example")[0] == 200, "it is open again"


def test_a_move_that_is_killed_itself_is_begun_anew(fifteen: RunningLab) -> None:
    """What moves the data on the slice is killed, with the old server shut in: a rollback has it serve again, or the next run moves it.

    A machine that goes down while the new cluster is made leaves a part of that, which is in no later move's way.
    """
    fifteen.on("s2", WRITES)
    unit = "tfheal-majors-db-move"
    kills = f"until systemctl is-active -q {unit}-15; do sleep 0.05; done; systemctl kill -s KILL {unit}"
    fifteen.on("s2", f"systemd-run -q --collect sh -c '{kills}'")
    done = document(fifteen, *UPGRADE, check=None)
    assert done["state"] == "rolled-back", done
    assert fifteen.on("s2", CLUSTERS).startswith("15 5432 online\n")
    fifteen.on("s2", STUMP)
    assert document(fifteen, *UPGRADE)["state"] == "done"
    told = {number for number, _ in written(fifteen)}
    assert told <= rows(fifteen)
