"""What a database is replayed from: which folders of changes, of which server, and what nobody needs any more."""

import json
import subprocess
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from tfheal.base.errors import BadReply
from tfheal.core.backup import prune, recovery
from tfheal.model.backup import Backup, Keep, Part

SERVER, OTHER = "7711292850967255969", "42"
BASE = "b" * 64
BEGUN = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)
PART = Part("s1", "db/17-main", "good", BASE, 1_000, 1)


def stored(number: int, folder: str, cluster: str = SERVER, tag: str | None = None) -> dict[str, object]:
    """Return a snapshot of a folder of changes as restic lists it; a greater number is a later one."""
    path = f"/var/spool/tfheal/shop-db/{cluster}/{folder}"
    tags = ["app=shop", f"wal={tag or folder}"]
    return {"id": f"{number:064d}", "time": f"2026-03-04T00:00:{number:02d}Z", "tags": tags, "paths": [path]}


def listed(*snapshots: dict[str, object], cluster: str = SERVER) -> str:
    """Return what restic lists: the base and other snapshots."""
    base = {"id": BASE, "time": "2026-03-04T12:30:00Z", "tags": [f"cluster={cluster}"], "paths": ["/db-17-main.dump"]}
    return json.dumps([base, *snapshots])


def taken(found: recovery.Recovery) -> list[int]:
    """Return the numbers of the snapshots that are replayed."""
    return [int(one.snapshot) for one in found.changes]


FOUR = (
    stored(1, "20260304T110000"),
    stored(2, "20260304T120000"),
    stored(3, "20260304T130000"),
    stored(4, "20260304T140000"),
)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (None, [2, 3, 4]),
        (datetime(2026, 3, 4, 12, 45, tzinfo=UTC), [2, 3]),  # the first that began after it ends what is needed
        (datetime(2026, 3, 4, 13, 55, tzinfo=UTC), [2, 3, 4]),  # clocks are not the same: ten minutes more are taken
        (datetime(2026, 3, 5, tzinfo=UTC), [2, 3, 4]),
    ],
)
def test_what_is_replayed_is_what_may_be_of_that_time(at: datetime | None, expected: list[int]) -> None:
    """From the folder that was written to when the base began, to the first one that began after the moment."""
    assert taken(recovery.recovery(PART, listed(*FOUR), BEGUN, at)) == expected


DAYS = [(day, hour) for day in range(1, 9) for hour in range(24)]


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_what_is_of_before_the_base_is_not_told(shell: str, tmp_path: Path) -> None:
    """However many folders there are: those since the base began, without what nobody reads, and the base."""
    former = [stored(number, f"2026020{day}T{hour:02d}0000") for number, (day, hour) in enumerate(DAYS)]
    every = [{**one, "summary": {"files_new": 1, "backup_start": "2026-03-04T12:30:00Z"}} for one in (*former, *FOUR)]
    (tmp_path / "base").write_text(listed())
    rows = [json.dumps({"time": one.pop("time"), **one}, separators=(",", ":")) for one in every]
    (tmp_path / "all").write_text(f"[{','.join(rows)}]\n")
    task = recovery.list_tasks(BASE, BEGUN)[-1]
    stands_in = (
        f"folder={tmp_path}\nr() {{ case $* in *{BASE}) cat {tmp_path}/base ;; *) cat {tmp_path}/all ;; esac; }}\n"
    )
    script = f"{stands_in}task() {{\n{task.script}\n}}\ntask"
    said = subprocess.run([shell], input=script, capture_output=True, text=True, check=True).stdout
    assert taken(recovery.recovery(PART, said, BEGUN, None)) == [2, 3, 4]
    assert len(said.splitlines()) == 4
    assert "files_new" not in said


def test_of_each_folder_the_newest_is_taken() -> None:
    """A folder is stored again whenever something is new in it: the last time counts, in whatever order they are listed."""
    again = (stored(9, "20260304T120000"), stored(5, "20260304T120000"))
    assert taken(recovery.recovery(PART, listed(*again), BEGUN, None)) == [9]


def test_the_changes_of_another_server_are_never_mixed_in() -> None:
    """A server that was made anew counts its segments from the beginning: only those of the base's own are replayed."""
    found = recovery.recovery(PART, listed(*FOUR, stored(7, "20260304T150000", OTHER)), BEGUN, None)
    assert taken(found) == [2, 3, 4]


@pytest.mark.parametrize(
    "snapshot",
    [
        stored(8, "20260304T150000", tag="20260304T120000"),
        stored(8, "20260304T150000", cluster="../7"),
        stored(8, "20260304T15000"),
        {"id": "8" * 64, "time": "2026", "tags": ["wal=20260304T150000"], "paths": ["/etc", "/root"]},
    ],
)
def test_what_only_claims_to_be_changes_is_not(snapshot: dict[str, object]) -> None:
    """Who broke into a slice can store anything: only what lies where changes lie counts, and only by its own name."""
    assert [one.folder for one in recovery.changes("s1", listed(snapshot))] == []


def test_a_folder_of_no_time_is_no_change() -> None:
    """Its name has the shape of a time, and a slice may write any number."""
    assert recovery.changes("s1", listed(stored(1, "20261399T999999"))) == ()


def test_a_base_that_is_not_listed_is_an_error() -> None:
    """What restic does not list as a base, or cannot list at all, is replayed by nobody."""
    with pytest.raises(BadReply):
        recovery.recovery(PART, json.dumps(FOUR), BEGUN, None)
    with pytest.raises(BadReply):
        recovery.recovery(PART, listed(cluster="none"), BEGUN, None)
    with pytest.raises(BadReply):
        recovery.changes("s1", "[{")


def test_changes_before_the_oldest_base_that_stays_may_go() -> None:
    """They stay from the last base before as many days as one backup a day is kept, and no longer."""
    now = BEGUN + timedelta(days=30)
    backups = [
        Backup(str(days), "shop", "s3", BEGUN + timedelta(days=days), "good", (PART,)) for days in (0, 20, 22, 29)
    ]
    assert prune.changes_since(backups, Keep(daily=7), "s1", now) == backups[2].started
    assert prune.changes_since(backups, Keep(daily=60), "s1", now) == BEGUN
    assert prune.changes_since(backups, Keep(), "s2", now) is None
    assert recovery.first_kept(BEGUN) == "20260304T120000"
    assert recovery.first_kept(BEGUN - timedelta(minutes=25)) == "20260304T110000", "clocks are not the same"
    assert recovery.first_kept(BEGUN.astimezone(timezone(timedelta(hours=5)))) == "20260304T120000"


def test_a_folder_that_a_thief_adds_takes_none_away() -> None:
    """The folder of the base's hour stays and is replayed, whatever is stored beside it with a name just before the base."""
    forged = stored(9, "20260304T121959")
    assert taken(recovery.recovery(PART, listed(*FOUR, forged), BEGUN, None)) == [2, 9, 3, 4]


def test_a_base_is_told_from_a_dump() -> None:
    """A base is called after its server; no dump can be."""
    assert recovery.is_base("db/17-main")
    assert not recovery.is_base("db/rows")
    assert not recovery.is_base("folders")


def test_how_far_a_replay_came_is_in_what_was_said() -> None:
    """One line of a job says it; a job that replayed nothing says nothing."""
    words = [{"message_type": "status"}, {"message_type": "replayed", "how": "end", "last": "2026-03-04 12:31:00+00"}]
    far = recovery.replayed(words)
    assert far is not None
    assert (far.whole, far.last) == (True, "2026-03-04 12:31:00+00")
    assert recovery.replayed(words[:1]) is None
