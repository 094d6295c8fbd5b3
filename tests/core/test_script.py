"""Many questions in one script: a real shell answers them, a cut script does nothing, and no reply breaks the parser."""

import base64
import os
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shells import MARKER, SHELLS, ran

from tfheal.base import sh
from tfheal.base.errors import BadReply
from tfheal.core.probe.script import Answer, Question, answers, composed, whole

QUESTIONS = (Question("first", "echo one"), Question("second", "echo two; exit 3"))


def asked(*questions: Question, budget: float = 30.0, shell: tuple[str, ...] = SHELLS[0]) -> dict[str, Answer | None]:
    """Ask a real shell."""
    return answers(ran(composed(questions, MARKER, budget), shell).stdout, questions, MARKER)


def line(index: int, output: bytes = b"", status: int = 0, *, marker: str = MARKER) -> bytes:
    """Return one line of a reply."""
    return b"%s %d %s %d 10.00 10.50\n" % (marker.encode(), index, base64.b64encode(output), status)


WHOLE = line(0, b"one\n") + line(1, b"two\n", 3) + f"{MARKER} end\n".encode()


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: str(shell[0]))
def test_every_question_has_its_answer(shell: tuple[str, ...]) -> None:
    """Status, output of both streams and time come back by name, whatever the question holds."""
    odd = r"""printf '%s\n' "it's \$(odd)" 'a}b' >&2; cat; printf 'x\000y'; exit 7"""
    told = asked(Question("odd", odd), *QUESTIONS, shell=shell)
    assert told["odd"] is not None
    assert (told["odd"].status, told["odd"].output) == (7, b"it's $(odd)\na}b\nx\0y")
    assert told["first"] is not None
    assert (told["first"].status, told["first"].output) == (0, b"one\n")
    assert told["second"] is not None
    assert told["second"].status == 3


def test_a_question_sees_nothing_of_the_others() -> None:
    """Each has a shell of its own, so a mistake in one, an exit or a variable is nobody else's."""
    broken = Question("broken", "echo a; if")
    told = asked(broken, Question("leaves", "leak=yes; cd /; exit 9"), Question("sees", 'echo "$leak"; pwd'))
    assert told["broken"] is not None
    assert told["broken"].status == 2
    assert told["sees"] is not None
    assert told["sees"].output == f"\n{Path.cwd()}\n".encode()


def test_a_script_cut_at_any_byte_does_nothing(tmp_path: Path) -> None:
    """What arrives of a script that did not arrive whole runs no question and says nothing."""
    trace = tmp_path / "ran"
    script = composed((Question("touch", f": >{trace}"),), MARKER, 5).encode()
    for length in range(len(script) - 1):  # the last byte is the line break behind the last word
        assert ran(script[:length]).stdout == b"", length
        assert not trace.exists(), length
    assert ran(script).stdout.endswith(b" end\n")
    assert trace.exists()


def test_a_question_cut_at_any_byte_does_nothing_by_itself(tmp_path: Path) -> None:
    """The shell of one question gets its text through a pipe: half of it does nothing either."""
    trace = tmp_path / "ran"
    text = whole(f": >{trace}").encode()
    call = text.rindex(b"_tfheal_part")
    for length in range(call + len(b"_tfheal_part")):
        ran(text[:length])
        assert not trace.exists(), length


def test_a_question_ends_at_its_time_out() -> None:
    """One that sleeps is ended with its children, and the next is asked."""
    begun = time.monotonic()
    told = asked(Question("sleeps", "sleep 97 & sleep 98", timeout=0.5), *QUESTIONS)
    assert told["sleeps"] is not None
    assert told["sleeps"].timed_out
    assert told["first"] is not None
    assert time.monotonic() - begun < 5


def test_what_a_question_leaves_behind_is_not_waited_for_long() -> None:
    """A child that went into a session of its own and holds the output open costs a few seconds, not the round."""
    begun = time.monotonic()
    told = asked(Question("leaves", "echo said; setsid sleep 6 & exit 4", timeout=0.5), *QUESTIONS)
    assert told["leaves"] is not None
    assert (told["leaves"].status, told["leaves"].output) == (4, b"said\n")
    assert time.monotonic() - begun < 5.5


def test_a_time_out_of_nothing_is_not_forever() -> None:
    """`timeout 0` would mean none at all."""
    told = asked(Question("never", "sleep 5", timeout=0.0))
    assert told["never"] is not None
    assert told["never"].timed_out


def test_the_budget_holds_for_all_together() -> None:
    """What it cuts short or leaves no time for was not asked, and so has no answer; its own time-out is an answer."""
    slow = Question("cut", "sleep 60", timeout=50.0)
    own = Question("own", "sleep 60", timeout=0.2)
    told = asked(own, slow, *QUESTIONS, budget=1.0)
    assert told["own"] is not None
    assert told["own"].timed_out
    assert (told["cut"], told["first"], told["second"]) == (None, None, None)


