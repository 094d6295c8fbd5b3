"""Databases on real slices: dumped, spoilt, brought back, to any second; what only looks whole is called what it is."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents import actions, document, findings
from ledgers import ALL, LATER, MADE, SENT, SPOOL, WRITER, WRITERS
from running_lab import RunningLab
from sheets import follow

pytestmark = pytest.mark.lab
PLAYBOOK = Path(__file__).parent / "ledger"
SPEC = """\
app: ledger
owner: lab
playbook: ledger
version: "1"
place: {db: [s2]}
backup: {to: s3, every: 1h}
heal: {reflex: off, allow: [restart, free-disk, redeploy, rollback, rebuild, restore, page]}
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
DRILLED = ["room", "restore", "read", "engine db", "replay db"]
LEFT = "ls -d /srv/tfheal/.drill-* 2>/dev/null | wc -l"
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
        fleet.on("s2", SQL + MADE)
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
    ledger.on("s2", f"echo right >{DATA}/plain")
    made = taken(ledger)
    assert ledger.on("s2", "cat /root/hooks") == "freeze\nthaw\n"
    ledger.on("s2", f"touch -r {DATA}/plain /root/as; echo wrong >{DATA}/plain; touch -r /root/as {DATA}/plain")
    spoil = f"{SQL}echo 'DROP TABLE entries' | sql; systemctl stop ledger-notes; rm {DATA}/notes.db*"
    ledger.on("s2", spoil)
    # Somebody who stays connected is sent away, and holds nothing up.
    sits = "--uid=postgres psql -d ledger -c 'SELECT pg_sleep(600)'"
    ledger.on("s2", f"cd /; systemd-run -q --collect --unit=ledger-sits {sits}")
    plan = document(ledger, "restore", "ledger", "--plan")
    here = {"instance": "ledger/db@s2", "folders": [DATA], "dumps": ["rows", "notes"], "replayed": False}
    assert (plan["backup"], plan["instances"], plan["left_out"]) == (made["id"], [here], [])
    same = document(ledger, "restore", "ledger", "--plan", "--at", "2199-01-01T01:00:00+01:00")
    assert (same["backup"], same["asked_for"]) == (made["id"], "2199-01-01T00:00:00Z")
    early = document(ledger, "restore", "ledger", "--plan", "--at", str(made["started"]), check=6)
    assert f"was whole at {made['started']}" in str(early["error"])
    assert [one["outcome"] for one in document(ledger, "restore", "ledger", "--yes")["outcomes"]] == ["done"]
    tampered = ledger.on("s2", f"{SQL}{COUNTED}cat {DATA}/plain")
    assert tampered == "1000\n2\nright\n", "what looks unchanged by size and times is brought back too"
    assert ledger.on("s2", SQL + ASIDE) == "1\n"
    assert ledger.on("s2", SQL + BESIDE, check=None) == "0\n0\n"
    assert document(ledger, "status", "ledger")["health"] == "healthy"
    writers = ledger.on("s2", WRITERS)
    (drill,) = document(ledger, "backup", "drill", "ledger")["drills"]
    assert (drill["state"], [step["step"] for step in drill["steps"]]) == ("passed", DRILLED), drill
    assert (ledger.on("s2", WRITERS), "0000000" in writers) == (writers, True), "it archives nothing"
    assert ledger.on("s2", SQL + COUNTED + LEFT) == "1000\n2\n0\n", (
        "the live server was not touched, and nothing is left"
    )


def noted(ledger: RunningLab) -> list[tuple[int, float, float]]:
    """Return what the writer noted: each row, when it was begun, and when it was known to be there."""
    lines = ledger.on("s2", "cat /root/written").splitlines()
    return [(int(one), float(begun), float(known)) for one, begun, known in (line.split() for line in lines)]


def rows(ledger: RunningLab) -> set[int]:
    """Return the rows that are there."""
    return {int(one) for one in ledger.on("s2", SQL + ALL).split()}


