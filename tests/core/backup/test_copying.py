"""Copies: found by the id that each snapshot had before, and by nothing that two of them claim."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

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
    """Who writes into a repository may say of a snapshot what it was: one that is claimed twice is not found."""
    assert copying.found_again("s1", listed((NEW, OLD), (FORGED, OLD)), [KNOWN], "second") == ()
    assert copying.found_again("s1", listed((NEW, None)), [KNOWN], "second") == ()


def test_copies_are_known_by_what_they_were() -> None:
    """Of what a store lists, those of the snapshots that are asked for; what cannot be read is an error."""
    here = listed((OLD, None), (OTHER, None))
    assert copying.copies({OLD}, here, listed((NEW, OLD), (FORGED, OTHER), (OTHER, None))) == {NEW: OLD}
    with pytest.raises(BadReply):
        copying.copies({OLD}, here, '[{"id": "short"}]')


def test_a_copy_of_a_copy_is_known_by_what_it_was_first() -> None:
    """Restic keeps the very first id: where the first store holds copies itself, that is how the next one has them."""
    assert copying.copies({NEW}, listed((NEW, OLD)), listed((FORGED, OLD))) == {FORGED: NEW}


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
