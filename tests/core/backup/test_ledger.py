"""The catalogue beside the repositories: read as it was written, never over what we know better, nothing else believed."""

import base64
import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import EllipsisType

import pytest

from tfheal.base.errors import BadReply, Refused
from tfheal.core.backup import ledger
from tfheal.model import paths
from tfheal.model.backup import Backup, Part

MARKER = "0123456789abcdef"
AT = datetime(2026, 3, 4, 12, tzinfo=UTC)
BEGUN = Backup("b1", "files", "s2", AT, "running")
PART = Part("s1", "folders", "good", "a" * 64, 1 << 40, 9, 3, paths=("/srv/a",))
ENDED = replace(BEGUN, state="good", parts=(PART,), received=AT, held=True, drilled=AT, detail="so")


def test_it_is_read_as_it_was_written() -> None:
    """Every word of a backup comes back; what is no catalogue is none."""
    assert ledger.backups(ledger.text([BEGUN, ENDED])) == (BEGUN, ENDED)
    for wrong in ("", "{}", '[{"id": "b1"}]'):
        with pytest.raises(BadReply):
            ledger.backups(wrong)


def test_only_news_are_taken_over() -> None:
    """A backup that we never heard of, and the end of one that we only saw begin; what we know stays as we know it."""
    other = replace(ENDED, id="b2", said=AT)
    assert ledger.news([BEGUN, other], [ENDED, replace(other, held=False)]) == (ENDED,)
    assert ledger.news([ENDED], [BEGUN, other]) == (other,)


LATER = AT + timedelta(hours=1)
FREE = replace(ENDED, held=False, said=AT)
HELD = replace(ENDED, held=True, said=LATER)
SUSPECT = replace(ENDED, state="suspect", parts=(replace(PART, state="suspect"),))


@pytest.mark.parametrize(
    ("ours", "theirs", "known"),
    [
        (FREE, HELD, HELD),
        (HELD, FREE, None),
        (replace(HELD, said=AT), replace(FREE, said=LATER), replace(FREE, said=LATER)),
        (replace(ENDED, held=False), ENDED, ENDED),  # of before the time of it was kept: in doubt it is held
        (replace(HELD, store="s9"), replace(FREE, store="s2", said=LATER + timedelta(hours=1)), ...),
        (SUSPECT, replace(ENDED, said=LATER), replace(ENDED, said=LATER)),
        (ENDED, replace(SUSPECT, said=LATER), replace(ENDED, said=LATER)),
        (replace(HELD, state="forgotten"), replace(FREE, said=None), None),
        (HELD, replace(FREE, state="erased"), replace(HELD, state="erased")),
        (replace(ENDED, drilled=None), ENDED, ENDED),
        (ENDED, replace(ENDED, drilled=None, damaged=LATER), replace(ENDED, damaged=LATER)),
    ],
)
def test_the_newer_word_of_a_person_counts(ours: Backup, theirs: Backup, known: Backup | EllipsisType | None) -> None:
    """What a colleague held, released or accepted is known from the store; where and what it is stays as we know it."""
    found = ledger.news([ours], [theirs])
    if known is ...:
        assert found == (replace(ours, held=False, said=theirs.said),)
    else:
        assert found == ((known,) if known else ())


def test_a_catalogue_of_an_older_tfheal_is_read() -> None:
    """What it does not say is not known."""
    rows = json.loads(ledger.text([replace(ENDED, said=LATER, damaged=LATER)]))
    old = [{name: value for name, value in row.items() if name not in {"said", "damaged"}} for row in rows]
    assert ledger.backups(json.dumps(old)) == (ENDED,)


def test_a_snapshot_that_nobody_knows_is_told_of() -> None:
    """It is known by its id alone: tags, dates and names are what a slice wrote."""
    listed = [{"id": letter * 64, "time": "2099-01-01T00:00:00Z\x1b[31m", "paths": ["/x"]} for letter in "ab"]
    (one,) = ledger.unknown("s1", json.dumps(listed), [ENDED])
    assert (one.snapshot, one.paths) == ("b" * 64, ("/x",))
    assert "\x1b" not in one.time
    with pytest.raises(BadReply):
        ledger.unknown("s1", '[{"id": "../"}]', [])


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_it_is_kept_in_one_step(tmp_path: Path, shell: str) -> None:
    """What is kept is read back, what was unreadable goes aside, and without the folder of the store nothing is done."""

    def ran(script: str) -> bytes:
        here = script.replace(paths.data("files", "store"), str(tmp_path / "store"))
        return subprocess.run([shell], input=here.encode(), capture_output=True, check=False).stdout

    keep = ledger.keep_script("files", "sealed\ntext", MARKER)
    with pytest.raises(BadReply):
        ledger.answered(ran(keep), MARKER)
    (tmp_path / "store").mkdir()
    assert ledger.answered(ran(ledger.read_script("files", MARKER)), MARKER) == ""
    assert ledger.answered(ran(keep), MARKER) == ""
    assert ledger.answered(ran(ledger.read_script("files", MARKER)), MARKER) == "sealed\ntext"
    ledger.answered(ran(ledger.keep_script("files", "newer", MARKER, "unread-1")), MARKER)
    names = {path.name: path.read_text() for path in (tmp_path / "store").iterdir()}
    assert names == {"catalogue.age": "newer", "catalogue.age.unread-1": "sealed\ntext"}


def test_the_owner_may_forbid_it() -> None:
    """A slice that is paused by its owner says so, and that is a refusal."""
    assert base64.b64encode(b"x").decode() in ledger.keep_script("files", "x", MARKER)
    with pytest.raises(Refused):
        ledger.answered(f"{MARKER} refused\n".encode(), MARKER)