def test_a_database_goes_back_to_any_moment(ledger: RunningLab) -> None:
    """Of a moment between two rows all that was acknowledged before is there, and nothing that was begun after."""
    taken(ledger)  # which is forgotten in the end, and the moment is to be had from the next
    assert "db/17-main" in [part["what"] for part in taken(ledger)["parts"]]  # type: ignore[attr-defined]
    ledger.on("s2", f"printf %s '{WRITER}' >/root/writer; chmod 755 /root/writer; chmod 711 /root")
    unit = "systemd-run -q --collect --unit=ledger-writer --uid=postgres -p StandardOutput=file:/root/written"
    ledger.on("s2", f"{unit} /root/writer")
    until = time.monotonic() + 30
    while len(noted(ledger)) < 40 and time.monotonic() < until:
        time.sleep(0.5)
    ledger.on("s2", f"{SQL}systemctl stop ledger-writer; echo 'DROP TABLE written' | sql")
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
    # What the slice sends by itself is nobody's stranger, and goes with the base that it is of, not before.
    document(ledger, "backup", "rescan", "ledger")
    document(ledger, "backup", "verify", "ledger")
    assert "backup-unknown" not in findings(document(ledger, "status", "ledger", check=None))
    oldest = document(ledger, "backup", "list", "ledger")["backups"][-1]["id"]
    ledger.run("backup", "forget", oldest, "--why", "test", "--yes")
    (pruned,) = document(ledger, "backup", "prune", "ledger", "--yes")["apps"]
    assert (pruned["state"], pruned["backups"]) == ("done", [oldest]), pruned
    document(ledger, "restore", "ledger", "--at", asked, "--plan")


def test_what_waits_to_be_sent_is_told_of(ledger: RunningLab) -> None:
    """With the way to the store shut a change waits; who has to know is called, the service is as well as it was."""
    keys = "/opt/tfheal/ledger/store/.ssh/authorized_keys"
    ledger.on("s3", f"mv {keys} {keys}.away")
    try:
        ledger.on("s2", SQL + LATER)
        ledger.on("s2", "systemctl start tfheal-ledger-db.wal.service", check=None)
        waits = f"cd {SPOOL} && until [ -n \"$(find . -mindepth 3 -name '0*' -newer .sent)\" ]; do sleep 0.2; done"
        ledger.on(
            "s2", f"{waits}; find . -name '0*' -newer .sent -exec touch -d '-15min' {{}} +; touch -d '-1hour' .sent"
        )
        seen = document(ledger, "status", "ledger", check=None)
        assert "not-stored" in findings(seen), seen
        assert "segments wait for more than 10 minutes" in str(seen["findings"])
        assert [one["health"] for one in seen["apps"][0]["instances"] if one["component"] == "db"] == ["healthy"]
    finally:
        ledger.on("s3", f"mv {keys}.away {keys}")
    ledger.on("s2", "systemctl start tfheal-ledger-db.wal.service")
    assert "not-stored" not in findings(document(ledger, "status", "ledger", check=None))


@pytest.mark.long
def test_what_would_fill_the_disk_is_told_of_before(ledger: RunningLab) -> None:
    """More waits than is free, and a server that cannot hand over: a finding each, and gone with its reason."""
    log, archive = "/var/lib/postgresql/17/main/pg_wal", "/opt/tfheal/ledger/db/wal/archive"
    waiting = f"ls {log}/archive_status/*.ready"
    taken(ledger)
    ledger.on("s2", f"fallocate -l $(($(df --output=avail -B1 {log} | tail -n 1) * 6 / 10)) {log}/large")
    try:
        assert "the disk will be full" in str(document(ledger, "status", "ledger", check=None)["findings"])
    finally:
        ledger.on("s2", f"rm {log}/large")
    ledger.on("s2", f"mv {archive} {archive}.away; {SQL}{LATER}")
    try:
        ledger.on("s2", f"until {waiting}; do sleep 0.1; done; touch -d '-15min' $({waiting})")
        assert "the server could not hand over" in str(document(ledger, "status", "ledger", check=None)["findings"])
        details = {part["what"]: part["detail"] for part in taken(ledger, "partial", 5)["parts"]}  # type: ignore[attr-defined]
        assert "the server could not hand over" in details["db/17-main"], "a base is not waited for"
        # What only the server has is not left out in silence, and nothing is changed.
        refused = document(ledger, "restore", "ledger", "--at", "2199-01-01T00:00:00Z", "--yes", check=6)
        assert "could not hand over all of before that time" in str(refused["error"])
    finally:
        ledger.on("s2", f"mv {archive}.away {archive}")
    ledger.on("s2", f"timeout 120 sh -c 'while {waiting}; do sleep 0.5; done'")
    assert "not-stored" not in findings(document(ledger, "status", "ledger"))


