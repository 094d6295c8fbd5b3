"""Pending security updates: what a slice says of them, and what is not believed."""

import subprocess
from pathlib import Path

import pytest

from tfheal.base.exits import Exit
from tfheal.core.probe.patches import COUNT, pending
from tfheal.core.probe.script import Answer
from tfheal.model import paths
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
        (
            Answer(0, TOLD.replace("state ok", "state unknown").replace("unfinished\n", "").encode(), 0.1),
            "apt could not say",
        ),
    ],
)
def test_what_could_not_be_told_is_not_nothing(answer: Answer | None, reason: str) -> None:
    """It is unknown, with the reason."""
    found = pending(answer)
    assert isinstance(found, Unknown)
    assert reason in found.reason


@pytest.mark.parametrize("said", [b"unfinished\n", b"unfinished\nstate unknown\n"])
def test_an_interrupted_patch_is_known_where_apt_cannot_say_more(said: bytes) -> None:
    """Else nobody would end it: what it left half way may be why apt cannot."""
    found = pending(Answer(0, said, 0.1))
    assert isinstance(found, Known)
    assert (found.value.unfinished, found.value.patches) == (True, ())


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


FAKE_APT = """\
#!/bin/sh
sleep 0.5
echo 'Inst openssl [1] (2 Debian-Security:13/stable-security [amd64])'
echo 'Inst vim [1] (2 Debian:13/stable [amd64])'
"""


def slice_with_lists(folder: Path) -> str:
    """Return the question for what is pending on a slice that is kept in a folder, where finding out takes a while."""
    for name in ("bin", "apt/lists", "dpkg"):
        (folder / name).mkdir(parents=True)
    (folder / "apt/lists/x_Packages").touch()
    (folder / "dpkg/status").touch()
    (folder / "bin/apt-get").write_text(FAKE_APT)
    (folder / "bin/apt-get").chmod(0o755)
    places = {paths.STATE: "state", paths.RUN: "run", "/var/lib/apt": "apt", "/var/lib/dpkg": "dpkg"}
    script = COUNT
    for place, here in places.items():
        script = script.replace(place, f"{folder}/{here}")
    return f"PATH={folder}/bin:$PATH\n{script}"


def test_looks_at_once_say_the_same(tmp_path: Path) -> None:
    """They find out once, and what they keep is whole."""
    script = slice_with_lists(tmp_path)
    looks = [subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(5)]
    assert {look.communicate()[0].splitlines()[0] for look in looks} == {"security 1"}
    assert len((tmp_path / "state/updates-pending").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("since", "oldest"),
    [("1000", range(1_000_000_000, 10_000_000_000)), ("99999999999", range(60)), ("garbage", range(60))],
)
def test_since_when_is_kept_over_a_reboot(tmp_path: Path, since: str, oldest: range) -> None:
    """A boot empties `/run` alone; what a wrong clock wrote, or nobody, begins anew."""
    script = slice_with_lists(tmp_path)
    (tmp_path / "state").mkdir()
    (tmp_path / "state/updates-pending").write_text(f"openssl 1 2 {since} no security\n")
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[0] == "security 1"
    assert int(said[1].removeprefix("oldest ")) in oldest
