"""What slices did by themselves comes into the journal: each deed once, and no more than an honest slice can do."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fleets import NOW, Fleet, fleet

from tfheal.edge.journal import SqliteJournal
from tfheal.flows.reflex import note_reflex
from tfheal.model.facts import ReflexEvent, SliceFacts

DB = "shop/db@s1"


class Watch:
    """A clock that stands."""

    def now(self) -> Any:  # noqa: ANN401 (as the port says)
        """Return the time of all cases."""
        return NOW


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[Any]:
    """Return a real journal, and a clock that stands."""
    with closing(SqliteJournal(tmp_path / ".tfheal/journal.db")) as journal:
        yield SimpleNamespace(journal=journal, clock=Watch())


def telling(*words: str) -> Fleet:
    """Return a fleet whose database says that its slice did this."""
    return fleet({"seen": {DB: {"reflex": list(words)}}})


def test_each_deed_is_recorded_once(ports: Any) -> None:  # noqa: ANN401
    """However often it is read; with its own time, and that it was the slice itself."""
    told = telling("30h ago restarted", "3h ago systemd", "2h ago restarted", "1h ago gave-up")
    for _ in range(2):
        note_reflex(told.expected, told.seen, ports)
    more = telling("3h ago systemd", "2h ago restarted", "1h ago gave-up", "5m ago restarted")
    note_reflex(more.expected, more.seen, ports)
    found = ports.journal.actions()
    assert [(one.verb, one.why.partition(":")[0], one.outcome, one.healed) for one in found] == [
        ("reflex", "systemd", "done", True),
        ("reflex", "restarted", "done", True),
        ("reflex", "gave-up", "failed", False),
        ("reflex", "restarted", "done", True),
    ]
    assert found[0].started == NOW - timedelta(hours=3)
    assert {str(one.instance) for one in found} == {DB}
    assert ports.journal.unfinished() == []


def test_a_clock_that_is_ahead_does_not_reach_into_the_future(ports: Any) -> None:  # noqa: ANN401
    """What a slice did happened at the latest now."""
    told = telling("1h ago restarted")
    facts = told.seen["s1"]
    assert isinstance(facts, SliceFacts)
    ahead = (ReflexEvent("2027-01-01T00:00:00Z", "restarted", "x"),)
    instances = {key: replace(value, reflex=ahead) for key, value in facts.instances.items()}
    note_reflex(told.expected, {"s1": replace(facts, instances=instances)}, ports)
    assert [one.started for one in ports.journal.actions()] == [NOW]


def test_a_slice_that_lies_does_not_fill_the_journal(ports: Any) -> None:  # noqa: ANN401
    """Past what can be true in a day, nothing of it is taken."""
    for hour in range(1, 24):
        told = telling(*(f"{hour * 3600 + number}s ago restarted" for number in range(20)))
        note_reflex(told.expected, told.seen, ports)
    assert len(ports.journal.actions()) == 200
