"""A copy after a repair that was cut: the mark that it left on what is there goes first, or all would be copied again."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tfheal.base.errors import ActionFailed
from tfheal.core.backup import copying as core
from tfheal.core.backup import repair as mending
from tfheal.core.backup.job import Job, TaskReply
from tfheal.flows import copying, repair
from tfheal.model.backup import AppBackup, Backup, Part
from tfheal.model.copied import Copied
from tfheal.model.ports import Ports
from tfheal.model.workspace import Workspace

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
OLD, NEW = "a" * 64, "b" * 64
BACKUP = Backup("b1", "files", "s3", NOW, "good", (Part("s1", "folders", "good", OLD, 100, 3),), NOW)
WHOLE = Copied("files", "s4", NOW, NOW)
SPEC = SimpleNamespace(backup=AppBackup(to="s3", copy_to="s4"))
WORKSPACE = cast("Workspace", SimpleNamespace(apps={"files": SPEC}))


class Stores:
    """Two stores; `broken` are the tasks that fail there, `done` those that were done, and `last` what is known of the copy."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, last: Copied | None) -> None:
        """Have both flows work on them."""
        self.last, self.done = last, list[str]()
        self.broken: set[str] = set()
        for flow in (copying, repair):
            monkeypatch.setattr(flow, "run_to_copy", self._runs)
            monkeypatch.setattr(flow, "run_on_copy", self._runs)
        catalogue = SimpleNamespace(backups=lambda _: [BACKUP], copied=lambda _: self.last, put_copied=self._put)
        words = SimpleNamespace(say=lambda _: None)
        clock, journal = SimpleNamespace(now=lambda: NOW), SimpleNamespace(new_id=lambda: "1j")
        self.ports = cast(
            "Ports",
            SimpleNamespace(catalogue=catalogue, clock=clock, journal=journal, reporter=words, writer="me"),
        )

    def _put(self, copied: Copied) -> None:
        self.last = copied

    def _runs(self, *given: Any) -> Mapping[str, TaskReply]:  # noqa: ANN401
        job = cast("Job", given[1])
        scripts = {task.script: task.name for task in job.tasks}
        unmarks = mending.unmark_tasks()[-1].script in scripts
        name = "unmark" if unmarks else job.tasks[-1].name
        if name in self.broken:
            raise ActionFailed("the store cannot be reached", where="s4")
        self.done.append(name)
        said = {core.HERE: f"{OLD}\n", core.ARRIVED: f"{NEW} {OLD}\n"}
        return {task.name: TaskReply(0, said.get(task.name, ""), "") for task in job.tasks}


def test_a_mark_that_was_left_goes_before_anything_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it cannot be taken off nothing is copied, and the next copy tries again; then nothing is known of it any more."""
    stores = Stores(monkeypatch, WHOLE)
    stores.broken = {"unmark"}
    repair._from_copy(WORKSPACE, "files", "s1", stores.ports)
    assert stores.last is not None
    assert (stores.last.detail, stores.last.reached) == (core.ON_ITS_WAY, NOW)
    stores.done.clear()
    assert "cannot be reached" in copying.copied(WORKSPACE, "files", stores.ports)
    assert stores.done == []
    stores.broken = set()
    assert copying.copied(WORKSPACE, "files", stores.ports) == ""
    assert stores.done == ["unmark", core.ARRIVED]
    stores.done.clear()
    assert copying.copied(WORKSPACE, "files", stores.ports) == ""
    assert stores.done == [core.ARRIVED], "a copy that is marked by nobody costs no trip more"


def test_a_repair_that_came_to_its_end_leaves_no_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was known of the copy is known again; while it is under way it is not."""
    stores = Stores(monkeypatch, WHOLE)
    repair._from_copy(WORKSPACE, "files", "s1", stores.ports)
    assert stores.done == [mending.MARKED, mending.FETCHED, "unmark"]
    assert stores.last == WHOLE
