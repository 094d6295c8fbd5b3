"""What a gateway says of a drain, and of what it leads to, is data: read as far as it can be believed."""

import base64

import pytest

from tfheal.base.errors import ActionFailed, BadReply, Refused
from tfheal.core.draining import Point, backends, drained, ended
from tfheal.model.draining import Backend, Drain
from tfheal.model.release import InstanceName

GATEWAY = InstanceName("edge", "gateway", "s3")
WEB = InstanceName("page", "web", "s1")
M = "0123456789abcdef0123456789abcdef"


def packed(text: str) -> str:
    """Return a text as it travels."""
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("drained 0", Drain(GATEWAY, "drained")),
        ("drained 3", Drain(GATEWAY, "drained", 3)),
        ("last", Drain(GATEWAY, "last")),
        (f"anothers 0 {packed('ada')}", Drain(GATEWAY, "anothers", detail="ada")),
        (f"ready 0 {packed('UP')}", Drain(GATEWAY, "back", detail="UP")),
        (f"ready 0 {packed('DOWN')}", Drain(GATEWAY, "ill", detail="DOWN")),
        ("ready 0 ", Drain(GATEWAY, "ill")),
    ],
)
def test_how_it_ended(line: str, found: Drain) -> None:
    """The first word of its own counts; noise around it does not."""
    assert ended(f"banner\n{M} {line}\n".encode(), GATEWAY, M) == found


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (f"{M} failed 0 {packed('no socat')}", ActionFailed),
        (f"{M} refused 0 {packed('paused')}", Refused),
        ("", BadReply),
        ("drained 0", BadReply),
        (f"{M} drained x", BadReply),
    ],
)
def test_what_is_no_end(said: str, error: type[Exception]) -> None:
    """A line without our marker, or of another shape, is nothing."""
    with pytest.raises(error):
        ended(f"{said}\n".encode(), GATEWAY, M)


def test_what_it_leads_to() -> None:
    """Rows of HAProxy's table, of routed apps alone, with who drains them; what is no number is none."""
    table = (
        "# pxname,svname,qcur,qmax,scur,smax,slim,stot,econ,eresp,status,\n"
        "web,FRONTEND,,,9,,,9,,,OPEN,\n"
        "page,s1,0,0,2,5,,100,1,2,DRAIN,\n"
        "page,s2,0,0,x,5,,99999999999999999999,,,UP,\n"
        "page,BACKEND,0,0,2,5,,100,,,UP,\n"
        "other,s1,0,0,2,5,,100,,,UP,\n"
    )
    reply = f"{M} note page.s1 1700000000 {packed('ada')}\n{M} stat {packed(table)}\n{M} end\n".encode()
    assert backends(reply, GATEWAY, {"page": "web"}, M) == (
        Backend(GATEWAY, WEB, "DRAIN", 2, 100, 3, "ada", 1_700_000_000),
        Backend(GATEWAY, InstanceName("page", "web", "s2"), "UP", 0, 0, 0),
    )
    with pytest.raises(BadReply):
        backends(reply.replace(b" end", b" no"), GATEWAY, {"page": "web"}, M)
    with pytest.raises(ActionFailed, match="no socat"):
        backends(f"{M} failed 0 {packed('no socat')}\n".encode(), GATEWAY, {"page": "web"}, M)


def test_what_people_write_stays_a_word() -> None:
    """Who drains is data to the script."""
    assert "owner='a; reboot'" in drained(Point(GATEWAY, WEB), "a; reboot", (60, 30), M)
