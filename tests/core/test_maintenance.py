"""What a gateway says of an app that it answers in place of is data: read as far as it can be believed."""

import base64
import subprocess

import pytest

from tfheal.base.errors import ActionFailed, BadReply, Refused
from tfheal.core.maintenance import Answer, answer, asked, closed, opened
from tfheal.model.release import InstanceName

GATEWAY = InstanceName("edge", "gateway", "s3")
M = "0123456789abcdef0123456789abcdef"


def packed(text: str) -> str:
    """Return a text as it travels."""
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("closed anew", Answer()),
        ("closed already", Answer(already=True)),
        ("open 0", Answer()),
        ("open 812", Answer(answered=812)),
    ],
)
def test_how_it_ended(line: str, found: Answer) -> None:
    """The first word of its own counts; noise around it does not."""
    assert answer(f"banner\n{M} {line}\n".encode(), GATEWAY, M) == found


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (f"{M} anothers 0 {packed('ada')}", Refused),
        (f"{M} failed 0 {packed('no socat')}", ActionFailed),
        (f"{M} refused 0 {packed('paused')}", Refused),
        ("", BadReply),
        ("open 1", BadReply),
        (f"{M} open many", BadReply),
        (f"{M} drained 0", BadReply),
    ],
)
def test_what_is_no_end(said: str, error: type[Exception]) -> None:
    """A line without our marker, or of another shape, is nothing; an app that somebody else closed is theirs."""
    with pytest.raises(error):
        answer(f"{said}\n".encode(), GATEWAY, M)


def test_who_closes_is_data_to_the_script() -> None:
    """It parses, and what people write stays a word."""
    who = "a; reboot"
    closing = closed(GATEWAY, "crm", who, (60.4, 30.0), M)
    for script in (closing, asked(GATEWAY, "crm", who, M), opened(GATEWAY, "crm", who, M)):
        subprocess.run(["sh", "-n"], input=script.encode(), check=True)
        assert "owner='a; reboot'" in script
    assert "longest=60 patience=30" in closed(GATEWAY, "crm", "ada", (60.4, 30.0), M)
