"""A window that is shut holds up what may wait, and no backup and no verification."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest

from tfheal.flows import backup, prune, verify
from tfheal.model.backup import AppBackup, Backup, Keep, Part, ServiceLevel
from tfheal.model.ports import Ports
from tfheal.model.window import Window
from tfheal.model.workspace import Workspace

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)  # a Wednesday
SHUT = Window(days=("thu",), start="02:00", duration=3_600.0)
PART = Part("s1", "folders", "good", "a" * 64, 100, 3)
OLD = Backup("b1", "files", "s3", NOW - timedelta(days=30), "good", (PART,), NOW - timedelta(days=30))


def test_what_is_due_while_the_window_is_shut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup and a verification are made at once; a prune that is due at the same time waits."""
    nothing = Keep(hourly=0, daily=0, weekly=0, monthly=0)
    spec = SimpleNamespace(backup=AppBackup(to="s3", keep=nothing), service_level="gold")
    provider = SimpleNamespace(levels={"gold": ServiceLevel()})
    workspace = cast("Workspace", SimpleNamespace(apps={"files": spec}, provider=provider, window=lambda _: SHUT))
    newer = [replace(OLD, id=f"n{days}", received=NOW - timedelta(days=days)) for days in (2, 3, 4)]
    backups = [replace(OLD, let_go=NOW - timedelta(days=8)), *newer]
    catalogue = SimpleNamespace(
        backups=lambda _: backups, verifications=lambda _: [], copied=lambda _: None, last_pruning=lambda _: None
    )
    journal = SimpleNamespace(deployed=lambda _: [])
    ports = cast("Ports", SimpleNamespace(catalogue=catalogue, journal=journal, clock=SimpleNamespace(now=lambda: NOW)))
    store = SimpleNamespace(instance=SimpleNamespace(component="store"))
    monkeypatch.setattr(backup, "in_use", lambda _: [store])
    assert backup.due(workspace, ports) == ("files",)
    assert verify.due(workspace, ports) == ("files",)
    assert prune.due(workspace, ports) == ()
    assert [(one.app, one.what) for one in prune.waiting(workspace, ports)] == [("files", "prune")]
