"""The owner's charter, as it is written on a slice."""

from collections.abc import Iterable
from typing import Final

from tfheal.base import sh, untrusted
from tfheal.core.probe.script import Answer, Question
from tfheal.model import paths
from tfheal.model.facts import Fact, Known, Unknown

UNREAD: Final = "?"  # stands for a text that did not arrive: it is no charter, so whoever reads it does nothing
LINE: Final = f'[ ! -e {paths.CHARTER} ] || echo "charter $(head -c 16384 {paths.CHARTER} | base64 -w 0)"\n'
QUESTION: Final = Question("charter", f"{LINE}echo read", timeout=5.0, cap=32_768)


def charter(answer: Answer | None) -> Fact[str]:
    """Given the answer of a slice, return the text of its charter, empty if it has none."""
    if answer is None or answer.timed_out:
        return Unknown("the slice did not answer in time")
    lines = untrusted.text(answer.output, QUESTION.cap).splitlines()
    return Known(written(lines)) if "read" in lines else Unknown("its charter could not be read")


def written(lines: Iterable[str]) -> str:
    """Given lines that a slice said, return the text of the charter among them, empty if it has none."""
    packed = next((line.removeprefix("charter ") for line in lines if line.startswith("charter ")), "")
    found = sh.unencoded(packed.encode("ascii", "replace"))
    return UNREAD if found is None else found.decode("utf-8", "replace")
