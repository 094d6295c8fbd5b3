"""An update of PostgreSQL itself, on a real slice under a client that writes all the time: no acknowledged row is lost, and it is short."""

import shutil
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from documents import document
from running_lab import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.long]
SPEC = """\
app: majors
owner: lab
playbook: majors
version: "17"
place: {db: [s3], web: [s3]}
heal: {reflex: off}
"""
# The package that is installed, as a newer version of security, and another one that is pending with it and takes its time.
NEWER = r"""
set -e
mkdir -p /root/patches/new && cd /root/patches
apt-get download -qq postgresql-17 2>/dev/null
dpkg-deb -R postgresql-17_*.deb build
sed -i -E 's/^Version: (.*)/Version: \1+lab1/' build/DEBIAN/control
dpkg-deb -b -Znone build new/postgresql-17.deb >/dev/null
rm -r build
slow() {
  mkdir -p build/DEBIAN
  printf 'Package: tfheal-slow\nVersion: %s\nArchitecture: all\nMaintainer: nobody <x@example.test>\nDescription: x\n' "$1" >build/DEBIAN/control
  printf '#!/bin/sh\nsleep 15\n' >build/DEBIAN/preinst; chmod 755 build/DEBIAN/preinst
  dpkg-deb -b build "$2" >/dev/null
}
slow 1.0 slow.deb; slow 1.1 new/slow.deb
dpkg -i slow.deb >/dev/null
cd new
for deb in *.deb; do
  dpkg-deb -f "$deb"
  printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -d ' ' -f 1)"
done >Packages
printf 'Origin: Tests\nLabel: Tests\nSuite: tests-security\nVersion: 13\nDate: %s\nSHA256:\n %s %s Packages\n' "$(date -uR)" \
  "$(sha256sum Packages | cut -d ' ' -f 1)" "$(stat -c %s Packages)" >Release
echo "deb [trusted=yes] file:/root/patches/new ./" >/etc/apt/sources.list.d/tests.list
mv /var/lib/apt/lists /root/lists; mkdir -p /var/lib/apt/lists/partial
apt-get update -qq -o Dir::Etc::sourcelist=/etc/apt/sources.list.d/tests.list -o Dir::Etc::sourceparts=/dev/null -o APT::Get::List-Cleanup=0
"""
GONE = """
systemctl stop majors-writer
dpkg -P tfheal-slow; rm -rf /root/patches /etc/apt/sources.list.d/tests.list /var/lib/tfheal/updates-pending /var/lib/tfheal/patch.d
rm -rf /var/lib/apt/lists; mv /root/lists /var/lib/apt/lists
DEBIAN_FRONTEND=noninteractive apt-get purge -q -y 'postgresql*' >/dev/null 2>&1
rm -rf /var/lib/postgresql /etc/postgresql /root/written /root/writer; systemctl reset-failed
"""
SQL = 'sql() { (cd / && setpriv --reuid=postgres --regid=postgres --init-groups psql -XqAt -v ON_ERROR_STOP=1 -d "${1:-majors}" -f -); }\n'
FILLED = "echo 'CREATE TABLE written (id int PRIMARY KEY); CREATE TABLE entries AS SELECT n, md5(n::text) FROM generate_series(1, 300000) n' | sql"
ROWS = "echo 'SELECT id FROM written' | sql"
# Each row with when it was begun and when it was known to be there; a long transaction is under way all the time.
WRITER = """#!/bin/sh
cd /; n=0
while :; do
  n=$((n + 1))
  PGCONNECT_TIMEOUT=2 psql -XqAt -d majors -c "INSERT INTO written VALUES ($n)" 2>/dev/null && echo "$n $(date +%s.%N)"
  sleep 0.05
done
"""
WRITES = f"printf %s '{WRITER}' >/root/writer; chmod 755 /root/writer; chmod 711 /root; systemd-run -q --collect --unit=majors-writer --uid=postgres -p StandardOutput=append:/root/written /root/writer"


@pytest.fixture
def database(fleet: RunningLab) -> Iterator[RunningLab]:
    """Have an app with a database on s3, an update of its server pending, and take all of it away after the test."""
    folder, spec = fleet.workspace / "playbooks/majors", fleet.workspace / "apps/majors.yaml"
    shutil.copytree(Path(__file__).parent / "majors", folder)
    spec.parent.mkdir(exist_ok=True)
    spec.write_text(SPEC)
    try:
        fleet.run("deploy", "majors")
        fleet.on("s3", SQL + FILLED)
        fleet.on("s3", NEWER)
        yield fleet
    finally:
        fleet.run("remove", "majors", "--data", "--yes", check=None)
        fleet.on("s3", GONE, check=None)
        spec.unlink()
        shutil.rmtree(folder)


def test_the_update_of_a_database_server_is_short_and_loses_nothing(database: RunningLab) -> None:
    """It is told before, installed by itself after a checkpoint, and what takes long besides takes nothing from its clients."""
    (told,) = document(database, "patch", "slice:s3", "--plan", check=3)["slices"]
    assert {one["package"]: (one["interrupts"], one["returns"]) for one in told["pending"]} == {
        "postgresql-17": (True, False),
        "tfheal-slow": (False, False),
    }
    database.on("s3", WRITES)
    time.sleep(2)
    (done,) = document(database, "patch", "slice:s3", "--yes")["slices"]
    assert done["outcome"] == "done", done
    assert "+lab1" in database.on("s3", "dpkg-query -W postgresql-17")
    time.sleep(1)
    database.on("s3", "systemctl stop majors-writer")
    there = [line.split() for line in database.on("s3", "cat /root/written").splitlines()]
    assert {int(number) for number, _ in there} <= {int(one) for one in database.on("s3", SQL + ROWS).split()}
    away = max(float(after) - float(before) for (_, before), (_, after) in pairwise(there))
    assert 0.2 < away < 12, f"{away:.1f} s without a row"
    assert document(database, "status", "majors")["health"] == "healthy"
