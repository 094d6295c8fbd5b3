"""Which of the apps that are due is upgraded by a tick, whatever stands in the way of the others."""

from types import SimpleNamespace
from typing import cast

import pytest

from tfheal.base.errors import ActionFailed, BadReply, Refused, TfhealError, Unreachable, UsageError
from tfheal.base.exits import Exit
from tfheal.flows import cadence
from tfheal.flows.cadence import Due
from tfheal.flows.fleet import Limits
from tfheal.model.ports import Ports
from tfheal.model.upgrade import Upgraded
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
