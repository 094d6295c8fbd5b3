"""What the schema library refuses becomes a mistake in our words: which key, what was found, what is allowed."""

import difflib
import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tfheal.base.errors import ConfigError, Mistake
from tfheal.base.untrusted import line
from tfheal.core import schema
from tfheal.model.document import Document, Key

M = TypeVar("M", bound=BaseModel)
_SHOWN: Final = 60
_LIST_OF_KEYS: Final = 12
_OFTEN_MEANT: Final = {
    **dict.fromkeys(("yes", "on", "true", "y"), "true"),
    **dict.fromkeys(("no", "off", "false", "n"), "false"),
}
_LIMITS: Final = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def checked(model: type[M], file: str, document: Document) -> M:
    """Given a document and the model of its kind of file, return the model; raise ConfigError with all mistakes.

    `file` names the schema: app, playbook, inventory or workspace.
    """
    if document.data is None:
        raise ConfigError((document.mistake((), "is empty", f"`tfheal explain {file}` shows what belongs in it"),))
    if odd := list(_odd_values(document, document.data, ())):
        raise ConfigError(tuple(odd))
    try:
        # As JSON, because only there a list may become a tuple while "22" may not become a number.
        return model.model_validate_json(json.dumps(document.data), strict=True)
    except ValidationError as error:
        raise ConfigError(_all_mistakes(schema.schema(file), document, error.errors())) from error


