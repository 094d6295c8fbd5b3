"""YAML with positions, and less of it: no aliases, tags or second documents; plain words as YAML 1.2 reads them.

So `no`, `off` and `on` are words (not false and true), `1.10` as a key stays `1.10`, and a key written twice is a
mistake instead of a silent loss.
"""

import math
import re
from collections.abc import Iterator
from typing import Final

import yaml

from tfheal.base.errors import ConfigError, Mistake
from tfheal.model.document import Document, Key, Spot, written_key

MAX_DEPTH: Final = 40
_DEEP: Final = f"is nested more than {MAX_DEPTH} levels deep"
MAX_VALUES: Final = 100_000
_LARGEST: Final = 2**63
_BLOCK_STYLES: Final = frozenset("|>")
_WORDS: Final[dict[str, object]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_WHOLE: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FRACTION: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_TAB_FIRST: Final = re.compile(r"[ ]*\t")
_QUOTED: Final = 'write it as "{{ … }}"'
_UNCLOSED: Final = ("',' or", "end of stream")
_EXPLAINED: Final = (
    ("tab character", "a tab: YAML is indented with spaces"),
    ("mapping values", "a `:` where no key can be: check the indentation, or put the value in quotes"),
    ("end of stream", "a quote or bracket that is never closed"),
    ("',' or", "a list or table in brackets that is never closed"),
    ("block end", "a line whose indentation fits no line above it"),
    ("expected key", "a line whose indentation fits no line above it, or that is no `key: value`"),
    ("'-' indicator", "a line whose indentation fits no line above it"),
    ("expected ':'", "a line that is no `key: value`"),
    ("escape character", "an unknown escape in a text with double quotes: write the backslash twice"),
    ("node content", "a bracket or sign where a value is expected"),
)


Place = tuple[int, int]


def parse_yaml(file: str, text: str) -> Document:
    """Given YAML, return its data with positions; raise ConfigError with everything in it that is not allowed."""
    reader = _Reader(file)
    try:
        data = reader.read(text)
    except yaml.MarkedYAMLError as error:
        problem = error.problem or ""
        unclosed = error.context_mark is not None and any(sign in problem for sign in _UNCLOSED)
        place = _place(error.context_mark if unclosed else error.problem_mark or error.context_mark)
        if "nesting depth" in problem:  # libyaml reads ahead of what we count, and has a limit of its own
            raise ConfigError((Mistake(file, place[0], 1, "", _DEEP),)) from None
        if not any(mistake.hint == _QUOTED for mistake in reader.mistakes):  # then this is only what follows from it
            reader.add(place, (), f"is not valid YAML: {_explained(text, place, problem)}")
    except yaml.YAMLError:
        reader.mistakes.append(Mistake(file, 1, 1, "", "is not valid YAML"))
    except _TooMuch as error:
        reader.mistakes.append(Mistake(file, error.line, 1, "", str(error)))
    if reader.mistakes:
        raise ConfigError(tuple(reader.mistakes))
    return Document(file, data, reader.spots)


class _TooMuch(Exception):
    """The text is deeper or larger than any file of ours; reading on would only cost time."""

    def __init__(self, what: str, event: yaml.Event) -> None:
        super().__init__(what)
        self.line = _place(event.start_mark)[0]


class _Reader:
    """Builds data from the events of a YAML text, and notes where each key stands."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._events: Iterator[yaml.Event] = iter(())
        self._count = 0
        self._lines: list[str] = []
        self.spots: dict[Key, Spot] = {}
        self.mistakes: list[Mistake] = []

    def read(self, text: str) -> object:
        """Return the data of the first document; a second one is a mistake."""
        self._lines = text.split("\n")
        self._events = iter(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
        data: object = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.add(_place(event.start_mark), (), "holds a second document (`---`); one file is one document")
                    return data
                data = self._value(self._next(), ())
        return data

    def add(self, place: Place, key: Key, what: str, hint: str = "") -> None:
        """Note a mistake."""
        self.mistakes.append(Mistake(self._file, *place, written_key(key), what, hint))

    def _next(self) -> yaml.Event:
        event = next(self._events)
        self._count += 1
        if self._count > MAX_VALUES:
            what = f"holds more than {MAX_VALUES} values"
            raise _TooMuch(what, event)
        return event

    def _value(self, event: yaml.Event, key: Key) -> object:
        if len(key) > MAX_DEPTH:
            raise _TooMuch(_DEEP, event)
        place = _place(event.start_mark)
        anchor = getattr(event, "anchor", None)
        if isinstance(event, yaml.AliasEvent):
            self.add(place, key, f"`*{anchor}` refers to another place", "write the value itself here")
            return None
        if anchor:
            self.add(place, key, f"`&{anchor}` is an anchor; anchors are not used in these files")
        if getattr(event, "tag", None) is not None:
            self.add(place, key, "`!` tags are not used in these files")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, key)
        return self._list(key) if isinstance(event, yaml.SequenceStartEvent) else self._table(key)

    def _list(self, key: Key) -> list[object]:
        items: list[object] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            item = (*key, len(items))
            self._note(item, event)
            items.append(self._value(event, item))
        return items

    def _table(self, key: Key) -> dict[str, object]:
        table: dict[str, object] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._complex_key(event, key)
                self._value(self._next(), (*key, "?"))
                continue
            inner = (*key, event.value)
            if event.value in table:
                first = self.spots[inner].line
                self.add(
                    _place(event.start_mark), inner, f"is written twice, first on line {first}", "keep one of them"
                )
            else:
                self._note(inner, event)
            table[event.value] = self._value(self._next(), inner)
        return table

    def _complex_key(self, event: yaml.Event, key: Key) -> None:
        line, column = place = _place(event.start_mark)
        if self._lines[line - 1][max(column - 2, 0) :].startswith("{{"):
            self.add(place, key, "a value that begins with `{{` needs quotes", _QUOTED)
        else:
            self.add(place, key, "a key is a plain word, not a list or a table")
        self._value(event, (*key, "?"))

    def _note(self, key: Key, event: yaml.Event) -> None:
        line, column = _place(event.start_mark)
        self.spots[key] = Spot(line, column, line)

    def _scalar(self, event: yaml.ScalarEvent, key: Key) -> object:
        block = event.style in _BLOCK_STYLES if event.style else False
        plain = event.style in {None, ""} and event.implicit[0]
        line, column = _place(event.start_mark)
        spot = self.spots.get(key, Spot(line, column))
        self.spots[key] = Spot(spot.line, spot.column, line + block, event.value if plain else "")
        return self._plain(event, key) if plain else event.value

    def _plain(self, event: yaml.ScalarEvent, key: Key) -> object:
        word = event.value
        if word in _WORDS:
            return _WORDS[word]
        if _NOT_FINITE.fullmatch(word):
            self.add(_place(event.start_mark), key, f"is {word}, which is no number to work with")
        elif _WHOLE.fullmatch(word):
            return self._number(event, key)
        elif _FRACTION.fullmatch(word):
            number = float(word)
            if math.isfinite(number):
                return number
            self.add(_place(event.start_mark), key, "is a number that is too large")
        return word

    def _number(self, event: yaml.ScalarEvent, key: Key) -> int:
        word = event.value
        base = {"0o": 8, "0x": 16}.get(word[:2], 10)
        number = int(word, base) if len(word) <= len(str(_LARGEST)) + 1 else _LARGEST
        if abs(number) >= _LARGEST:
            self.add(_place(event.start_mark), key, "is a number that is too large")
            return 0
        return number


def _place(mark: object) -> Place:
    """Given a mark of either parser, which count from 0, return line and column, which count from 1."""
    return getattr(mark, "line", 0) + 1, getattr(mark, "column", 0) + 1


def _explained(text: str, place: Place, problem: str) -> str:
    lines = [*text.split("\n"), ""]
    line, column = lines[place[0] - 1], place[1]
    if any(_TAB_FIRST.match(near) for near in lines[max(place[0] - 2, 0) : place[0]]):
        return "a tab: YAML is indented with spaces"
    if re.search(r"[:-] +\{\{", line):
        return f"a value that begins with `{{{{` needs quotes; {_QUOTED}"
    if "cannot start any token" in problem:
        sign = line[column - 1 : column]
        return "a tab: write spaces" if sign == "\t" else f"a value cannot begin with `{sign}`; put it in quotes"
    return next((words for part, words in _EXPLAINED if part in problem), problem)
