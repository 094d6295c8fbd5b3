"""Upgrades in the journal, the version in a spec, and when data was last right."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tfheal.base.errors import ActionFailed, ConfigError
from tfheal.edge.journal import SqliteJournal
from tfheal.edge.upgrades import JournalUpgrades, SpecFiles
from tfheal.model.release import InstanceName
from tfheal.model.upgrade import Rollout, Upgrade

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def test_the_last_upgrade_is_known_as_it_ended(tmp_path: Path) -> None:
    """One that is put again is the same one; of another app nothing is said."""
    journal = SqliteJournal(tmp_path / "journal.db")
    kept = JournalUpgrades(journal)
    first = Upgrade("1", "notes", "1.0", "2.0", "running", NOW, "b1")
    ended = Upgrade(
        "1", "notes", "1.0", "2.0", "rolled-back", NOW, "b1", "it did not start", "canary", served=True, usual=(100, 3)
    )
    kept.put(first)
    kept.put(ended)
    assert (kept.last("notes"), kept.last("other")) == (ended, None)
    for code, seconds in ((0, 30), (5, 90)):
        run = journal.begin_run("backup verify notes", NOW)
        journal.end_run(run.id, code, NOW + timedelta(seconds=seconds))
    assert (kept.took("backup verify notes"), kept.took("backup verify other")) == (30.0, None)
    journal.close()


def test_the_last_rollout_of_a_playbook_is_known_as_it_ended(tmp_path: Path) -> None:
    """With its waves, how each app ended, and until when it pauses."""
    journal = SqliteJournal(tmp_path / "journal.db")
    kept = JournalUpgrades(journal)
    first = Rollout("1", "notes", "2.0", "running", NOW, (("a",), ("b", "c")))
    rests = replace(first, outcomes={"a": "done"}, rests=NOW + timedelta(minutes=1))
    ended = replace(rests, state="stopped", outcomes={"a": "done", "b": "rolled-back"}, rests=None, detail="b did not")
    for one in (first, rests, ended):
        kept.put_rollout(one)
        assert (kept.last_rollout("notes"), kept.last_rollout("other")) == (one, None)
    journal.close()


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ('app: a\nversion: "1.0"  # sold\nplace: {}\n', 'app: a\nversion: "2.0"  # sold\nplace: {}\n'),
        ("version: '1.0'\n", 'version: "2.0"\n'),
        ("version:   1.0\n", 'version:   "2.0"\n'),
        ("settings:\n  version: 7\nversion: 1.0 # x\n", 'settings:\n  version: 7\nversion: "2.0" # x\n'),
        ("{app: a, version: 1.0}\n", None),
        ("version: 1\nversion: 2\n", None),
    ],
)
def test_the_version_in_a_spec_is_replaced_and_nothing_else(text: str, changed: str | None, tmp_path: Path) -> None:
    """Comments and order stay; where the line is not clear nothing is written, and the person is told what to write."""
    (tmp_path / "apps").mkdir()
    spec = tmp_path / "apps/notes.yaml"
    spec.write_text(text)
    assert SpecFiles(tmp_path).takes_version("notes") is (changed is not None), "what is asked before anything is begun"
    if changed is None:
        with pytest.raises(ActionFailed, match="not to be found"):
            SpecFiles(tmp_path).put_version("notes", "2.0")
    else:
        SpecFiles(tmp_path).put_version("notes", "2.0")
    assert spec.read_text() == (changed or text)


def test_a_spec_that_is_gone_is_told_of(tmp_path: Path) -> None:
    """Somebody may change the workspace during an upgrade: before anything is begun it is a mistake, at the end something to mend."""
    specs = SpecFiles(tmp_path)
    with pytest.raises(ConfigError):
        specs.takes_version("notes")
    with pytest.raises(ActionFailed, match="version was not written") as told:
        specs.put_version("notes", "2.0")
    assert 'version: "2.0"' in told.value.hint


def test_when_data_was_right_is_kept_by_instance(tmp_path: Path) -> None:
    """The last word counts, and what is forgotten of an instance is forgotten with it."""
    journal = SqliteJournal(tmp_path / "journal.db")
    here, there = InstanceName("notes", "db", "s1"), InstanceName("notes", "db", "s2")
    journal.note_consistent({here: NOW})
    journal.note_consistent({here: NOW.replace(hour=13)})
    assert (journal.consistent(here), journal.consistent(there)) == (NOW.replace(hour=13), None)
    journal.drop_deployed(here)
    assert journal.consistent(here) is None
    journal.close()


def test_a_version_is_known_since_it_was_first_listed(tmp_path: Path) -> None:
    """Another lock, and a version that was away, count anew; the others keep their time; playbooks do not mix."""
    journal = SqliteJournal(tmp_path / "journal.db")
    kept = JournalUpgrades(journal)
    first, second, third = (NOW + timedelta(days=day) for day in range(3))
    kept.note_listed("notes", {"1": "a", "2": "b"}, first)
    kept.note_listed("other", {"1": "a"}, second)
    kept.note_listed("notes", {"1": "a", "2": "c", "3": "d"}, second)
    assert kept.listed("notes") == {"1": first, "2": second, "3": second}
    kept.note_listed("notes", {"1": "a"}, third)
    kept.note_listed("notes", {"1": "a", "3": "d"}, third)
    assert kept.listed("notes") == {"1": first, "3": third}
    assert kept.listed("other") == {"1": second}
    journal.close()
