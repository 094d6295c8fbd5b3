"""What comes from a slice is data: here it becomes text that is safe to show, store and compare."""

import unicodedata
from collections.abc import Iterable
from typing import Final

from tfheal.base.secret import masked

DETAIL_CAP: Final = 2_000
_ONE_BYTE: Final = 0xFF
_KEPT: Final = frozenset("\n\t")
# Control, format (bidi overrides, zero-width), surrogate, private use and unassigned code points, line separators.
_NEUTRALISED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def text(data: bytes | str, cap: int = DETAIL_CAP, hidden: Iterable[str] = ()) -> str:
    """Given foreign bytes or text, return at most `cap` characters in which no control or bidi character is left.

    Values in `hidden` are masked first, while they are still whole.
    """
    raw = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    cut = masked(raw, hidden)[: cap + 1]
    safe = "".join(_visible(character) for character in cut)
    return safe if len(safe) <= cap else safe[: max(0, cap - 1)] + "…"


def line(data: bytes | str, cap: int = DETAIL_CAP, hidden: Iterable[str] = ()) -> str:
    """Given foreign bytes or text, return it as `text` does and on one line."""
    return " ".join(text(data, cap, hidden).split())


def _visible(character: str) -> str:
    if character in _KEPT or unicodedata.category(character) not in _NEUTRALISED:
        return character
    return f"\\x{ord(character):02x}" if ord(character) <= _ONE_BYTE else f"\\u{ord(character):04x}"