@pytest.mark.long
def test_a_moment_after_all_that_is_stored_is_the_end_of_it(ledger: RunningLab) -> None:
    """Nothing was stored after the time that is asked for: all that was is replayed, and it says so."""
    taken(ledger)
    ledger.on("s2", SQL + LATER)
    kept = rows(ledger)
    done = document(ledger, "restore", "ledger", "--at", "2199-01-01T00:00:00Z", "--yes")
    assert [one["outcome"] for one in done["outcomes"]] == ["done"], done  # type: ignore[union-attr]
    assert [(one["to_the_end"], one["lacking"]) for one in done["replayed"]] == [(True, "")]  # type: ignore[union-attr]
    assert rows(ledger) == kept


@pytest.mark.long
def test_a_database_that_crashed_is_asked_whether_its_data_is_right(ledger: RunningLab) -> None:
    """Killed, it is started again and asked; of one that came back without its rows a human is told."""
    kill = "systemctl kill -s KILL postgresql@17-main; sleep 1"
    ledger.on("s2", kill)
    healed = document(ledger, "heal", "--auto")
    assert actions(healed) == [("restart", "done")], healed
    assert document(ledger, "status", "ledger")["health"] == "healthy"

    ledger.on("s2", f"{SQL}echo 'CREATE TABLE kept AS TABLE entries; TRUNCATE entries' | sql; {kill}")
    try:
        healed = document(ledger, "heal", "--auto", check=3)
        assert actions(healed) == [("restart", "done")], healed
        assert "inconsistent" in findings(document(ledger, "status", "ledger", check=None))
        time.sleep(60)  # what started just now is left to start
        healed = document(ledger, "heal", "--auto", check=None)
        assert (actions(healed), [one["cause"] for one in healed["incidents"]]) == (
            [("page", "done")],
            ["inconsistent"],
        )
    finally:
        ledger.on("s2", f"{SQL}echo 'INSERT INTO entries TABLE kept; DROP TABLE kept' | sql")
    assert document(ledger, "status", "ledger")["health"] == "healthy"


@pytest.mark.long
def test_a_server_whose_folder_is_gone_comes_back_to_the_last_stored_change(ledger: RunningLab) -> None:
    """Its data folder is deleted: healing makes it anew, with every row that was stored, and a new base begins at once."""
    taken(ledger)
    ledger.on("s2", SQL + LATER)
    ledger.on("s2", f"sleep 1; until systemctl start tfheal-ledger-db.wal.service && {SENT}; do sleep 0.5; done")
    before = rows(ledger)
    ledger.on("s2", "systemctl stop postgresql@17-main; rm -rf /var/lib/postgresql/17/main")
    healed = document(ledger, "heal", "--auto")
    assert ("restore", "done") in actions(healed), healed
    document(ledger, "heal", "--auto")
    assert document(ledger, "status", "ledger")["health"] == "healthy"
    assert rows(ledger) == before
    assert "backup" in str(document(ledger, "tick", "--deadline", "4m", check=None)), "a new base begins at once"
    (newest, *_) = document(ledger, "backup", "list", "ledger")["backups"]
    assert newest["state"] == "good", newest


@pytest.mark.long
def test_changes_of_a_slice_without_a_way_of_its_own_are_sent_by_a_tick(ledger: RunningLab) -> None:
    """Led there by us: a tick sends what waits, `status` says until when all is stored, and a lost server comes to that."""
    spec = ledger.workspace / "apps/ledger.yaml"
    before = spec.read_text()
    spec.write_text(before.replace("to: s3, ", "to: s3, via: controller, "))
    try:
        ledger.run("deploy", "ledger")
        taken(ledger)
        ledger.on("s2", SQL + LATER)
        said = document(ledger, "tick", "--deadline", "4m", check=None)
        assert said["parts"]["changes"]["exit"] == 0, said  # type: ignore[index]
        assert ledger.on("s2", f"find {SPOOL} -mindepth 3 -name '0*' -newer {SPOOL}/.sent") == ""
        ages = document(ledger, "status", "ledger")["apps"][0]["backup"]
        assert ages["changes"] < 300
        assert ages["rpo"] == ages["complete"], "it has files too, of which the last backup is all"
        kept = rows(ledger)
        ledger.on("s2", "systemctl stop postgresql@17-main; rm -rf /var/lib/postgresql/17/main")
        assert ("restore", "done") in actions(document(ledger, "heal", "--auto"))
        assert rows(ledger) == kept
    finally:
        spec.write_text(before)
        ledger.run("deploy", "ledger")
        taken(ledger)


