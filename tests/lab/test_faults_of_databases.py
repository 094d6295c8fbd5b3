"""Faults of a real database: each keeps a client from working with it, says so, and leaves its data as it was."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from running_lab import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.long]

SLICE = "s3"
UNIT = "postgresql@17-main.service"
INSTALL = """set -e
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update; apt-get -qq install --no-install-recommends postgresql-17 >/dev/null 2>&1
mkdir -p /var/lib/tfheal/notes/db; echo 'unit postgresql@17-main.service' > /var/lib/tfheal/notes/db/state
cd /; sql() { setpriv --reuid=postgres --regid=postgres --init-groups psql -Xq "$@"; }
sql -c "CREATE ROLE notes LOGIN PASSWORD 'the-word'"; sql -c 'CREATE DATABASE notes OWNER notes'
sql -d notes -c 'CREATE TABLE note (words text)' -c "INSERT INTO note VALUES ('kept')" -c 'ALTER TABLE note OWNER TO notes'
"""
REMOVE = """DEBIAN_FRONTEND=noninteractive apt-get purge -q -y 'postgresql*' >/dev/null 2>&1
rm -rf /var/lib/postgresql /etc/postgresql /var/lib/tfheal; systemctl reset-failed"""
CLIENT = (
    "PGCONNECT_TIMEOUT=3 PGPASSWORD=the-word PGOPTIONS='-c statement_timeout=2s' "
    "psql -XAt 'host=127.0.0.1 user=notes dbname=notes' -c 'SELECT words FROM note' 2>&1"
)
PLAYBOOK = yaml.safe_load((Path(__file__).parents[2] / "playbooks/tryton/playbook.yaml").read_text())
CHECKS = {check["name"]: check["command"] for check in PLAYBOOK["components"]["db"]["checks"]}
SAYS = {
    "db-down": "Connection refused",
    "exhaust-connections": "remaining connection slots are reserved",
    "change-role-password": "password authentication failed",
    "lock-tables": "canceling statement due to statement timeout",
}


@pytest.fixture(scope="module")
def server(lab: RunningLab) -> Iterator[RunningLab]:
    """Install PostgreSQL with one database by the conventions of an instance, `notes/db`."""
    lab.on(SLICE, INSTALL)
    yield lab
    lab.do("mend", SLICE)
    lab.on(SLICE, REMOVE, check=None)


@pytest.mark.parametrize("fault", SAYS)
def test_a_fault_of_a_database_keeps_its_clients_away(server: RunningLab, fault: str) -> None:
    """A client that worked is told the fault's own words, and once it is mended it reads what was there before."""
    assert server.on(SLICE, CLIENT) == "kept\n"
    assert server.do("break", SLICE, fault)["detail"]
    assert SAYS[fault] in server.on(SLICE, f"{CLIENT}; true")
    assert server.do("break", SLICE, fault)["detail"].startswith("there already: ")
    assert server.do("mend", SLICE)["mended"][0]["detail"].startswith("mended: ")
    waited = f"for attempt in $(seq 20); do said=$(sh -c {shlex.quote(CLIENT)}) && break; sleep .2; done"
    assert server.on(SLICE, f'{waited}; echo "$said"') == "kept\n"


def test_a_server_that_is_started_anew_is_rid_of_a_crowd(server: RunningLab) -> None:
    """Who held all connections has none any more, so that a restart heals."""
    server.do("break", SLICE, "exhaust-connections")
    server.on(SLICE, f"systemctl restart {UNIT}")
    assert server.on(SLICE, CLIENT) == "kept\n"
    assert server.do("mend", SLICE)["mended"][0]["detail"] == "was healed already, now forgotten"


def test_the_checks_of_a_playbook_tell_a_crowd_and_a_lock(server: RunningLab) -> None:
    """Who takes all connections is named by `alive`, whoever holds a lock that others wait for by `ready`; else both pass."""
    wait = f"{CLIENT.replace('2s', '30s')} >/dev/null 2>&1 & sleep 12; "
    both = "".join(f"( {CHECKS[name]} )\necho $?\n" for name in ("answers", "locks"))
    assert server.on(SLICE, f"{both}") == "0\n0\n"
    server.do("break", SLICE, "exhaust-connections")
    assert "connections are taken, most by nobody\n1\n0\n" in server.on(SLICE, both)
    server.do("mend", SLICE)
    server.do("break", SLICE, "lock-tables")
    told = server.on(SLICE, f"{wait}\n{both}")
    assert told.startswith("0\na lock that locker holds since ")
    assert told.endswith("\n1\n")
    server.do("mend", SLICE)
