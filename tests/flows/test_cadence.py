"""Which of the apps that are due is upgraded by a tick, whatever stands in the way of the others."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from journals import NOW, a_release

from tfheal.base.errors import ActionFailed, BadReply, Refused, TfhealError, Unreachable, UsageError
from tfheal.base.exits import Exit
from tfheal.edge.journal import SqliteJournal
from tfheal.flows import cadence
from tfheal.flows.cadence import Due
from tfheal.flows.fleet import Limits
from tfheal.model.app import AutoUpgrade
from tfheal.model.ports import Ports
from tfheal.model.record import Deployed
from tfheal.model.upgrade import Upgrade, Upgraded
from tfheal.model.workspace import Workspace

WORKSPACE, PORTS = cast("Workspace", None), cast("Ports", None)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused("it is paused"), Exit.OK),
        (Unreachable("it could not be asked"), Exit.UNKNOWN),
        (UsageError("there is no version 2"), Exit.USAGE),
        (BadReply("it does not parse"), Exit.FAILED),
        (ActionFailed("it did not work"), Exit.FAILED),
    ],
)
def test_what_stands_in_the_way_of_one_app_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, error: TfhealError, code: Exit
) -> None:
    """It is told of that app, and is no less bad for it; the next one has its turn."""
    done = cast("Upgraded", SimpleNamespace(exit=Exit.OK))

    def upgrade(_workspace: object, app: str, *_: object) -> object:
        if app == "first":
            raise error
        return done

    monkeypatch.setattr(cadence, "upgrade", upgrade)
    first, second = Due("first", "2"), Due("second", "2")
    found, refused, worst = cadence.upgraded(WORKSPACE, (first, second), PORTS, Limits())
    assert (found, refused, worst) == (done, {"first": f"to 2: {error}"}, code)
    assert cadence.upgraded(WORKSPACE, (first,), PORTS, Limits()) == (None, refused, code)


@pytest.mark.parametrize(
    ("back", "due"),
    [
        ((), {"ours", "mine", "theirs", "hers"}),
        (("theirs",), {"ours", "mine", "hers"}),
        (("mine",), {"theirs", "hers"}),
        (("mine", "theirs"), set()),
    ],
)
def test_one_owner_keeps_no_other_from_a_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, back: tuple[str, ...], due: set[str]
) -> None:
    """What an app had to take back is tried again on none of its owner, and on no app at all where two owners' had to."""
    owners = {"ours": "acme", "mine": "acme", "theirs": "bob", "hers": "eve"}
    with closing(SqliteJournal(tmp_path / "journal.db")) as journal:
        for app, owner in owners.items():
            release = a_release(app=app, owner=owner, component="web", slice="s1", playbook="shop", version="1.0.0")
            journal.save_release(release, NOW)
            journal.set_deployed(Deployed(release.instance, release.id, "1.0.0", 1, "deployed", NOW))
        ended = {app: Upgrade("u", app, "1.0.0", "1.0.1", "rolled-back", NOW) for app in back}
        listed = {"1.0.0": NOW - timedelta(days=90), "1.0.1": NOW - timedelta(days=30)}
        upgrades = SimpleNamespace(last=ended.get, listed=lambda _playbook: listed)
        ports = SimpleNamespace(journal=journal, upgrades=upgrades, clock=SimpleNamespace(now=lambda: NOW))
        specs = {
            app: SimpleNamespace(
                playbook="shop", owner=owner, ring="rest", version="1.0.0", auto_upgrade=AutoUpgrade(channel="patch")
            )
            for app, owner in owners.items()
        }
        folder = SimpleNamespace(playbook=SimpleNamespace(versions=listed))
        workspace = SimpleNamespace(
            apps=specs, written=specs.__getitem__, folder=lambda _: folder, window=lambda _: None
        )
        monkeypatch.setattr(cadence, "takes_of", lambda *_: 0.0)
        found = cadence.due(cast("Workspace", workspace), cast("Ports", ports))
    assert {one.app for one in found} == due
