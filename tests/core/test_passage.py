"""Whether a gateway or the app behind it is to blame is judged by who answers; what a slice says of it is data."""

import pytest

from tfheal.base.errors import BadReply
from tfheal.core.passage import Passage, fault, passages, script
from tfheal.model.release import InstanceName
from tfheal.model.route import Route, Server

ROUTE = Route("page", "page.example", 8091, "/up", (Server("s1", "fd00::1"), Server("s2", "web.example")))
WELL = (InstanceName("page", "web", "s1"),)
M = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("through", "alone", "well", "told"),
    [
        (200, {}, WELL, ""),
        (200, {}, (), ""),
        (503, {"s1": 0, "s2": 500}, (), ""),
        (503, {"s1": 0, "s2": 200}, (), "page.example answers 503 through it, and page on s2 answers it without"),
        (
            0,
            {"s1": 200, "s2": 200},
            WELL,
            "page.example does not answer through it, and page on s1, s2 answers it without",
        ),
        (503, {"s1": 0, "s2": 404}, WELL, "asked from here s1 does not answer, s2 answers 404"),
    ],
)
def test_who_is_to_blame(through: int, alone: dict[str, int], well: tuple[InstanceName, ...], told: str) -> None:
    """A gateway is to blame only where an instance answers without it, or is well by its own slice."""
    found = fault(Passage(ROUTE, through, alone), well)
    assert (told in found) if told else not found


def test_what_was_said_is_read() -> None:
    """What was answered for each route is found among noise, in any order."""
    reply = f"banner\n{M} 1 200\nff 0 200\n{M} 0 503 000 200\n{M} end\n".encode()
    assert passages(reply, (ROUTE, ROUTE), M) == (
        Passage(ROUTE, 503, {"s1": 0, "s2": 200}),
        Passage(ROUTE, 200, {}),
    )


@pytest.mark.parametrize("said", ["", f"{M} nothing", f"{M} 0 abc", f"{M} 7 200", f"{M} 0 2000"])
def test_what_is_missing_is_no_answer(said: str) -> None:
    """A slice that does not tell of every route told nothing."""
    with pytest.raises(BadReply):
        passages(said.encode(), (ROUTE,), M)


def test_what_is_asked() -> None:
    """The name is asked for at the gateway, the same path at each instance; an IPv6 address is in brackets."""
    asked = script("http://[fd00::3]:80", (ROUTE,), M)
    assert (
        "pass 0 page.example 'http://[fd00::3]:80/up' 'http://[fd00::1]:8091/up' http://web.example:8091/up &" in asked
    )