def test_an_answer_without_end_is_capped() -> None:
    """It is cut at its cap where it is made, and costs no more than that."""
    told = asked(Question("endless", "yes", timeout=5.0, cap=1000), *QUESTIONS)
    assert told["endless"] is not None
    assert told["endless"].output == b"y\n" * 500
    assert not told["endless"].timed_out


def test_nothing_of_a_question_is_in_a_process_list() -> None:
    """Its text travels on stdin, so no other user of the machine reads it with ps."""
    secret = "hush" + "hush"
    look = "for file in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$file; done 2>/dev/null"
    told = asked(Question("looks", f": {secret}; {look}", cap=1 << 20))
    assert told["looks"] is not None
    assert secret.encode() not in told["looks"].output


def test_the_environment_of_the_login_does_not_matter() -> None:
    """Neither a path, nor a locale, nor a variable of our own names changes an answer."""
    script = composed((Question("locale", 'echo "$LC_ALL $(command -v ls)"'),), MARKER, 5)
    hostile = {"PATH": "/nonexistent", "LC_ALL": "tr_TR.UTF-8", "ENV": "/dev/stdin", "limit": "1", "patience": "0"}
    shell = [os.path.realpath(f"/bin/{SHELLS[0][0]}"), *SHELLS[0][1:]]
    told = subprocess.run(shell, input=script.encode(), capture_output=True, check=True, env=hostile)
    found = answers(told.stdout, (Question("locale", ""),), MARKER)["locale"]
    assert found is not None
    assert found.output.startswith(b"C /")


def test_a_reply_is_read_between_noise() -> None:
    """A banner without a line break, a message of the day and lines of another run are passed over."""
    noise = b"Welcome!\n" + line(0, b"forged", marker="another") + b"bye"
    told = answers(noise + b"\n" + WHOLE + noise, QUESTIONS, MARKER)
    assert told["first"] == Answer(0, b"one\n", 0.5)
    assert told["second"] == Answer(3, b"two\n", 0.5)
    script = composed(QUESTIONS, MARKER, 5)
    assert len(answers(ran("printf banner\n" + script).stdout, QUESTIONS, MARKER)) == 2


def test_secrets_are_masked_in_every_answer() -> None:
    """Whatever a slice says anywhere, it does not hand on a secret; the longest is masked first, short ones are not."""
    reply = line(0, b"state hush-hush hush-hush-hush 42\n") + line(1) + f"{MARKER} end\n".encode()
    told = answers(reply, QUESTIONS, MARKER, ["hush-hush", "hush-hush-hush", "42", ""])["first"]
    assert told is not None
    assert told.output == b"state *** *** 42\n"


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        WHOLE[:-5],
        line(0) + f"{MARKER} end\n".encode(),
        WHOLE.replace(b"0 b25l", b"0 b25", 1),
        WHOLE.replace(b" 10.50", b" 10.5", 1),
        line(0, b"again") + WHOLE,
        f"{MARKER} 0 skipped\n".encode() + WHOLE,
        line(2, b"not asked") + WHOLE,
        f"{MARKER} 99999999999 skipped\n".encode() + WHOLE,
        f"{MARKER} owned\n".encode() + WHOLE,
        WHOLE.replace(b"\n", b"\r\n"),
        WHOLE.replace(MARKER.encode(), b"f" * 16),
    ],
    ids=[
        *("empty", "without its end", "one missing", "no base64", "no time", "answered twice", "skipped and answered"),
        *("not asked", "a huge number", "unknown words", "carriage returns", "another marker"),
    ],
)
def test_a_reply_that_is_not_one_is_refused(reply: bytes) -> None:
    """It is a bad reply as a whole: no part of it is believed."""
    with pytest.raises(BadReply):
        answers(reply, QUESTIONS, MARKER)


@given(
    reply=st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.builds(lambda tail: f"{MARKER} ".encode() + tail, st.binary(max_size=40)),
            st.sampled_from(
                [*WHOLE.splitlines(), f"{MARKER} 0 skipped".encode(), f"{MARKER} 1 YQ== cut 1.00 2.00".encode()]
            ),
        ),
        max_size=8,
    ).map(b"\n".join)
)
@settings(max_examples=300, deadline=None)
def test_any_reply_is_answers_or_a_bad_reply(reply: bytes) -> None:
    """Whatever a slice sends, nothing else comes out of the parser."""
    try:
        told = answers(reply, QUESTIONS, MARKER)
    except BadReply:
        return
    assert set(told) == {"first", "second"}


@given(text=st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=60))
@settings(max_examples=40, deadline=None)
def test_any_text_reaches_the_shell_of_its_question(text: str) -> None:
    """Quoted twice on its way, it comes back as it was."""
    told = asked(Question("echo", f"printf %s {sh.quote(text)}"))
    assert told["echo"] is not None
    assert told["echo"].output == text.encode()
