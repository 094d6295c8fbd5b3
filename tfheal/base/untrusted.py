"""What comes from a slice is data: here it becomes text that is safe to show, and numbers that can be reckoned with."""

import json
import math
import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from tfheal.base.secret import masked

DETAIL_CAP: Final = 2_000
MOST: Final = 1 << 60  # bytes, files, whatever can be counted: a database stores it, and so do sums of it
CENTURY: Final = 36_525 * 86_400  # seconds: no machine is up for longer, and nothing waits for longer
LATEST: Final = 253_402_300_799  # seconds since 1970: with the year 9999 end the times that there are
LOG_FOLLOWS: Final = "; its last lines:"  # how a script on a slice announces lines of a log
_ONE_BYTE: Final = 0xFF
_MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_PIECE: Final = 1 << 16  # characters
_FRACTION: Final = 10**9 - 1  # of a second: finer than nanoseconds nobody tells
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


def brief(told: str) -> str:
    """Given what was told of a failure, return its first line, without the announcement of the log lines that follow."""
    return (told.strip().splitlines() or [""])[0].removesuffix(LOG_FOLLOWS)


def whole(said: str | None, most: int = MOST) -> int | None:
    """Given foreign text, return the whole number that it is, None if it is none, or more than `most`."""
    # Its length comes first: Python refuses to read thousands of digits, by an error of its own.
    if not said or len(said) > len(str(most)) or not (said.isascii() and said.isdecimal()):
        return None
    number = int(said)
    return number if number <= most else None


def decimal(said: str | None, most: int = MOST) -> float | None:
    """Given foreign text, return the number with or without a fraction that it is, None if it is none, or more than `most`."""
    head, dot, tail = (said or "").partition(".")
    fraction = whole(tail, _FRACTION) if dot else 0
    return None if whole(head, most) is None or fraction is None else min(float(most), float(f"{head}.{tail or 0}"))


def from_json(said: str) -> Any:  # noqa: ANN401 (foreign JSON may be anything)
    """Given foreign JSON, return what it says: None if it is none, and in place of each number that nobody can reckon with."""
    try:
        return json.loads(said, parse_int=whole, parse_float=_finite, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None


def _finite(said: str) -> float | None:
    number = float(said)
    return number if math.isfinite(number) else None


def moment(said: str) -> datetime | None:
    """Given foreign text, return the time that it is, written as `2026-01-31T12:00:00Z`, None if it is none."""
    try:
        return datetime.fromisoformat(said) if _MOMENT.fullmatch(said) else None
    except (ValueError, OverflowError):
        return None


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
