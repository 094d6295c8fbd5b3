"""What is drained is put back, also where the gateway's answer to it was lost."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest

from tfheal.base.errors import BadReply, ConnectFailed, ConnectionLost, TfhealError
from tfheal.core.draining import Point
from tfheal.flows import gateway
from tfheal.flows.gateway import Out, drained
from tfheal.model.draining import Drain
from tfheal.model.ports import Ports
from tfheal.model.release import InstanceName
from tfheal.model.workspace import Workspace

WEB = InstanceName("page", "web", "s1")
FIRST, SECOND = (Point(InstanceName("edge", "gateway", name), WEB) for name in ("s3", "s4"))
GLADLY, MUST = Out("heal page", 60.0), Out("upgrade page", 60.0, must=True)
NOWHERE = cast("Workspace", None)


@dataclass
class Gateways:
    """Two gateways of which the second one ends a drain by an error; what was put back, in order."""

    error: TfhealError
    back: list[Point] = field(default_factory=list)

    def drain(self, _: object, point: Point, *__: object) -> Drain:
        """Drain, or fail."""
        if point == SECOND:
            raise self.error
        return Drain(point.gateway, "drained")

    def undrain(self, _: object, point: Point, *__: object) -> Drain:
        """Put back."""
        self.back.append(point)
        return Drain(point.gateway, "back")


@pytest.mark.parametrize(
    ("error", "out", "back"),
    [
        (ConnectionLost("it went away"), GLADLY, [SECOND, FIRST]),
        (ConnectionLost("it went away"), MUST, [SECOND, FIRST]),
        (BadReply("it cannot be read"), GLADLY, [SECOND, FIRST]),
        (ConnectFailed("no connection came about"), GLADLY, [FIRST]),
        (ConnectFailed("no connection came about"), MUST, [FIRST]),
    ],
)
def test_nothing_stays_out(error: TfhealError, out: Out, back: list[Point], monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that did as it was told, and whose answer did not arrive, is told to put it back; one that heard nothing is not asked again."""
    there = Gateways(error)
    monkeypatch.setattr(gateway, "points", lambda *_: (FIRST, SECOND))
    monkeypatch.setattr(gateway, "drain", there.drain)
    monkeypatch.setattr(gateway, "undrain", there.undrain)
    ports = cast("Ports", SimpleNamespace(reporter=SimpleNamespace(say=lambda _: None)))
    met = False
    try:
        with drained(NOWHERE, WEB, out, ports) as done:
            assert done == [FIRST]
    except TfhealError:
        met = True
    assert (there.back, met) == (back, out.must)
