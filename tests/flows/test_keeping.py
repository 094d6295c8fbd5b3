"""What people say of backups in two workspaces over one store, and what a prune makes of it."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tfheal.base.errors import Refused
from tfheal.core.backup import prune as core
from tfheal.core.backup import verify
from tfheal.core.backup.job import Job, TaskReply
from tfheal.edge.catalogue import JournalCatalogue
from tfheal.edge.journal import SqliteJournal
from tfheal.edge.lease import JournalLeases
from tfheal.flows import keeping, ledger, prune, restore
from tfheal.flows.restore import Wish
from tfheal.model import paths
from tfheal.model.backup import AppBackup, Backup, Keep, Part, State
from tfheal.model.ports import Exec, Ports
from tfheal.model.workspace import Workspace

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
NOTHING = Keep(hourly=0, daily=0, weekly=0, monthly=0)
SPEC = SimpleNamespace(backup=AppBackup(to="s3", keep=NOTHING, grace=0), place={"store": ("s3",)})
WORKSPACE = cast("Workspace", SimpleNamespace(apps={"files": SPEC}, inventory=SimpleNamespace(slice=lambda name: name)))


def made(number: int, days: float, state: State = "good", snapshot: int | None = None) -> Backup:
    """Return a backup of so many days ago, which no rule keeps but the floor."""
    at = NOW - timedelta(days=days)
    part = Part("s1", "folders", state, f"{number if snapshot is None else snapshot:064x}", 100, 3)
    return Backup(f"b{number}", "files", "s3", at, state, (part,), at, let_go=at if days > 5 else None)


class Way:
    """The way to a store in a folder."""

    def __init__(self, store: Path) -> None:
        """Have it there."""
        self.store = store

    def run(self, _: str, order: Exec) -> SimpleNamespace:
        """Run a script there."""
        here = order.script.replace(paths.data("files", "store"), str(self.store))
        return SimpleNamespace(
            stdout=subprocess.run(["dash"], input=here.encode(), capture_output=True, check=True).stdout
        )


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Ports, Ports]]:
    """Return what two workspaces over one store see; to both the catalogue is plain text."""
    (tmp_path / "store").mkdir()
    seconds = count()
    with ExitStack() as stack:
        ports = []
        for name in ("a", "b"):
            journal = stack.enter_context(closing(SqliteJournal(tmp_path / f"{name}.db")))
            ports.append(
                SimpleNamespace(
                    journal=journal,
                    catalogue=JournalCatalogue(journal),
                    leases=JournalLeases(journal),
                    clock=SimpleNamespace(now=lambda: NOW + timedelta(seconds=next(seconds))),
                    transport=Way(tmp_path / "store"),
                    vault=SimpleNamespace(closed=str, opened=str),
                    marker=lambda: "0123456789abcdef",
                    reporter=SimpleNamespace(say=pytest.fail),
                    writer="me",
                )
            )
        yield cast("Ports", ports[0]), cast("Ports", ports[1])


def known(ports: Ports) -> dict[str, Backup]:
    """Return what a workspace knows."""
    return {one.id: one for one in ports.catalogue.backups("files")}


def shared(two: tuple[Ports, Ports], *backups: Backup) -> None:
    """Have both know these backups."""
    for one in backups:
        two[0].catalogue.put(one)
    for each in two:
        ledger.keep(WORKSPACE, "files", each)


def test_what_a_colleague_holds_is_not_pruned(two: tuple[Ports, Ports], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is known before anything goes, and after whatever the first workspace writes; so is what was accepted."""
    ours, theirs = two
    shared(two, made(0, 9), made(4, 8, "suspect"), *(made(number, number) for number in (1, 2, 3)))
    keeping.hold(WORKSPACE, "b0", theirs)
    keeping.accept(WORKSPACE, "b4", theirs)
    with pytest.raises(Refused, match="it is held"):
        prune.forget(WORKSPACE, "b0", "they asked", ours)
    monkeypatch.setattr(prune, "run_on_store", lambda *_: pytest.fail("nothing goes"))
    (done,) = prune.prune(WORKSPACE, ("files",), ours)
    assert (done.refused, done.going) == ("", ())
    ledger.keep(WORKSPACE, "files", ours)
    for each in two:
        ledger.keep(WORKSPACE, "files", each)
        assert (known(each)["b0"].held, known(each)["b4"].state) == (True, "good")
    keeping.hold(WORKSPACE, "b0", ours, release=True)
    ledger.keep(WORKSPACE, "files", theirs)
    assert not known(theirs)["b0"].held


def test_a_row_that_lies_takes_no_snapshot_along(two: tuple[Ports, Ports], monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice said of a backup the snapshot of an earlier one: when its row goes, the earlier one loses nothing."""
    ours, _ = two
    held, lying = replace(made(0, 9), held=True), made(4, 8, snapshot=0)
    shared(two, held, lying, *(made(number, number) for number in (1, 2, 3)))
    asked = []

    def runs(_: Workspace, job: Job, __: str, ___: Any) -> Mapping[str, TaskReply]:  # noqa: ANN401
        asked.append(next(task.script for task in job.tasks if task.name == core.FORGET))
        there = "\n".join(snapshot for one in known(ours).values() for snapshot in one.snapshots)
        sound = '{"message_type":"summary","num_errors":0}'
        said = {verify.LIST: there, verify.READ: sound}
        return {task.name: TaskReply(0, said.get(task.name, ""), "") for task in job.tasks}

    monkeypatch.setattr(prune, "run_on_store", runs)
    (done,) = prune.prune(WORKSPACE, ("files",), ours)
    assert [one.id for one in done.going] == ["b4"]
    assert not any(snapshot in script for script in asked for snapshot in held.snapshots)
    assert (known(ours)["b0"].state, known(ours)["b4"].state) == ("good", "erased")


def test_a_restore_takes_the_newest_that_no_drill_found_damaged(two: tuple[Ports, Ports]) -> None:
    """It says which it passes over; one that is named is taken, and where all are damaged nothing is taken by itself."""
    ours, _ = two
    spoilt = replace(made(1, 1), damaged=NOW)
    shared(two, made(2, 2), spoilt)
    taken = restore._meant(WORKSPACE, "files", Wish(), ours)
    assert (taken.id, restore._passed_over(WORKSPACE, Wish(), taken, ours)) == ("b2", ("b1",))
    named = Wish("b1")
    assert restore._meant(WORKSPACE, "files", named, ours).id == "b1"
    assert restore._passed_over(WORKSPACE, named, taken, ours) == ()
    before = Wish(at=NOW - timedelta(days=1.5))
    assert restore._passed_over(WORKSPACE, before, restore._meant(WORKSPACE, "files", before, ours), ours) == ()
    ours.catalogue.put(replace(made(2, 2), damaged=NOW))
    with pytest.raises(Refused, match="to be sure of"):
        restore._meant(WORKSPACE, "files", Wish(), ours)
    assert restore._meant(WORKSPACE, "files", Wish(latest=True), ours).id == "b1", "healing drills it first"
