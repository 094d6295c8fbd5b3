"""What a server hands over before a restore: the script is run, with a server that answers as a case says."""

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tfheal.core.backup import handing
from tfheal.model.replayed import Handed

MARK = "000000010000000000000009"
CLOSED = datetime(2026, 3, 4, 12, tzinfo=UTC)  # when the oldest segment was that waits
SINCE = CLOSED - timedelta(minutes=1)
ANSWERS = f'case "$(cat)" in *restore_point*) echo {MARK}; echo 0/9 ;; *) %s ;; esac'
SLOW = 'n=$(cat "$count"); echo $((n + 1)) >"$count"; [ $n -lt 90 ] && echo "f|$((n / 20))" || echo "t|5"'


def ran(folder: Path, sql: str, *waiting: str) -> tuple[Handed, bool]:
    """Run the script beside a server's folder; return what it says, and whether what lay in the spool was sent."""
    status = folder / "lib" / "pg_wal" / "archive_status"
    for made in (status, folder / "17" / "main", folder / "spool"):
        made.mkdir(parents=True)
    (folder / "17" / "main" / "postgresql.conf").write_text(f"data_directory = '{folder}/lib'\n")
    (folder / "count").write_text("0")
    for name in waiting:
        (folder / "lib" / "pg_wal" / name).touch()
        os.utime(folder / "lib" / "pg_wal" / name, times=(CLOSED.timestamp(), CLOSED.timestamp()))
    stubs = f"server() {{ :; }}\nsleep() {{ :; }}\nsql() {{ {sql}; }}\npush() {{ echo sent; }}\n"
    values = f"cluster=17/main spool={folder}/spool count={folder}/count\n"
    script = handing._FLUSH.replace("/etc/postgresql", str(folder))
    whole = f"{stubs}{values}task() {{\n{script}\n}}\ntask"
    done = subprocess.run(["sh"], input=whole, capture_output=True, text=True, check=True)
    sent, *lines = done.stdout.splitlines()
    return handing.handed(json.loads(line) for line in lines), sent == "sent"


def test_what_was_handed_over_is_told_apart_from_what_was_not(tmp_path: Path) -> None:
    """A server that hands over is waited for as long as that gets on; one that cannot, or is gone, is told of, and what came is sent."""
    ready = f"archive_status/{MARK}.ready"
    found = [
        ran(tmp_path / "well", ANSWERS % 'echo "t|3"'),
        ran(tmp_path / "slow", ANSWERS % SLOW, ready),
        ran(tmp_path / "stuck", ANSWERS % 'echo "f|3"', ready),
        ran(tmp_path / "hung", ANSWERS % "return 1", ready),
        ran(tmp_path / "down", "return 1", MARK),
        ran(tmp_path / "gone", "return 1"),
    ]
    assert found == [
        (Handed(whole=True, lives=True), True),
        (Handed(whole=True, lives=True), True),
        (Handed(whole=False, lives=True, since=SINCE), True),
        (Handed(whole=False, lives=True, since=SINCE), True),
        (Handed(whole=False, lives=False, since=SINCE), True),
        (Handed(whole=False, lives=False), True),
    ]


@pytest.mark.parametrize(
    ("handed", "at", "lacks"),
    [
        (Handed(whole=True, lives=True), None, False),
        (Handed(whole=False, lives=True, since=SINCE), None, True),
        (Handed(whole=False, lives=True, since=SINCE), SINCE, False),
        (Handed(whole=False, lives=True, since=SINCE), CLOSED, True),
        (Handed(whole=False, lives=False), SINCE, True),
    ],
)
def test_what_is_lacking_depends_on_what_was_asked_for(handed: Handed, at: datetime | None, *, lacks: bool) -> None:
    """Of before the time since when something is missing all is there; where that is not known, nothing is sure."""
    assert handed.lacks(at) is lacks


def test_what_was_not_said_is_not_whole() -> None:
    """Whatever a slice says in place of it."""
    assert handing.handed([]) == Handed(whole=False, lives=False)
    assert handing.handed([{"message_type": "handed over", "whole": "true", "since": "soon"}]).since is None
