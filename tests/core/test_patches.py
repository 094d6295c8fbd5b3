"""Pending security updates: what a slice says of them, and what is not believed."""

import pytest

from tfheal.base.exits import Exit
from tfheal.core.probe.patches import pending
from tfheal.core.probe.script import Answer
from tfheal.model.facts import Known, Unknown
from tfheal.model.patches import Patch, PatchPlan, Pending

TOLD = """\
state ok
lists 3600
up 7200
reboot
unfinished
charter Zm9yYmlkID0gWyJwYXRjaCJd
patch libssl3t64 3.5.1-1 3.5.1-1+deb13u1 86400 no security secured no
patch linux-image-amd64 6.12.41-1 6.12.48-1 60 held other secured no
patch vim 1 2 60 no other no taken-back
patch $(id) 1 2 60 no security no no
patch x 1 2 yesterday no security no no
"""


def test_what_broke_an_app_anywhere_is_known_everywhere() -> None:
    """A tick tries it on no other slice."""
    bad = Patch("vim", "1", "2", 60, taken_back=True)
    slices = {"a": Known(Pending((bad,), Known(0))), "b": Unknown("away"), "c": Known(Pending((), Known(0)))}
    assert PatchPlan(slices, {}).taken_back == {("vim", "2")}


def test_what_is_pending_is_read() -> None:
    """Each package with its versions and its age; a line that is none is passed over."""
    wanted = (
        Patch("libssl3t64", "3.5.1-1", "3.5.1-1+deb13u1", 86_400, secured=True),
        Patch("linux-image-amd64", "6.12.41-1", "6.12.48-1", 60, held=True, security=False, secured=True),
        Patch("vim", "1", "2", 60, security=False, taken_back=True),
    )
    charter = 'forbid = ["patch"]'
    told = Pending(wanted, Known(3_600), reboot=True, unfinished=True, charter=charter, up=Known(7_200))
    assert pending(Answer(0, TOLD.encode(), 0.1)) == Known(told)
    assert [one.returns for one in wanted] == [True, False, False]
    two_ages = pending(Answer(0, b"state ok\nlists 1\nlists 2\n", 0.1))
    assert two_ages == Known(Pending((), Unknown("the slice did not say")))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "in time"),
        (Answer(124, TOLD.encode(), 25.0), "in time"),
        (Answer(0, b"", 0.1), "no package lists"),
        (Answer(0, TOLD.replace("state ok", "state unknown").encode(), 0.1), "apt could not say"),
    ],
)
def test_what_could_not_be_told_is_not_nothing(answer: Answer | None, reason: str) -> None:
    """It is unknown, with the reason."""
    found = pending(answer)
    assert isinstance(found, Unknown)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("slices", "code"),
    [
        ({}, Exit.OK),
        ({"a": Known(Pending((), Known(0)))}, Exit.OK),
        ({"a": Unknown("away")}, Exit.UNKNOWN),
        ({"a": Unknown("away"), "b": Known(Pending((Patch("p", "1", "2", 0),), Known(0)))}, Exit.FINDINGS),
    ],
)
def test_the_code_says_whether_anything_is_pending(slices: dict[str, Known[Pending] | Unknown], code: Exit) -> None:
    """Patches are the changes of a plan; a slice that could not be asked is unknown."""
    assert PatchPlan(slices, {}).exit == code