@pytest.mark.long
def test_changes_come_from_the_second_store(ledger: RunningLab) -> None:
    """They are copied with the backups; when the second store takes the place of the first, a moment between two is there."""
    spec = ledger.workspace / "apps/ledger.yaml"
    before = spec.read_text()
    spec.write_text(before.replace("to: s3, ", "to: s3, copy_to: s1, "))
    try:
        ledger.run("deploy", "ledger")
        taken(ledger)
        ledger.on("s2", SQL + LATER)
        ledger.on("s2", f"sleep 1; until systemctl start tfheal-ledger-db.wal.service && {SENT}; do sleep 0.5; done")
        kept, moment = rows(ledger), ledger.on("s2", "date -u +%Y-%m-%dT%H:%M:%S.%6NZ").strip()
        ledger.on("s2", SQL + LATER)
        taken(ledger)
        assert rows(ledger) != kept
        spec.write_text(before.replace("to: s3, ", "to: s1, "))
        ledger.run("remove", "ledger/store@s3", "--yes")
        ledger.run("deploy", "ledger")
        document(ledger, "backup", "rescan", "ledger", check=None)
        done = document(ledger, "restore", "ledger", "--at", moment, "--yes")
        assert [one["outcome"] for one in done["outcomes"]] == ["done"], done  # type: ignore[union-attr]
        assert rows(ledger) == kept
    finally:
        spec.write_text(before)
        ledger.run("remove", "ledger/store@s1", "--backups", "--yes", check=None)
        ledger.run("deploy", "ledger")
        taken(ledger)


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
    (drill,) = document(ledger, "backup", "drill", "ledger", check=7)["drills"]
    assert (drill["backup"], drill["state"]) == (bad, "damaged"), drill
    assert "end of file" in drill["detail"]
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
    (drill,) = document(ledger, "backup", "drill", "ledger", check=7)["drills"]
    assert (drill["state"], drill["detail"]) == ("damaged", "engine db on s2: rows: f"), drill
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


@pytest.fixture
def owner(ledger: RunningLab) -> Iterator[str]:
    """Return a slice with PostgreSQL, and nothing of the ledger, from which its owner logs in on the store."""
    key = "/root/.ssh/id_ed25519"
    install = "DEBIAN_FRONTEND=noninteractive apt-get -qq install -y postgresql-17 >/dev/null 2>&1"
    public = ledger.on("s1", f"{install}; ssh-keygen -q -t ed25519 -N '' -f {key} && cat {key}.pub").strip()
    ledger.on("s3", f"cp /root/.ssh/authorized_keys /root/before && echo '{public}' >>/root/.ssh/authorized_keys")
    yield "s1"
    ledger.on("s3", "mv /root/before /root/.ssh/authorized_keys")
    purge = "DEBIAN_FRONTEND=noninteractive apt-get -qq purge -y 'postgresql*' >/dev/null 2>&1"
    ledger.on("s1", f"rm -rf /root/owner {key} {key}.pub; {purge}; rm -rf /var/lib/postgresql /etc/postgresql")


@pytest.mark.long
def test_the_owner_replays_every_stored_change_by_hand(ledger: RunningLab, owner: str) -> None:
    """The sheet's commands, as they stand, bring the databases back with what was written after the backup."""
    taken(ledger)
    ledger.on("s2", SQL + LATER)
    rows = ledger.on("s2", SQL + ALL)
    ledger.on("s2", f"sleep 1; until systemctl start tfheal-ledger-db.wal.service && {SENT}; do sleep 0.5; done")
    sheet = document(ledger, "backup", "owner-key", "ledger")["sheet"]
    assert "/db-rows.dump is the database ledger of PostgreSQL" in sheet
    follow(ledger, sheet, owner, "/root/owner")
    ledger.on(owner, f"{SQL}echo 'CREATE DATABASE ledger' | sql postgres; mv /root/owner/restored/s2/ledger.dump /tmp/")
    ledger.on(
        owner, f"cd /tmp && setpriv --reuid=postgres --clear-groups {PG}/pg_restore --no-owner -d ledger ledger.dump"
    )
    assert ledger.on(owner, SQL + ALL) == rows
    assert ledger.on(owner, "ls -d /var/lib/postgresql/recovered-* 2>/dev/null | wc -l") == "0\n"
