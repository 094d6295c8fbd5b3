"""What changes an app waits for who works on its backups: said once, ended by that, and not for ever."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tfheal.base.errors import Refused
from tfheal.edge.journal import SqliteJournal
from tfheal.edge.lease import JournalLeases
from tfheal.flows.at_rest import await_backups
from tfheal.flows.repository import lease_of
from tfheal.model.ports import Ports


@dataclass
class Watch:
    """A clock that only sleeping moves, and what is done while it does."""

    passed: float = 0.0
    meanwhile: Callable[[float], None] = lambda _: None
    said: list[str] = field(default_factory=list)

    def monotonic(self) -> float:
        """Return the seconds that were slept."""
        return self.passed

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.passed += seconds
        self.meanwhile(self.passed)

    def say(self, message: str) -> None:
        """Keep what is said."""
        self.said.append(message)


@pytest.fixture
def leases(tmp_path: Path) -> Iterator[JournalLeases]:
    """Return real leases in a real journal."""
    with closing(SqliteJournal(tmp_path / "journal.db")) as journal:
        yield JournalLeases(journal)


def ports(leases: JournalLeases, watch: Watch) -> Ports:
    """Return what a wait sees."""
    return cast("Ports", SimpleNamespace(leases=leases, clock=watch, reporter=watch))


def test_it_waits_until_that_is_done(leases: JournalLeases) -> None:
    """Nobody there is not waited for; who is there is named once, and when they end it goes on."""
    watch = Watch()
    await_backups("files", ports(leases, watch))
    assert (watch.passed, watch.said) == (0.0, [])
    with ExitStack() as held:
        held.enter_context(leases.hold(lease_of("files"), "backup drill", "r1"))
        watch.meanwhile = lambda passed: held.close() if passed > 3 else None
        await_backups("files", ports(leases, watch))
    assert 3 < watch.passed < 5
    assert len(watch.said) == 1
    assert watch.said[0].startswith("files: waiting until `backup drill` of ")


def test_what_does_not_end_is_named(leases: JournalLeases) -> None:
    """After a quarter of an hour it refuses, with the process that is in the way."""
    watch = Watch()
    with (
        leases.hold(lease_of("files"), "backup run", "r1"),
        pytest.raises(Refused, match="its backups are worked on"),
    ):
        await_backups("files", ports(leases, watch))
    assert 900 < watch.passed < 902
