"""What comes from a slice is data: here it becomes text that is safe to show, store and compare."""

import unicodedata
from collections.abc import Iterable
from typing import Final

from tfheal.base.secret import masked

DETAIL_CAP: Final = 2_000
_ONE_BYTE: Final = 0xFF
_PIECE: Final = 1 << 16  # characters
_KEPT: Final = frozenset("\n\t")
# Control, format (bidi overrides, zero-width), surrogate, private use and unassigned code points, line separators.
_NEUTRALISED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def text(data: bytes | str, cap: int = DETAIL_CAP, hidden: Iterable[str] = ()) -> str:
    """Given foreign bytes or text, return at most `cap` characters in which no control or bidi character is left.

    Values in `hidden` are masked first, while they are still whole.
    """
    raw = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    safe = _neutralised(masked(raw, hidden)[: cap + 1], cap)
    return safe if len(safe) <= cap else safe[: max(0, cap - 1)] + "…"


def line(data: bytes | str, cap: int = DETAIL_CAP, hidden: Iterable[str] = ()) -> str:
    """Given foreign bytes or text, return it as `text` does and on one line."""
    return " ".join(text(data, cap, hidden).split())


class _Shown(dict[int, int | str]):
    """A table for `str.translate` that looks at each character once, however often it comes."""

    def __missing__(self, code: int) -> int | str:
        character = chr(code)
        kept = character in _KEPT or unicodedata.category(character) not in _NEUTRALISED
        number = f"\\x{code:02x}" if code <= _ONE_BYTE else f"\\u{code:04x}"
        return self.setdefault(code, code if kept else number)


def _neutralised(raw: str, cap: int) -> str:
    """Return the text with its numbers for what could mislead, as far as it is needed: none becomes shorter by that."""
    if raw.isascii() and raw.isprintable():
        return raw
    shown = _Shown()
    pieces: list[str] = []
    length = 0
    for start in range(0, len(raw), _PIECE):
        pieces.append(raw[start : start + _PIECE].translate(shown))
        length += len(pieces[-1])
        if length > cap:
            break
    return "".join(pieces)