def nearest(word: str, known: Iterable[str], otherwise: str = "known are") -> str:
    """Given a word and the right ones, return a hint: the nearest one, or else (after `otherwise`) the first of them."""
    right = sorted(dict.fromkeys(known))
    close = difflib.get_close_matches(word, right, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    if not right or not otherwise:
        return ""
    more = f", … ({len(right)} in all)" if len(right) > _LIST_OF_KEYS else ""
    return f"{otherwise} {', '.join(right[:_LIST_OF_KEYS])}{more}"


def _odd_values(document: Document, data: object, key: Key) -> Iterable[Mistake]:
    """Return a mistake for each value that no file of ours holds: dates and numbers that are none."""
    if isinstance(data, dict):
        for name, inner in data.items():
            yield from _odd_values(document, inner, (*key, str(name)))
    elif isinstance(data, list):
        for index, inner in enumerate(data):
            yield from _odd_values(document, inner, (*key, index))
    elif isinstance(data, float) and not abs(data) < float("inf"):
        yield document.mistake(key, f"is {document.spot(key).written or data}, which is no number to work with")
    elif isinstance(data, int) and abs(data) >= 1 << 63:
        yield document.mistake(key, "is a number that is too large")
    elif not isinstance(data, (str, int, float, type(None))):
        yield document.mistake(key, "is a date or time, which these files do not use", "put it in quotes")


def _all_mistakes(root: schema.Node, document: Document, errors: Sequence[ErrorDetails]) -> tuple[Mistake, ...]:
    """Return one mistake for each key; a key that fits no alternative of several has one error for each of them."""
    mistakes: dict[tuple[Key, bool], Mistake] = {}
    for error in errors:
        key = _key(document.data, error)
        place = (key, error["type"] == "missing")
        if place not in mistakes and not _is_echo(error):
            mistakes[place] = _mistake(root, document, key, error)
    return tuple(sorted(mistakes.values(), key=lambda mistake: (mistake.line, mistake.column)))


def _is_echo(error: ErrorDetails) -> bool:
    """Return whether a list is called too short only because its items were refused."""
    length = len(error["input"]) if isinstance(error["input"], (list, dict)) else 0
    return error["type"] == "too_short" and length >= error.get("ctx", {}).get("min_length", 0)


def _key(data: object, error: ErrorDetails) -> Key:
    """Return where the error is in the data: its location without the names of alternatives that pydantic puts in."""
    key: Key = ()
    kind_named = False
    for part in error["loc"]:
        if not kind_named and _names_kind(data, key, part):
            kind_named = True
        elif _has(data, part):
            key, data, kind_named = (*key, part), _at(data, (part,)), False
    if error["type"] == "missing":
        return (*key, error["loc"][-1])
    return (*key, "kind") if error["type"] in {"union_tag_invalid", "union_tag_not_found"} else key


def _has(data: object, part: str | int) -> bool:
    if isinstance(data, dict):
        return part in data
    return isinstance(data, list) and isinstance(part, int) and part < len(data)


def _names_kind(data: object, key: Key, part: str | int) -> bool:
    """Return whether a step of a location is the kind of an item of a list, and not a key in it."""
    return bool(key) and isinstance(key[-1], int) and isinstance(data, dict) and data.get("kind") == part


def _mistake(root: schema.Node, document: Document, key: Key, error: ErrorDetails) -> Mistake:
    around, node = _nodes(root, document.data, key)
    match error["type"]:
        case "missing" | "union_tag_not_found":
            return document.mistake(key, "is missing", str(node.get("description") or schema.words(root, node)))
        case "extra_forbidden":
            known = schema.keys(root, around, _at(document.data, key[:-1]))
            return document.mistake(key, "is not a known key", nearest(str(key[-1]), known, "known keys:"))
        case "value_error":
            table = isinstance(_at(document.data, key), dict)
            reason = str(error["ctx"]["error"])
            return document.mistake(key, reason if table else f"{_found(document, key)}: {reason}")
        case _ if error["loc"] and error["loc"][-1] == "[key]":
            return document.mistake(key, f"cannot be used as a key here: it must be {schema.key_words(around)}")
        case _:
            return _unfit(root, document, key, error)


def _unfit(root: schema.Node, document: Document, key: Key, error: ErrorDetails) -> Mistake:
    """Return the mistake of a value of the wrong type, range or wording."""
    node = _nodes(root, document.data, key)[1]
    value = _at(document.data, key)
    allowed = _bound(root, node, error) or schema.words(root, node)
    if value in ("", [], {}):
        return document.mistake(key, f"is empty, but must be {allowed}")
    choices = [str(word) for branch in schema.branches(root, node) for word in branch.get("enum", ())]
    hint = nearest(value, choices, "") if isinstance(value, str) and choices else _type_hint(root, document, key, node)
    return document.mistake(key, f"{_found(document, key)}, but must be {allowed}", hint)


def _bound(root: schema.Node, node: schema.Node, error: ErrorDetails) -> str:
    """Return the limit that a number or a length broke, in words; nothing if it was another rule."""
    limits = error.get("ctx", {})
    unit = "s" if schema.words(root, node).startswith("a duration") else ""
    for sign, words in _LIMITS.items():
        if sign in limits:
            return f"{words} {limits[sign]:g}{unit}"
    return f"at most {limits['max_length']} long" if "max_length" in limits else ""


def _type_hint(root: schema.Node, document: Document, key: Key, node: schema.Node) -> str:
    """Return how to write the value so that it gets the type that was meant, if that can be told."""
    value = _at(document.data, key)
    types = schema.types(root, node)
    if value is None:
        return "write a value, or leave the key out"
    if isinstance(value, (int, float)) and types == {"string"}:
        return f'put it in quotes: "{document.spot(key).written or json.dumps(value)}"'
    if not isinstance(value, str):
        return ""
    if types == {"boolean"} and value.lower() in _OFTEN_MEANT:
        return f"write {_OFTEN_MEANT[value.lower()]}, without quotes"
    if "integer" in types and value.removeprefix("-").isdigit():
        return f"write it without quotes: {value}"
    return f"write it as a list: [{line(value, _SHOWN)}]" if types == {"array"} else ""


def _found(document: Document, key: Key) -> str:
    value = _at(document.data, key)
    if value is None:
        return "has no value"
    if isinstance(value, dict):
        return "is a table"
    if isinstance(value, list):
        return "is a list"
    written = document.spot(key).written
    if written and not isinstance(value, str):
        return f"is {line(written, _SHOWN)}"
    return f'is "{line(value, _SHOWN)}"' if isinstance(value, str) else f"is {json.dumps(value)}"


def _nodes(root: schema.Node, data: object, key: Key) -> tuple[schema.Node, schema.Node]:
    """Return the schema around a key and of the key; an unknown key has the empty one, which allows nothing."""
    around: schema.Node = root
    node: schema.Node = root
    for part in key:
        around = node
        node = schema.inner(root, around, part, data)
        data = _at(data, (part,))
    return around, node


def _at(data: Any, key: Key) -> object:  # noqa: ANN401 (the shape of JSON)
    for part in key:
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data
