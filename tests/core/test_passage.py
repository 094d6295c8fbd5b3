"""Whether a gateway or the app behind it is to blame is judged by who answers; what a slice says of it is data."""

from dataclasses import replace

import pytest

from tfheal.base.errors import BadReply
from tfheal.core.passage import Passage, PublicName, fault, passages, script, visited
from tfheal.model.release import InstanceName
from tfheal.model.route import Route, Server
from tfheal.model.visit import Visit

ROUTE = Route("page", "page.example", 8091, "/up", (Server("s1", "fd00::1"), Server("s2", "web.example")))
WELL = (InstanceName("page", "web", "s1"),)
M = "0123456789abcdef0123456789abcdef"
URL, THERE = "http://page.example/up", ("192.0.2.7",)
PUBLIC = PublicName("page", "page.example", (URL,), (), exact=True)


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


@pytest.mark.parametrize(
    ("changes", "met", "well", "cause", "told"),
    [
        ({}, Visit(THERE, URL, 200), True, "", ""),
        ({}, Visit(why="Name or service not known"), True, "name-unasked", "cannot be resolved here"),
        ({}, Visit(why="Name or service not known"), False, "name-unasked", "is not known"),
        (
            {},
            Visit(THERE, URL, 404),
            True,
            "name-astray",
            f"{URL} answers 404 from here, at 192.0.2.7, and page is well",
        ),
        ({}, Visit(THERE, URL, 404), False, "", ""),
        ({}, Visit(THERE, URL, why="Connection refused", refused=True), True, "name-astray", "(Connection refused)"),
        ({}, Visit(THERE, URL, why="timed out"), True, "name-unasked", "may have no way there"),
        (
            {},
            Visit(("fd00::3",), URL, why="timed out"),
            True,
            "name-astray",
            "does not answer from here, at fd00::3 (timed out)",
        ),
        ({"addresses": ("192.0.2.7", "fd00::3")}, Visit(THERE, URL, 200), True, "", ""),
        (
            {"addresses": ("fd00::3",)},
            Visit(THERE, URL, 200),
            True,
            "name-astray",
            "leads to 192.0.2.7 from here, and should lead to fd00::3",
        ),
        ({"addresses": ("fd00::3",)}, Visit(THERE, URL), False, "name-astray", "should lead to"),
        ({"exact": False}, Visit(THERE, URL, 302), True, "", ""),
        ({"exact": False}, Visit(THERE, URL, 401), True, "", ""),
        ({"exact": False}, Visit(THERE, URL, 502), True, "name-astray", "answers 502"),
        ({"urls": (), "addresses": THERE}, Visit(THERE), True, "", ""),
    ],
)
def test_where_a_name_leads(changes: dict[str, object], met: Visit, *, well: bool, cause: str, told: str) -> None:
    """Elsewhere, or to what does not answer although the app is well: the name is to blame. What cannot be asked from here is not known; an app that is ill is not blamed on its name."""
    found = visited(replace(PUBLIC, **changes), met, well=well, near={"fd00::3"})
    assert (found[0] if found else "") == cause
    assert told in (found[1] if found else "")
