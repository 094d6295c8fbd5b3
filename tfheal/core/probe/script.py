"""Many questions become one script, and its one reply becomes answers again.

The script is one function, called on its last line: cut anywhere before, the shell finds no end of the function or no
command of that name, and does nothing. Question texts travel on stdin of their own `sh`, so nothing of them is in a
process list. Each line of the reply carries the random marker of this run, so that no answer can forge another.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from tfheal.base import sh
from tfheal.base.errors import BadReply
from tfheal.base.secret import MASK

PRELUDE: Final = """\
LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
unset ENV
umask 022
"""
# `head` ends at the cap and the writer dies of SIGPIPE; fd 3 carries the exit status around it, fd 4 the answer. The
# question has neither, and `cat` has a time-out of its own: what a question leaves behind is waited for no longer.
# A question that is ended because the time for all of them is over has said nothing of itself: it is `cut`.
_ASK: Final = """\
ask() {
  read -r begun _ </proc/uptime
  left=$((limit - ${begun%.*})) patience=$2
  [ "$left" -gt 0 ] || { printf '%s %s skipped\\n' "$marker" "$1"; return; }
  [ "${2%.*}" -lt "$left" ] || patience=$left
  printf '%s %s ' "$marker" "$1"
  { status=$({ { printf %s "$4" | timeout -k 1 "$patience" sh 2>&1 3>&- 4>&-; echo "$?" >&3; } |
    timeout -k 1 "$((${patience%.*} + 3))" cat | head -c "$3" | base64 -w 0 >&4; } 3>&1); } 4>&1
  read -r ended _ </proc/uptime
  if [ "$patience" != "$2" ]; then case $status in 124|137) status=cut;; esac; fi
  printf ' %s %s %s\\n' "$status" "$begun" "$ended"
}
"""
ANSWER: Final = re.compile(rb"(\d{1,6}) ([A-Za-z0-9+/=]*) (\d{1,3}) (\d{1,12})\.(\d\d) (\d{1,12})\.(\d\d)")
_FRAME: Final = re.compile(rb"^(\S{1,64}) (.*)$", re.MULTILINE)  # of some run; the marker is compared, not compiled in
_SKIPPED: Final = re.compile(rb"(\d{1,6}) (?:skipped|[A-Za-z0-9+/=]* cut [0-9. ]{1,40})")
_TIMED_OUT: Final = frozenset({124, 137})
_HIDEABLE: Final = 6  # characters; the figures of a machine are not masked because somebody's secret is 42


@dataclass(frozen=True, slots=True)
class Question:
    """One question: a name, POSIX sh, and how long and how large its answer may be."""

    key: str
    script: str
    timeout: float = 5.0
    cap: int = 65_536


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: its exit status, what it printed, how long it took."""

    status: int
    output: bytes
    seconds: float

    @property
    def timed_out(self) -> bool:
        """Return whether the question outlived its time-out."""
        return self.status in _TIMED_OUT


def whole(text: str) -> str:
    """Given sh text, return it as text for the stdin of an `sh` that runs all of it or nothing, reading nothing."""
    return f"_tfheal_part() {{\n{text}\n}}\n_tfheal_part </dev/null\n"


def called_once(body: str, marker: str) -> str:
    """Given the body of a script, return the script as one function that its last line calls.

    Its commands read nothing; what is sent after the script is on descriptor 7, and is never taken for commands.
    """
    name = f"_tfheal_{marker}"
    return f"{name}() {{\n{name}_body() {{\n{body}}}\n{name}_body 7<&0 </dev/null\nexit\n}}\n{name}\n"


def duration(seconds: float) -> str:
    """Given seconds, return them as `timeout` and the arithmetic of sh want them; nothing is asked without an end."""
    return f"{max(0.01, seconds):.2f}"


def composed(questions: tuple[Question, ...], marker: str, budget: float) -> str:
    """Given questions, a random marker and the seconds for all of them, return the script that asks them in order.

    The budget holds for all together: a question that it leaves no time for, or cuts short, is answered as skipped.
    The reply is written in one piece, on lines of its own.
    """
    asked = "".join(
        f"ask {index} {duration(question.timeout)} {question.cap} {sh.quote(whole(question.script))}\n"
        for index, question in enumerate(questions)
    )
    body = (
        PRELUDE
        + f"marker={marker}\nread -r now _ </proc/uptime\nlimit=$((${{now%.*}} + {max(1, round(budget))}))\n"
        + _ASK
        + f"reply=$(\n{asked})\n"
        + 'printf \'\\n%s\\n%s end\\n\' "$reply" "$marker"\n'
    )
    return called_once(body, marker)


def answers(
    reply: bytes, questions: tuple[Question, ...], marker: str, hidden: Iterable[str] = ()
) -> dict[str, Answer | None]:
    """Given a reply, return the answers by question, None for a skipped one; raise BadReply if it is not whole.

    Lines without the marker are noise (a login banner, say) and are passed over. Values in `hidden` are masked.
    """
    values = sorted((value.encode() for value in hidden if len(value) >= _HIDEABLE), key=len, reverse=True)
    found: dict[str, Answer | None] = {}
    complete = False
    for rest in framed(reply, marker):
        if rest == b"end":
            complete = True
        elif match := _SKIPPED.fullmatch(rest):
            _put(found, questions, int(match[1]), None)
        elif match := ANSWER.fullmatch(rest):
            _put(found, questions, int(match[1]), _hushed(answer_of(match), values))
        else:
            raise BadReply("the reply does not parse", why="a line with our marker is not an answer")
    if not complete or len(found) != len(questions):
        raise BadReply("the reply is not whole", why=f"{len(found)} of {len(questions)} answers came")
    return found


def framed(reply: bytes, marker: str) -> Iterator[bytes]:
    """Given a reply and the marker of its run, yield what stands behind the marker, line by line.

    One after the other: millions of short lines, each an object of its own, would take a hundred times their size.
    """
    ours = marker.encode()
    for match in _FRAME.finditer(reply):
        if match[1] == ours:
            yield match[2]


def _put(found: dict[str, Answer | None], questions: tuple[Question, ...], index: int, answer: Answer | None) -> None:
    if index >= len(questions) or questions[index].key in found:
        raise BadReply("the reply answers what was not asked", why=f"answer number {index}")
    found[questions[index].key] = answer


def _hushed(answer: Answer, values: list[bytes]) -> Answer:
    output = answer.output
    for value in values:
        output = output.replace(value, MASK.encode())
    return replace(answer, output=output)


def answer_of(match: re.Match[bytes]) -> Answer:
    """Given a match of ANSWER, return the answer; raise BadReply if its text is not base64."""
    output = sh.unencoded(match[2])
    if output is None:
        raise BadReply("the reply does not parse", why="an answer is not base64")
    begun, ended = (int(match[index]) + int(match[index + 1]) / 100 for index in (4, 6))
    return Answer(status=int(match[3]), output=output, seconds=max(0.0, ended - begun))
