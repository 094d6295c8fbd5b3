"""What a machine says it is, and whether that can be managed."""

import subprocess

import pytest

from tfheal.base.errors import BadReply
from tfheal.core.probe.platform import QUESTION, obstacle, platform, reservations
from tfheal.core.probe.script import Answer, answers, composed

TRIXIE = """uid 0
init systemd
systemd 257
machine x86_64
release PRETTY_NAME="Debian GNU/Linux 13 (trixie)"
release VERSION_ID="13"
release ID=debian
"""
NOBLE = TRIXIE.replace("Debian GNU/Linux 13 (trixie)", "Ubuntu 24.04.3 LTS").replace('"13"', '"24.04"')
NOBLE = NOBLE.replace("ID=debian", "ID=ubuntu") + "release ID_LIKE=debian\n"
BOOKWORM = TRIXIE.replace("13 (trixie)", "12 (bookworm)").replace('"13"', '"12"').replace("257", "252 (252.39-1)")


def said(text: str) -> Answer:
    """Return an answer with this text."""
    return Answer(0, text.encode(), 0.1)


@pytest.mark.parametrize(
    ("text", "untried"),
    [(TRIXIE, []), (NOBLE, []), (BOOKWORM, ["bookworm"]), (TRIXIE.replace("x86_64", "riscv64"), ["riscv64"])],
)
def test_debian_and_ubuntu_can_be_managed(text: str, untried: list[str]) -> None:
    """A machine of the family is taken, and what was not tried about it is said."""
    found = platform(said(text))
    assert obstacle(found) is None
    notes = reservations(found)
    assert len(notes) == len(untried)
    assert all(word in note for word, note in zip(untried, notes, strict=True))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (TRIXIE.replace("uid 0", "uid 1000"), "root"),
        (TRIXIE.replace("init systemd", "init zinit"), "zinit"),
        (TRIXIE.replace("init systemd", "init bash"), "bash"),
        (TRIXIE.replace("systemd 257", "systemd 249 (249.11-0ubuntu3)"), "systemd 249"),
        (TRIXIE.replace("systemd 257", "systemd "), "systemd"),
        (TRIXIE.replace("ID=debian", "ID=alpine").replace("Debian GNU/Linux 13 (trixie)", "Alpine"), "Alpine"),
        ("", "root"),
    ],
)
def test_what_cannot_be_managed_is_refused_with_the_reason(text: str, word: str) -> None:
    """Each obstacle is named, with what would help."""
    found = obstacle(platform(said(text)))
    assert found is not None
    assert word in found[0]
    assert found[1]


def test_what_a_machine_says_is_neutralised() -> None:
    """A name with control characters or without end is made harmless."""
    found = platform(said(f'uid 0\nrelease PRETTY_NAME="evil\x1b[2J{"x" * 5000}"\n'))
    assert found.title.isprintable()
    assert len(found.title) < 200


@pytest.mark.parametrize("answer", [None, Answer(124, b"", 10.0)])
def test_no_answer_is_an_error(answer: Answer | None) -> None:
    """A machine that does not say what it is, is not judged."""
    with pytest.raises(BadReply):
        platform(answer)


def test_question_is_answered_by_a_real_machine() -> None:
    """This machine, asked by a real shell, says something of everything."""
    script = composed((QUESTION,), "marker", 10)
    ended = subprocess.run(["sh"], input=script.encode(), capture_output=True, check=True)
    found = platform(answers(ended.stdout, (QUESTION,), "marker")["platform"])
    assert found.uid.isdigit()
    assert found.init
    assert found.machine
    assert found.system
