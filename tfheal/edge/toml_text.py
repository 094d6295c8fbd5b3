"""TOML with positions: the standard library reads it, and a small scanner finds where each key stands."""

import re
import tomllib
from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

from tfheal.base.errors import ConfigError, Mistake
from tfheal.model.document import Document, Key, Spot

MAX_DEPTH: Final = 40
_PLACE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_EXPLAINED: Final = (
    ("Cannot overwrite a value", "a key that is written twice"),
    ("Cannot declare", "a table that is written twice"),
    ("Cannot mutate", "a table that is written twice"),
    ("Cannot redefine", "a table that is written twice"),
    ("Duplicate inline", "a key that is written twice"),
    ("Invalid value", "a value that is none; text needs quotes"),
    ("Invalid statement", "a line that is no `key = value`"),
    ("Expected newline or end of document", "more than one value on a line; text needs quotes"),
    ("Unescaped '\\'", "a backslash in double quotes; write it twice, or use single quotes"),
    ("Illegal character '\\n'", "a text that is not closed on its line"),
    ("Unterminated string", "a text that is never closed"),
    ("Unclosed array", "a list that is never closed"),
)
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_SPACE: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BLANKS: Final = re.compile(r"[ \t]*")
_COMMENT: Final = re.compile(r"[^\n]*")
_STRING: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|' r"'''.*?'{3,5}|" r'"(?:\\.|[^"\\])*"|' r"'[^']*'",
    re.DOTALL,
)
_PLAIN: Final = re.compile(r"[^,\]}#\r\n]+")
_MULTILINE_QUOTE: Final = 3


@dataclass(frozen=True, slots=True)
class Statement:
    """One header or one `key = value`: its full key, its lines from `line` up to and without `end`, its comment."""

    key: Key
    header: bool
    line: int
    end: int
    comment: str


def parse_toml(file: str, text: str) -> Document:
    """Given TOML, return its data with positions; raise ConfigError with the first thing that is not TOML."""
    try:
        data = tomllib.loads(text)
        spots = _Scanner(text).run()[0]
    except tomllib.TOMLDecodeError as error:
        raise ConfigError((_syntax_mistake(file, text, str(error)),)) from error
    except RecursionError as error:
        raise ConfigError((Mistake(file, 1, 1, "", "is nested too deeply"),)) from error
    except ValueError as error:
        raise ConfigError((Mistake(file, 1, 1, "", "holds a number that is too large"),)) from error
    if deep := next((spot for key, spot in spots.items() if len(key) > MAX_DEPTH), None):
        raise ConfigError((Mistake(file, deep.line, deep.column, "", f"is nested more than {MAX_DEPTH} levels deep"),))
    return Document(file, data, spots)


def statements(text: str) -> list[Statement]:
    """Given text that is valid TOML, return its headers and key lines in order."""
    return _Scanner(text).run()[1]


def _syntax_mistake(file: str, text: str, message: str) -> Mistake:
    place = _PLACE.search(message)
    last = text.count("\n") + 1
    line, column = (int(place[1]), int(place[2])) if place and place[1] else (last, 1)
    said = message[: place.start()] if place else message
    words = next((words for part, words in _EXPLAINED if said.startswith(part)), said[:1].lower() + said[1:])
    return Mistake(file, line, column, "", f"is not valid TOML: {words}")


class _Scanner:
    """Walks over valid TOML once; it need not find mistakes, because there are none."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._spots: dict[Key, Spot] = {}
        self._statements: list[Statement] = []
        self._arrays: dict[Key, int] = {}

    def run(self) -> tuple[dict[Key, Spot], list[Statement]]:
        """Return the spot of every key, and the statements."""
        table: Key = ()
        self._skip(_SPACE)
        while self._at < len(self._text):
            start = self._at
            header = self._text[start] == "["
            key = table = self._header() if header else table
            if not header:
                key = self._pair(table)
            line, end = self._line(start), self._line(self._at) + 1
            comment = self._take(_COMMENT).strip()
            self._statements.append(Statement(key, header, line, end, comment))
            self._skip(_SPACE)
        return self._spots, self._statements

    def _header(self) -> Key:
        array = self._text.startswith("[[", self._at)
        self._at += 2 if array else 1
        parts = self._key_parts()
        self._at += 2 if array else 1
        key: Key = ()
        for position, (part, at) in enumerate(parts):
            key = (*key, part)
            self._note(key, at)
            if array and position == len(parts) - 1:
                self._arrays[key] = self._arrays.get(key, -1) + 1
            if key in self._arrays:
                key = (*key, self._arrays[key])
                self._note(key, at)
        return key

    def _pair(self, table: Key) -> Key:
        key = table
        for part, at in self._key_parts():
            key = (*key, part)
            self._note(key, at)
        self._at += 1
        self._skip(_BLANKS)
        self._value(key)
        return key

    def _key_parts(self) -> list[tuple[str, int]]:
        parts = []
        while True:
            self._skip(_BLANKS)
            at = self._at
            if self._text[at] in "\"'":
                word = self._take(_STRING)
                parts.append((str(tomllib.loads(f"x = {word}")["x"]), at))
            else:
                parts.append((self._take(_BARE_KEY), at))
            self._skip(_BLANKS)
            if self._text[self._at] != ".":
                return parts
            self._at += 1

    def _value(self, key: Key) -> None:
        match self._text[self._at]:
            case "[":
                self._array(key)
            case "{":
                self._inline_table(key)
            case '"' | "'":
                at = self._at
                self._written(key, at, self._take(_STRING))
            case _:
                at = self._at
                self._written(key, at, self._take(_PLAIN).rstrip())

    def _array(self, key: Key) -> None:
        index = 0
        self._at += 1
        while self._next_is_not("]"):
            item = (*key, index)
            self._note(item, self._at)
            self._value(item)
            index += 1

    def _inline_table(self, key: Key) -> None:
        self._at += 1
        while self._next_is_not("}"):
            self._pair(key)

    def _next_is_not(self, end: str) -> bool:
        """Skip to the next item of an array or inline table; return False once its end has been passed."""
        self._skip(_SPACE)
        if self._text[self._at] == ",":
            self._at += 1
            self._skip(_SPACE)
        if self._text[self._at] == end:
            self._at += 1
            return False
        return True

    def _note(self, key: Key, at: int) -> None:
        if key not in self._spots:
            line = self._line(at)
            self._spots[key] = Spot(line, at - self._line_starts[line - 1] + 1, line)

    def _written(self, key: Key, at: int, text: str) -> None:
        spot = self._spots[key]
        later = (
            1 if text[:_MULTILINE_QUOTE] in {'"""', "'''"} and text[_MULTILINE_QUOTE:].startswith(("\n", "\r")) else 0
        )
        self._spots[key] = Spot(spot.line, spot.column, self._line(at) + later, text)

    def _line(self, at: int) -> int:
        return bisect_right(self._line_starts, at)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            msg = f"cannot follow TOML that the standard library accepted, at character {self._at}"
            raise AssertionError(msg)
        self._at = match.end()
        return match[0]
