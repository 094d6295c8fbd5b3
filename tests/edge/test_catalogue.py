"""The catalogue keeps what it is told, in the order in which backups began."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from tfheal.edge.catalogue import JournalCatalogue
from tfheal.edge.journal import SqliteJournal
from tfheal.model.backup import Backup, Part
from tfheal.model.copied import Copied
from tfheal.model.drill import Drill, DrillState
from tfheal.model.verification import Verification

AT = datetime(2026, 3, 4, 12, tzinfo=UTC)


def test_what_is_put_is_there_after_a_restart(tmp_path: Path) -> None:
    """A backup is added when it begins and replaced when it ends; its parts come back as they were."""
    begun = Backup("b1", "files", "s2", AT, "running")
    parts = (
        Part("s1", "folders", "good", "a" * 64, 1 << 40, 9, 3, paths=("/srv/a", "/srv/b")),
        Part("s3", "db/all", "failed", detail="no\x1bway"),
    )
    ended = replace(begun, state="partial", parts=parts, received=AT + timedelta(hours=1), held=True, drilled=AT)
    ended = replace(ended, said=AT + timedelta(hours=2), damaged=AT + timedelta(hours=3))
    other = Backup("b0", "notes", "s2", AT, "failed", detail="why")
    with closing(SqliteJournal(tmp_path / "journal.db")) as journal:
        catalogue = JournalCatalogue(journal)
        for backup in (begun, other, ended):
            catalogue.put(backup)
    with closing(SqliteJournal(tmp_path / "journal.db")) as journal:
        catalogue = JournalCatalogue(journal)
        kept = replace(ended, parts=(parts[0], replace(parts[1], detail="no\\x1bway")))
        assert catalogue.backups() == [kept, other]
        assert catalogue.backups("notes") == [other]
        assert catalogue.backups("none") == []


def test_a_backup_is_marked_by_its_drill(tmp_path: Path) -> None:
    """One that passed, and one that was found damaged, are so from then on; a drill that came to nothing says nothing."""
    backup = Backup("b1", "files", "s2", AT, "good", received=AT)
    with closing(SqliteJournal(tmp_path / "journal.db")) as journal:
        catalogue = JournalCatalogue(journal)
        catalogue.put(backup)
        for hours, state in enumerate(("damaged", "failed", "passed", "damaged")):
            catalogue.put_drill(
                Drill(f"d{hours}", "files", "b1", AT + timedelta(hours=hours), cast("DrillState", state))
            )
            (now,) = catalogue.backups("files")
            assert now.is_sure == (state == "passed")
        assert (now.drilled, now.damaged) == (AT + timedelta(hours=2), AT + timedelta(hours=3))


def test_what_was_read_is_there_in_the_order_of_reading(tmp_path: Path) -> None:
    """Each reading stays, with what it touched, and comes back as it was."""
    sound = Verification("files", "s1", AT, 3, sound=True, unknown=2)
    rotten = Verification("files", "s1", AT, 4, sound=False, paged=True, detail="no\x1bway", touched=("/a", "/b"))
    other = Verification("notes", "s3", AT, 0, sound=True)
    with closing(SqliteJournal(tmp_path / "journal.db")) as journal:
        for one in (sound, other, rotten):
            JournalCatalogue(journal).verified(one)
    with closing(SqliteJournal(tmp_path / "journal.db")) as journal:
        catalogue = JournalCatalogue(journal)
        kept = replace(rotten, detail="no\\x1bway")
        assert catalogue.verifications("files") == [sound, kept]
        assert catalogue.verifications() == [sound, other, kept]


def test_of_copies_the_last_one_counts(tmp_path: Path) -> None:
    """What is known of an app's second store is replaced by what came of the next copy; another app has its own."""
    first = Copied("files", "s3", AT, AT)
    broken = Copied("files", "s3", AT + timedelta(hours=1), AT, "no\x1bway")
    with closing(SqliteJournal(tmp_path / "journal.db")) as journal:
        catalogue = JournalCatalogue(journal)
        catalogue.put_copied(first)
        assert catalogue.copied("files") == first
        catalogue.put_copied(broken)
        assert catalogue.copied("files") == replace(broken, detail="no\\x1bway")
        assert catalogue.copied("notes") is None
