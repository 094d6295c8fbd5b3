"""Upgrades that migrate data, on a real slice: what fails goes back with the data of before, what is killed is finished."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from documents import actions, document
from running_lab import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.long]
SERVED = "curl -s --noproxy '*' http://127.0.0.1:8091/"
WRITTEN = """python3 - <<'END'
import sqlite3
diary = sqlite3.connect("/srv/tfheal/diary/web/diary.sqlite")
diary.execute("INSERT INTO entries VALUES ('{}')")
diary.commit()
END"""
SPEC = """\
app: diary
owner: lab
playbook: diary
version: "1.0"
place: {web: [s2]}
settings: {fails: never}
heal: {reflex: off}
backup: {to: s1}
"""
UPGRADE = ("upgrade", "diary", "--to", "2.0", "--soak", "1s", "--again")


@pytest.fixture(scope="module")
def diary(fleet: RunningLab) -> Iterator[RunningLab]:
    """Have version 1.0 of a small server over SQLite on s2, with backups on s1; taken away after the last test."""
    folder = fleet.workspace / "playbooks" / "diary"
    shutil.copytree(Path(__file__).parent / "diary", folder)
    (fleet.workspace / "apps").mkdir(exist_ok=True)
    spec(fleet).write_text(SPEC)
    try:
        fleet.run("deploy", "diary")
        yield fleet
    finally:
        fleet.run("remove", "diary", "--data", "--backups", "--yes", check=None)
        spec(fleet).unlink()
        shutil.rmtree(folder)


def spec(lab: RunningLab) -> Path:
    """Return the spec of the app."""
    return lab.workspace / "apps/diary.yaml"


def test_data_of_a_version_that_fails_comes_back(diary: RunningLab) -> None:
    """Whether the migration stops midway or what it left is of no use: the old version has its data again, by itself."""
    assert diary.on("s2", SERVED) == "version 1.0: first\n", "it is made by the same command"
    for fails, says in (("midway", "half of it is done"), ("to-serve", "HTTP 503")):
        diary.on("s2", WRITTEN.format(fails))
        before = diary.on("s2", SERVED)
        spec(diary).write_text(spec(diary).read_text().replace("fails: never", f"fails: {fails}"))
        done = document(diary, *UPGRADE, check=5)
        spec(diary).write_text(SPEC)
        assert (done["state"], done["backup"] != "", says in done["detail"]) == ("rolled-back", True, True), done
        assert (diary.on("s2", SERVED), fails in before) == (before, True)
        assert document(diary, "status", "diary")["health"] == "healthy"
        assert actions(document(diary, "heal", "--auto", "diary")) == []


def test_a_migration_that_is_killed_is_finished(diary: RunningLab) -> None:
    """Killed in the midst of it, healing starts no service on half of it; the same command goes on, and all of the data is there."""
    before = diary.on("s2", SERVED)
    dying = replace(diary, around=(*diary.around, "TFHEAL_FAILPOINT=migrate"))
    assert "failpoint: " in dying.run(*UPGRADE, check=-9).stderr
    document(diary, "heal", "--auto", "diary", check=None)
    assert diary.on("s2", SERVED, check=None) in {before.replace("version 1.0", "version 2.0"), ""}
    assert document(diary, *UPGRADE)["state"] == "done"
    assert diary.on("s2", SERVED) == before.replace("version 1.0", "version 2.0")
    assert 'version: "2.0"' in spec(diary).read_text()
    assert actions(document(diary, "heal", "--auto", "diary")) == []
    assert "needs a restore" in document(diary, "rollback", "diary", check=6)["error"]["what"]


def test_what_served_without_a_gateway_keeps_its_data(diary: RunningLab) -> None:
    """Killed, and finished by healing, people may have written to it: a version that then fails is frozen, run after run, and what they wrote is there."""
    spec(diary).write_text(SPEC)
    last = max(document(diary, "backup", "list", "diary")["backups"], key=lambda one: str(one["started"]))
    diary.run("deploy", "diary", "--in-place", check=None)
    diary.run("restore", "diary", "--snapshot", last["id"], "--yes")
    diary.run("heal", "--auto", "diary", check=None)
    assert diary.on("s2", SERVED).startswith("version 1.0: ")
    dying = replace(diary, around=(*diary.around, "TFHEAL_FAILPOINT=unit:"))
    assert "failpoint: " in dying.run(*UPGRADE, check=-9).stderr
    document(diary, "heal", "--auto", "diary", check=None)
    assert diary.on("s2", SERVED).startswith("version 2.0: "), "healing has finished what was being switched"
    diary.on("s2", WRITTEN.format("since").replace("entries", "lines"))
    spec(diary).write_text(SPEC.replace("fails: never", "fails: to-serve"))
    for _ in range(2):
        frozen = document(diary, *UPGRADE, check=7)
        assert (frozen["state"], "HTTP 503" in frozen["detail"]) == ("frozen", True), frozen
    spec(diary).write_text(SPEC)
    assert document(diary, *UPGRADE)["state"] == "done", "mended, the same command goes on"
    assert "since" in diary.on("s2", SERVED)
