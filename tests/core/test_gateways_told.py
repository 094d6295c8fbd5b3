"""What gateways lead to and what they end TLS with is told in any width, and where there is nothing that is told too."""

from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console, RenderableType

from tfheal.base.errors import ConnectFailed, TfhealError
from tfheal.model.certificate import Certificate
from tfheal.model.draining import Backend
from tfheal.model.release import InstanceName
from tfheal.render.certificates import certificates_words
from tfheal.render.gateway import gateways_words

NOW = datetime(2026, 11, 30, tzinfo=UTC)
AT = int(NOW.timestamp())
EDGE, FAR = InstanceName("edge", "gateway", "s2"), InstanceName("far", "gateway", "s4")
LED: dict[InstanceName, tuple[Backend, ...] | TfhealError] = {
    EDGE: (Backend(EDGE, InstanceName("shop", "web", "s1"), "DRAIN", 3, 51804, 2, "ada on ops", AT + 60),),
    FAR: ConnectFailed("no connection"),
}
HELD: dict[InstanceName, tuple[Certificate, ...] | TfhealError] = {
    EDGE: (Certificate("shop.example", "acme", AT - 90 * 86_400, AT - 1, due=True, why="it was refused"),),
    FAR: ConnectFailed("no connection"),
}


def lines_of(words: RenderableType, width: int) -> list[str]:
    """Return what is printed on a screen of a width."""
    screen = Console(width=width, file=StringIO())
    with screen.capture() as printed:
        screen.print(words)
    return [line.rstrip() for line in printed.get().splitlines()]


@pytest.mark.parametrize("width", [40, 50, 89, 90, 120])
def test_every_width_keeps_words_whole(width: int) -> None:
    """No name is broken in the middle, and everything is told."""
    led = lines_of(gateways_words(LED, AT, width), width)
    held = lines_of(certificates_words(HELD, (), NOW, width), width)
    for word in (
        "edge/gateway@s2",
        "shop/web@s1",
        "DRAIN",
        "51804",
        "ada on ops for 60s",
        "far/gateway@s4",
        "no connection",
    ):
        assert [line for line in led if word in line], (word, led)
    for word in ("edge/gateway@s2", "shop.example", "acme", "expired", "refused", "far/gateway@s4"):
        assert [line for line in held if word in line], (word, held)


def test_no_table_without_rows() -> None:
    """A gateway that cannot be asked, and one that leads to nothing, have a line each."""
    assert lines_of(gateways_words({FAR: LED[FAR]}, AT, 100), 100) == ["far/gateway@s4  no connection"]
    (nothing,) = lines_of(gateways_words({EDGE: ()}, AT, 100), 100)
    assert nothing == "edge/gateway@s2  leads to nothing: route: {gateway: edge} in an app spec"
