"""What goes wrong with one customer's slice, whatever it is, is told of it and ends nothing for the others."""

from collections.abc import Mapping
from contextlib import nullcontext
from types import SimpleNamespace
from typing import cast

import pytest

from tfheal.base.errors import ActionFailed, BadReply, HostKeyMismatch, Refused, TfhealError, Unreachable
from tfheal.core.backup import recovery
from tfheal.core.backup.job import TaskReply
from tfheal.flows import replay, rescue
from tfheal.flows.rungs import HealRun
from tfheal.model.inventory import Slice
from tfheal.model.plan import Action
from tfheal.model.ports import Ports
from tfheal.model.release import InstanceName, Release
from tfheal.model.workspace import Workspace

ERRORS = [
    ActionFailed("it did not work"),
    BadReply("it does not parse"),
    HostKeyMismatch("it shows another key"),
    Unreachable("it could not be asked"),
]


@pytest.mark.parametrize("error", [*ERRORS, Refused("it is paused")], ids=lambda error: type(error).__name__)
def test_changes_of_others_are_sent(monkeypatch: pytest.MonkeyPatch, error: TfhealError) -> None:
    """Where those of one cannot be; that somebody else is at its backups is no failure."""
    sent: list[str] = []

    def run(_workspace: object, _job: object, target: Slice, _ports: object) -> Mapping[str, TaskReply]:
        if target.name == "s1":
            raise error
        sent.append(target.name)
        return {recovery.SENT: TaskReply(0, "", "")}

    monkeypatch.setattr(replay, "run", run)
    monkeypatch.setattr(recovery, "send_tasks", lambda _release: ())
    names = [InstanceName(f"app{number}", "db", f"s{number}") for number in (1, 2)]
    releases = [SimpleNamespace(app=name.app, slice=name.slice, instance=name) for name in names]
    workspace = SimpleNamespace(inventory=SimpleNamespace(slice=lambda name: SimpleNamespace(name=name)))
    ports = SimpleNamespace(
        journal=SimpleNamespace(new_id=lambda: "j"),
        writer="ops",
        leases=SimpleNamespace(hold=lambda *_: nullcontext()),
    )
    failed = replay.send(cast("Workspace", workspace), cast("list[Release]", releases), "r", cast("Ports", ports))
    assert failed == ({} if isinstance(error, Refused) else {"app1/db@s1": str(error)})
    assert sent == ["s2"]


@pytest.mark.parametrize("rung", ["recreate", "rehome"])
@pytest.mark.parametrize("error", [*ERRORS, Refused("it is paused")], ids=lambda error: type(error).__name__)
def test_a_rescue_that_breaks_is_an_outcome(monkeypatch: pytest.MonkeyPatch, rung: str, error: TfhealError) -> None:
    """So that what else a heal run is about to do is done."""

    def breaks(*_: object) -> None:
        raise error

    monkeypatch.setattr(rescue, rung, breaks)
    monkeypatch.setattr(rescue, "everywhere", lambda _ports: ())
    action = SimpleNamespace(rung=rung, slice="s1")
    run = SimpleNamespace(apps=("notes",), ports=None)
    taken = rescue.rescued(cast("HealRun", run), cast("Action", action))
    assert (taken.outcome, taken.detail) == ("refused" if isinstance(error, Refused) else "failed", str(error))
