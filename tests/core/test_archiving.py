"""The spool of a server's changes, by the very scripts that run on a slice: nothing is lost between server and store."""

import os
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tfheal.core.archiving import PUSH, archived, stored_until
from tfheal.model.playbook import Component
from tfheal.model.resources import File, Unit

COMPONENT = Component.model_validate(
    {
        "resources": [{"kind": "postgres", "database": "shop", "role": "shop", "password": "x"}],
        "unit": "postgresql@17-main.service",
        "dumps": [{"name": "rows", "postgres": "shop", "wal": True}],
    }
)
SYSTEM = 7711292850967255969
# Stands for restic: it notes what was in the folder that it was to store.
STORES = 'r() { for last; do :; done; ls "$last" | tr "\\n" " " >>"$spool/stored"; echo >>"$spool/stored"; }\nreach() { :; }\n'


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """Return the data folder of a server that archives into `spool` beside it."""
    (tmp_path / "data" / "global").mkdir(parents=True)
    (tmp_path / "data/global/pg_control").write_bytes(SYSTEM.to_bytes(8, "little") + b"rest")
    (tmp_path / "spool").mkdir()
    files = {one.path: one.content or "" for one in archived(COMPONENT, alone=True).resources if isinstance(one, File)}
    script = files["{{ home }}/wal/archive"].replace(
        "/var/spool/tfheal/{{ app }}-{{ component }}", str(tmp_path / "spool")
    )
    (tmp_path / "archive").write_text(script)
    return tmp_path / "data"


def archive(server: Path, name: str, content: str) -> subprocess.CompletedProcess[str]:
    """Hand over a segment as the server does."""
    (server / name).write_text(content)
    command = ["sh", str(server.parent / "archive"), name, name]
    return subprocess.run(command, cwd=server, capture_output=True, text=True, check=False)


def spooled(server: Path) -> list[Path]:
    """Return the segments in the spool."""
    return sorted((server.parent / "spool").glob(f"{SYSTEM}/2*/0*"))


def push(server: Path) -> subprocess.Popen[bytes]:
    """Begin to send what is new."""
    values = f"spool={server.parent / 'spool'} app=shop host=s1\n"
    return subprocess.Popen(["sh", "-c", f"{values}{STORES}{PUSH}push"])


def test_a_segment_is_taken_once_and_never_changed(server: Path) -> None:
    """Said again after a crash it is there already; another one of the same name is refused, as another server's may be."""
    assert archive(server, "000000010000000000000001", "one").returncode == 0
    assert archive(server, "000000010000000000000001", "one").returncode == 0
    other = archive(server, "000000010000000000000001", "two")
    assert (other.returncode, "with other content" in other.stderr) == (1, True)
    assert [path.read_text() for path in spooled(server)] == ["one"]


def test_what_a_server_left_empty_takes_no_room(server: Path) -> None:
    """A segment that was handed over before it was full: its length is kept, its zeros are on no disk."""
    assert archive(server, "000000010000000000000001", "one" + "\0" * (4 << 20)).returncode == 0
    (there,) = spooled(server)
    found = there.stat()
    assert (found.st_size, found.st_blocks * 512 < 100_000) == ((4 << 20) + 3, True)
    assert there.read_bytes() == (server / "000000010000000000000001").read_bytes()


def test_what_was_sent_is_not_sent_again(server: Path) -> None:
    """Each time all of a folder is stored, and only when something is new in it; the one that is written to stays."""
    for number in (1, 2):
        archive(server, f"00000001000000000000000{number}", str(number))
        assert push(server).wait() == 0
        assert push(server).wait() == 0
    stored = (server.parent / "spool/stored").read_text().splitlines()
    first, second = "000000010000000000000001", "000000010000000000000002"
    assert [line.split() for line in stored] == [[first], [first, second]]
    assert len(spooled(server)) == 2


def test_a_folder_that_is_full_goes_once_it_is_stored(server: Path) -> None:
    """After 64 segments another folder begins; the full one is stored whole, and then gone from the spool."""
    for number in range(64):
        assert archive(server, f"0000000100000000000000{number:02X}", str(number)).returncode == 0
    (full,) = {path.parent for path in spooled(server)}
    full = full.rename(full.with_name("20200101T000000"))  # as if it had begun in another second
    full.with_name("current").write_text("20200101T000000\n")
    archive(server, "000000010000000000000040", "64")
    assert push(server).wait() == 0
    assert [path.name for path in spooled(server)] == ["000000010000000000000040"]
    assert not full.exists()
    stored = (server.parent / "spool/stored").read_text().splitlines()
    assert [len(line.split()) for line in stored] == [64, 1]


