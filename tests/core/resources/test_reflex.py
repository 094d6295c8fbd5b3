"""The reflex as text: scripts that a shell reads, a part that the loop understands, secrets only in the part."""

import base64

import pytest
from releases import a_release
from shells import SHELLS, ran

from tfheal.core.resources import Step, steps
from tfheal.core.resources.reflex import part_text
from tfheal.core.resources.reflex_loop import LOOP, UNIT, VERSION
from tfheal.model.release import Reflex, Release, secret_token

ASKS = f"login '{secret_token('admin', 1)}'"
SECRETS = {("admin", 1): "it's s3cret"}


def a_reflex(**changes: object) -> Release:
    """Return a release whose slice asks something itself."""
    return a_release(reflex={"loop": 1, "asks": ASKS, "patience": 7.0} | changes)


def the_step(release: Release) -> Step:
    """Return the last step of a release."""
    return steps(release, SECRETS)[-1]


@pytest.mark.parametrize("shell", SHELLS, ids=lambda words: words[0])
def test_every_script_is_posix_sh(shell: tuple[str, ...]) -> None:
    """The loop, the steps, and those of a reflex that is off."""
    step, off = the_step(a_reflex()), the_step(a_reflex(asks=""))
    for text in (LOOP, step.check, step.apply, step.remove, off.check, off.apply):
        assert text is not None
        read = ran(text, (*shell, "-n"))
        assert (read.returncode, read.stderr) == (0, b"")


def test_loop_and_unit_say_their_version_where_it_is_looked_for() -> None:
    """On the second line, after two words: by it the newer of two loops is known."""
    assert LOOP.splitlines()[1].split() == ["#", "tfheal", "reflex", str(VERSION)]
    assert f"/bin/sh {'/etc/tfheal/reflex.sh'}\n" in UNIT


def test_the_part_says_what_the_loop_has_to_know() -> None:
    """First the words about the instance, the last of them `patience`; then what is asked, with its secrets."""
    release = a_reflex()
    assert release.reflex
    lines = part_text(release, release.reflex, SECRETS).splitlines()
    assert lines[:5] == [
        "# app notes",
        "# component web",
        "# unit tfheal-notes-web.service",
        "# start 60",
        "# patience 7.00",
    ]
    assert "login 'it's s3cret'" in lines


def test_a_secret_is_only_in_the_part() -> None:
    """What is asked about it knows its hash alone, and the release its name."""
    step = the_step(a_reflex())
    assert step.diff is None
    assert step.remove is not None
    assert "s3cret" not in step.check + step.remove
    encoded = next(line for line in step.apply.splitlines() if line.startswith("content="))
    assert "s3cret" in base64.b64decode(encoded.removeprefix("content=").strip("'")).decode()
    assert a_reflex().secrets() == {("admin", 1)}


def test_one_that_is_off_is_taken_away() -> None:
    """To apply it is to remove its part; a release that knows of no reflex leaves it alone."""
    step = the_step(a_reflex(asks=""))
    assert step.apply == step.remove
    assert the_step(a_reflex()).id == step.id == "reflex:notes/web"
    assert steps(a_release(), {}) == ()
    assert Reflex(loop=1).asks == ""
