"""A file as it was written: its data, and where in it each key stands, so that a mistake can be pointed at."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tfheal.base import untrusted
from tfheal.base.errors import Mistake

T = TypeVar("T")
Key = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a key stands, where its text begins, and how its value was written if it is a scalar."""

    line: int
    column: int
    text_line: int = 0
    written: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """The data of a file with a spot for every key and every item of a list; counting from 1."""

    file: str
    data: object
    spots: Mapping[Key, Spot] = field(default_factory=dict)

    def spot(self, key: Key) -> Spot:
        """Given a key that may be missing, return the spot of it or of the nearest table around it."""
        for length in range(len(key), 0, -1):
            if key[:length] in self.spots:
                return self.spots[key[:length]]
        return Spot(1, 1)

    def mistake(self, key: Key, what: str, hint: str = "") -> Mistake:
        """Given what is wrong at a key, return the mistake with its place."""
        spot = self.spot(key)
        return Mistake(self.file, spot.line, spot.column, written_key(key), what, hint)


@dataclass(frozen=True, slots=True)
class Written(Generic[T]):
    """A valid part of a workspace, with the document that it was read from."""

    value: T
    document: Document


def written_key(key: Key) -> str:
    """Return a key as people write it: `place.web[0]`."""
    words = [f"[{part}]" if isinstance(part, int) else f".{_quoted(part)}" for part in key]
    return "".join(words).removeprefix(".")


def _quoted(word: str) -> str:
    return word if re.fullmatch(r"[A-Za-z0-9_-]+", word) else json.dumps(untrusted.line(word, 60), ensure_ascii=False)
