"""Copies: found by the id that each snapshot had before, and by nothing that two of them claim."""

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tfheal.base.errors import BadReply
from tfheal.core.backup import copying
from tfheal.model.backup import FOLDERS, Backup, Part
from tfheal.model.copied import Copied

OLD, OTHER, NEW, FORGED = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)
PARTS = (Part("s1", FOLDERS, "good", OLD, 1_000, 10), Part("s2", FOLDERS, "good", OTHER, 1_000, 10))
KNOWN = Backup("1m", "files", "first", datetime(2026, 3, 4, tzinfo=UTC), "good", PARTS)


def listed(*snapshots: tuple[str, str | None]) -> str:
    """Return what restic lists: snapshots, each with the id that it had before."""
    return json.dumps([{"id": one, "time": "2026", **({"original": old} if old else {})} for one, old in snapshots])


def test_a_copy_is_found_under_its_new_id() -> None:
    """The part of that slice has the new id, the other one its own; the backup is where the copy is."""
    (found,) = copying.found_again("s1", listed((NEW, OLD), (FORGED, OTHER)), [KNOWN], "second")
    assert [part.snapshot for part in found.parts] == [NEW, OTHER]
    assert (found.id, found.store, found.started) == ("1m", "second", KNOWN.started)


def test_what_two_claim_to_be_is_neither() -> None:
    """Who writes into a repository may say of a snapshot what it was: one that is claimed twice is found if both hold the same."""
    twice = json.loads(listed((NEW, OLD), (FORGED, OLD)))
    assert copying.found_again("s1", json.dumps(twice), [KNOWN], "second") == ()
    apart = [{**one, "tree": tree * 64} for one, tree in zip(twice, "ef", strict=True)]
    assert copying.found_again("s1", json.dumps(apart), [KNOWN], "second") == ()
    (found,) = copying.found_again("s1", json.dumps([{**one, "tree": "e" * 64} for one in twice]), [KNOWN], "second")
    assert found.parts[0].snapshot in {NEW, FORGED}
    assert copying.found_again("s1", listed((NEW, None)), [KNOWN], "second") == ()


def test_copies_are_known_by_what_they_were() -> None:
    """Of what a store lists, those of the snapshots that are asked for; what cannot be read is an error."""
    here = f"{OLD}\n{OTHER}\n"
    assert copying.copies({OLD}, here, f"{NEW} {OLD}\n{FORGED} {OTHER}\n{OTHER}\n") == {NEW: OLD}
    for cut in ("short\n", f"{OLD[9:]} {OTHER}\n", '[{"id": "short"}]'):
        with pytest.raises(BadReply):
            copying.copies({OLD}, here, cut)


def test_a_copy_of_a_copy_is_known_by_what_it_was_first() -> None:
    """Restic keeps the very first id: where the first store holds copies itself, that is how the next one has them."""
    assert copying.copies({NEW}, f"{NEW} {OLD}\n", f"{FORGED} {OLD}\n") == {FORGED: NEW}


def restic(number: int, path: str = "/srv/a", tag: str = "app=files", old: str = "") -> str:
    """Return a snapshot as restic prints it."""
    counted = {"backup_start": "2026-11-29T10:00:00.123456789Z", "files_new": 1, "total_bytes_processed": 218_103_808}
    said = {
        "time": f"2026-11-29T10:00:{number % 60:02}Z",
        "parent": f"{number - 1:064x}",
        "tree": f"{number + 1:064x}",
        "paths": [path],
        "hostname": "s1",
        "username": "root",
        "tags": [tag, "backup=1m"],
        **({"original": old} if old else {}),
        "program_version": "restic 0.18.0",
        "summary": counted,
        "id": f"{number:064x}",
        "short_id": f"{number:064x}"[:8],
    }
    return json.dumps(said, separators=(",", ":"))


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_a_list_is_whole_however_many_changes_were_stored(shell: str, tmp_path: Path) -> None:
    """A push each minute for a week is ten thousand snapshots, of which none is asked for; one that claims to be another is none."""
    folder = "/var/spool/tfheal/files-db/77112928509672559/20261129T100000"
    changes = [restic(number, folder, old=OTHER) for number in range(100, 10_100)]
    lies = restic(3, tag=f'"original":"{OTHER}","id":"{OTHER}"}},{{"time"')
    (tmp_path / "all").write_text(f"[{','.join([restic(1), *changes, restic(2, old=OLD), lies])}]\n")
    for name in (copying.HERE, copying.ARRIVED):
        (task,) = (task for task in copying.tasks({OLD}) if task.name == name)
        stands_in = f"folder={tmp_path}\nrestic() {{ cat {tmp_path}/all; }}\nr() {{ restic; }}\n"
        script = f"{stands_in}task() {{\n{task.script}\n}}\ntask | tail -c {task.wanted}"
        said = subprocess.run([shell], input=script, capture_output=True, text=True, check=True).stdout
        assert said.splitlines() == [f"{1:064x}", f"{2:064x} {OLD}", f"{3:064x}"]
        assert copying.copies({OLD}, f"{OLD}\n", said) == {f"{2:064x}": OLD}


def test_only_what_is_named_is_copied() -> None:
    """Snapshots are named one by one: restic would else copy whatever a slice added."""
    (copy,) = (task for task in copying.tasks({OTHER, OLD}) if task.name == copying.COPY)
    assert f"{OLD} {OTHER}" in copy.script
    assert "--from-repo" in copy.script


NOW = KNOWN.started + timedelta(hours=5)
WHOLE = Copied("files", "s3", NOW, KNOWN.started)
BROKEN = Copied("files", "s3", NOW, None, "s1: the store cannot be reached")


def test_what_the_second_store_has_is_what_came_whole() -> None:
    """A copy that broke leaves it as old as it was; of another store that was there before nothing is known."""
    later = replace(KNOWN, started=KNOWN.started + timedelta(hours=1))
    assert copying.after(None, replace(WHOLE, reached=None), [later, KNOWN]).reached == later.started
    assert copying.after(WHOLE, BROKEN, [later]).reached == KNOWN.started
    assert copying.after(replace(WHOLE, store="s9"), BROKEN, [later]).reached is None
    assert copying.after(None, replace(WHOLE, reached=None), []).reached is None


@pytest.mark.parametrize(
    ("last", "hours", "said"),
    [
        (WHOLE, 6, ""),
        (WHOLE, 4, "the newest backup on s3 is 18000 s old, and 14400 s are promised"),
        (replace(BROKEN, reached=KNOWN.started), 4, "promised; the last copy: s1: the store cannot be reached"),
        (None, 4, "no backup is known to be on s3"),
        (replace(WHOLE, store="s9"), 4, "no backup is known to be on s3"),
        (None, 6, ""),
    ],
)
def test_a_second_store_that_is_behind_is_late(last: Copied | None, hours: int, said: str) -> None:
    """Its age is that of the data there, by what is promised; a fresh store has as long before its first copy."""
    found = copying.late(last, "s3", hours * 3_600.0, KNOWN.started, NOW)
    assert (said in found, bool(found)) == (True, bool(said))
