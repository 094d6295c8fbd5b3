"""What a gateway says of a drain, and of what it leads to, is data: read as far as it can be believed."""

import base64
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tfheal.base.errors import ActionFailed, BadReply, Refused
from tfheal.core.draining import Point, backends, drained, ended, undrained
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


@pytest.mark.parametrize("cell", ["a" * 200_000, '"' + "a" * 200_000, "\r", "\0", "9" * 5_000, "\uff11"])
def test_a_table_that_is_none_is_a_bad_reply(cell: str) -> None:
    """Whatever stands in a cell, what comes of it is rows or an error that stops no other gateway."""
    table = f"# pxname,svname,scur\npage,s1,{cell}\n"
    reply = f"{M} stat {packed(table)}\n{M} end\n".encode()
    with suppress(BadReply):
        assert all(one.sessions in {0, 1} for one in backends(reply, GATEWAY, {"page": "web"}, M))


def test_what_people_write_stays_a_word() -> None:
    """Who drains is data to the script."""
    assert "owner='a; reboot'" in drained(Point(GATEWAY, WEB), "a; reboot", (60, 30), M)


TIMERS = ("tfheal-drain-page.s1", "tfheal-weight-page.s2", "tfheal-maintenance-page")
FAKES = {
    "systemctl": """case $* in
is-active*) [ -e "$here/active" ] ;;
show*) cat "$here/started" 2>/dev/null ;;
*) echo "$*" >>"$here/log" ;;
esac""",
    "systemd-run": 'for word; do case $word in --unit=*) echo "new ${word#--unit=}" >>"$here/log" ;; esac; done; [ ! -e "$here/full" ]',
    "socat": """read -r line; case $line in
'show stat') for one in s1 s2; do printf 'page,%s,0,0,0,0,,1,,,,,,,,,,%s,100\\n' "$one" "$(cat "$here/$one")"; done ;;
'show info') echo Pid: 7 ;;
*) echo "$line" >>"$here/log" ;;
esac""",
}


@pytest.fixture
def gateway(tmp_path: Path) -> Callable[[str], list[str]]:
    """Return what runs a script where systemd and HAProxy are told of, and do, nothing; it tells what they were told, in order."""
    for name, body in FAKES.items():
        (tmp_path / name).write_text(f"#!/bin/sh\nhere={tmp_path}\n{body}\n")
        (tmp_path / name).chmod(0o755)
    for name, state in (("s1", "UP"), ("s2", "UP")):
        (tmp_path / name).write_text(state)

    def ran(script: str) -> list[str]:
        (tmp_path / "log").write_text("")
        here = script.replace("/run/tfheal/", f"{tmp_path}/").replace("/etc/tfheal/", f"{tmp_path}/")
        here = here.replace("PATH=", f"PATH={tmp_path}:", 1)
        subprocess.run(["sh"], input=here.encode(), capture_output=True, check=False)
        return (tmp_path / "log").read_text().splitlines()

    return ran


def test_a_timer_stands_all_the_time(gateway: Callable[[str], list[str]], tmp_path: Path) -> None:
    """The new one before the old one is stopped, and that not where there is no new one; at the end it goes last."""
    drain, undrain = drained(Point(GATEWAY, WEB), "ada", (60, 1), M), undrained(Point(GATEWAY, WEB), "ada", 1, M)
    timer = "tfheal-drain-page.s1"
    out = "set server page/s1 state drain"
    assert gateway(drain) == [f"stop {timer}.timer", f"new {timer}", f"stop {timer}.next.timer", out]
    (tmp_path / "active").touch()
    assert gateway(drain) == [f"stop {timer}.next.timer", f"new {timer}.next", f"stop {timer}.timer", out]
    (tmp_path / "full").touch()
    assert gateway(drain) == [f"stop {timer}.next.timer", f"new {timer}.next"], (
        "the old one stays, and nothing is drained"
    )
    (tmp_path / "s1").write_text("DRAIN")
    back = ["enable health page/s1", "set server page/s1 health down", "set server page/s1 state ready"]
    assert gateway(undrain) == [*back, f"stop {timer}.timer {timer}.next.timer"]


def test_who_is_all_that_is_left_comes_back_at_once(gateway: Callable[[str], list[str]], tmp_path: Path) -> None:
    """No other is well: an undrain waits for no question of the gateway's, and what the same owner drained before is let in."""
    drain, undrain = drained(Point(GATEWAY, WEB), "ada", (60, 1), M), undrained(Point(GATEWAY, WEB), "ada", 1, M)
    assert gateway(drain)[-1] == "set server page/s1 state drain"
    (tmp_path / "s1").write_text("DRAIN")
    (tmp_path / "s2").write_text("DOWN")
    assert gateway(drain) == ["set server page/s1 state ready"]
    assert gateway(undrained(Point(GATEWAY, WEB), "bob", 1, M)) == [], "it is nobody's any more"
    assert "set server page/s1 health down" not in gateway(undrain.replace("owner=ada", "owner=''"))


def test_a_gateway_that_started_anew_knows_of_no_drain(gateway: Callable[[str], list[str]], tmp_path: Path) -> None:
    """What was noted of the one before is nobody's: else an instance would count as out while it gets requests."""
    out = "set server page/s1 state drain"
    (tmp_path / "started").write_text("first\n")
    assert gateway(drained(Point(GATEWAY, WEB), "ada", (60, 1), M))[-1] == out
    by_another = drained(Point(GATEWAY, WEB), "bob", (60, 1), M)
    assert gateway(by_another) == []
    notes = tmp_path / "drains/tfheal-edge-gateway"
    (notes / "weights").mkdir()
    for name in ("weights/page.s2", "page..maintenance"):
        (notes / name).write_text("1\nada\n")
    (tmp_path / "started").write_text("second\n")
    told = gateway(by_another)
    assert {f"stop {one}.timer {one}.next.timer" for one in TIMERS} <= set(told), "none acts on what it was not for"
    assert told[-1] == out
    assert sorted(path.name for path in notes.rglob("*.*")) == ["page.s1"]
    assert gateway(drained(Point(GATEWAY, WEB), "ada", (60, 1), M)) == [], "and now it is that one's"
    (notes / "start").unlink()
    assert gateway(drained(Point(GATEWAY, WEB), "ada", (60, 1), M)) == [], (
        "of whom we do not know when it started it holds"
    )