def test_a_folder_is_of_one_hour(server: Path) -> None:
    """What is handed over in another hour lies in another folder: by its name alone a folder is known to be too old."""
    archive(server, "000000010000000000000001", "one")
    (segment,) = spooled(server)
    now = datetime.strptime(segment.parent.name, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    former = f"{now - timedelta(hours=1):%Y%m%dT%H%M%S}"
    segment.parent.rename(segment.parent.with_name(former)).with_name("current").write_text(f"{former}\n")
    archive(server, "000000010000000000000002", "two")
    first, second = (path.parent.name for path in spooled(server))
    assert (first, second >= f"{now:%Y%m%dT%H}") == (former, True)


def test_a_folder_of_a_server_that_rests_goes_too(server: Path) -> None:
    """Nothing came into it since its hour was over, and all of it is stored: a move to another server leaves nothing behind for ever."""
    archive(server, "000000010000000000000001", "one")
    assert push(server).wait() == 0
    (segment,) = spooled(server)
    os.utime(segment.parent, (segment.stat().st_mtime - 4_300,) * 2)
    assert push(server).wait() == 0
    assert spooled(server) == []
    assert archive(server, "000000010000000000000002", "two").returncode == 0, "it may be written to again"
    assert len(spooled(server)) == 1


def test_what_was_sent_is_not_counted_as_waiting(server: Path) -> None:
    """The folder that is written to may be large, and stored: the disk is not filled by it any more."""
    (look,) = (one.command or "" for one in archived(COMPONENT, alone=True).checks if one.kind == "stored")
    spool, few = server.parent / "spool", server.parent / "df"
    few.write_text("#!/bin/sh\necho Avail; echo 100\n")
    few.chmod(0o755)
    look = look.replace("/var/spool/tfheal/{{ app }}-{{ component }}", str(spool))
    asked = [
        "sh",
        "-c",
        f"PATH={server.parent}:$PATH\n[ -e /nonexistent ] || :\n{look.replace('] || exit 0', '] || :', 1)}",
    ]
    archive(server, "000000010000000000000001", "x" * 200_000)
    waiting = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert (waiting.returncode, "the disk will be full" in waiting.stdout) == (1, True), waiting
    time.sleep(0.05)
    assert push(server).wait() == 0
    stored = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert (stored.returncode, stored.stdout.startswith("all is stored")) == (0, True), stored


def test_two_that_send_at_once_both_do_well(server: Path) -> None:
    """A backup and the timer may send at the same time: one waits for the other, and neither fails of it."""
    for number in range(8):
        archive(server, f"00000001000000000000000{number}", str(number))
        with push(server) as one, push(server) as other:
            assert (one.wait(), other.wait()) == (0, 0)


def test_a_slice_without_a_way_of_its_own_is_given_nothing_that_sends() -> None:
    """Its changes wait in the spool for us: no timer, no credential; the look counts from the last time that we came."""
    both = [archived(COMPONENT, alone=alone) for alone in (True, False)]
    units = [[one.name for one in each.resources if isinstance(one, Unit)] for each in both]
    assert units == [["tfheal-{{ app }}-{{ component }}.wal.service", "tfheal-{{ app }}-{{ component }}.wal.timer"], []]
    looks = [next(check.command or "" for check in each.checks if check.kind == "stored") for each in both]
    assert ["/.sent ] || exit 0" in look for look in looks] == [False, True]
    assert "tfheal tick sends them" in looks[1]


@pytest.mark.parametrize(
    ("said", "until"),
    [
        ("all is stored that was handed over until 2026-01-02T11:59:30Z", datetime(2026, 1, 2, 11, 58, 30, tzinfo=UTC)),
        ("all is stored that was handed over until 2026-13-02T11:59:30Z", None),
        ("all is stored that was handed over until 0001-01-01T00:00:00Z", None),
        ("all is stored that was handed over until 2026-01-02T11:59:30Z, it says", None),
        ("", None),
    ],
)
def test_how_far_changes_are_stored(said: str, until: datetime | None) -> None:
    """A change is handed over a minute after it was made; what a slice says otherwise says nothing."""
    assert stored_until(said) == until
