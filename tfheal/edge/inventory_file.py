"""`inventory.toml` changed in place: `slice add` and the lab write into a file that people write too.

Only the lines of what changes are touched. Whatever the edit did, the result is read again and must hold exactly the
old data with that one change, and be a valid inventory; else nothing is written.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import tomli_w

from tfheal.base.errors import ConfigError, UsageError
from tfheal.core.mistakes import checked
from tfheal.edge.disk import MAX_LIST, locked_folder, read_text, replace_file
from tfheal.edge.toml_text import Statement, parse_toml, statements
from tfheal.model.document import Document
from tfheal.model.inventory import Inventory

Data = dict[str, dict[str, dict[str, object]]]
Edit = tuple[int, int, list[str]]
_WITH_OWN_HEADER: Final = "provisioner"
_HEADER_DEPTH: Final = 2  # [slices.NAME]


class InventoryFile:
    """The inventory of a workspace as a file; comments and order are kept, and what is written is valid."""

    def __init__(self, path: Path) -> None:
        """Keep the path; the file need not exist yet."""
        self._path = path

    def put_owner(self, name: str, contact: str) -> None:
        """Add an owner, if there is none of that name."""
        entry: dict[str, object] = {"contact": contact} if contact else {}

        def add(text: str, data: Data) -> str:
            if name in data.setdefault("owners", {}):
                return text
            data["owners"][name] = entry
            return _with_table(text, ("owners", name), entry)

        self._change(add)

    def put_slice(self, name: str, entry: Mapping[str, object]) -> None:
        """Add or replace `[slices.NAME]`; a value of None is left out."""
        wanted = {key: value for key, value in entry.items() if value is not None}

        def put(text: str, data: Data) -> str:
            old = data.setdefault("slices", {}).get(name)
            data["slices"][name] = wanted
            return _with_table(text, ("slices", name), wanted) if old is None else _updated(text, name, old, wanted)

        self._change(put)

    def remove_slice(self, name: str) -> None:
        """Take `[slices.NAME]` out, if it is there."""

        def remove(text: str, data: Data) -> str:
            if data.get("slices", {}).pop(name, None) is None:
                return text
            return _without_table(text, ("slices", name))

        self._change(remove)

    def _change(self, change: Callable[[str, Data], str]) -> None:
        with locked_folder(self._path.parent):
            written = self._read()
            before = written.replace("\r\n", "\n")
            document = parse_toml(self._path.name, before)
            checked(Inventory, "inventory", document)
            after = change(before, document.data)  # type: ignore[arg-type]
            self._check(after, document.data)
            if after != before:
                replace_file(self._path, (after.replace("\n", "\r\n") if "\r\n" in written else after).encode())

    def _read(self) -> str:
        return read_text(self._path, self._path.name, MAX_LIST) if os.path.lexists(self._path) else ""

    def _check(self, text: str, wanted: object) -> None:
        """Raise UsageError unless the text holds exactly the wanted data, and ConfigError if that is no inventory."""
        try:
            document = parse_toml(self._path.name, text)
        except ConfigError:
            document = Document(self._path.name, {})
        if _sections(document.data) != _sections(wanted):
            raise UsageError(
                "cannot change this file without disturbing it",
                where=self._path.name,
                why="its owners or slices are not written as [owners.NAME] and [slices.NAME]",
                hint="write them so, or make this change by hand; nothing was changed",
            )
        checked(Inventory, "inventory", document)


def _sections(data: object) -> dict[str, object]:
    """Return the data without sections that are empty: an empty one and none are the same inventory."""
    return {name: section for name, section in data.items() if section} if isinstance(data, dict) else {}


def _with_table(text: str, key: tuple[str, str], entry: Mapping[str, object]) -> str:
    """Return the text with a new table after the last one of its section, or else at the end."""
    lines = _lines(text)
    same = [statement.end for statement in statements(text) if statement.key[0] == key[0]]
    at = same[-1] - 1 if same else len(lines)
    block = _table_lines(key, entry)
    above = [""] if at > 0 and lines[at - 1].strip() else []
    below = [""] if at < len(lines) and lines[at].strip() else []
    return _joined([*lines[:at], *above, *block, *below, *lines[at:]])


def _without_table(text: str, key: tuple[str, str]) -> str:
    """Return the text without a table, its sub-tables, and the comment right above its header."""
    lines = _lines(text)
    for first, last in reversed(_runs(statements(text), key)):
        start = first
        while start > 0 and lines[start - 1].startswith("#"):
            start -= 1
        end = last
        while end < len(lines) and not lines[end].strip():
            end += 1
        lines[start:end] = []
    return _joined(lines)


def _runs(found: list[Statement], key: tuple[str, str]) -> list[tuple[int, int]]:
    """Return the ranges of lines, from 0, in which only statements of a table stand."""
    runs: list[tuple[int, int]] = []
    inside = False
    for statement in found:
        mine = statement.key[:2] == key
        if mine and inside:
            runs[-1] = (runs[-1][0], statement.end - 1)
        elif mine:
            runs.append((statement.line - 1, statement.end - 1))
        inside = mine
    return runs


def _updated(text: str, name: str, old: Mapping[str, object], wanted: Mapping[str, object]) -> str:
    """Return the text with the changed keys of a slice written anew where they stood, new ones after the others."""
    key = ("slices", name)
    changed = {part for part in {**old, **wanted} if old.get(part) != wanted.get(part)}
    edits: list[Edit] = []
    new = {part: value for part, value in wanted.items() if part in changed}
    for statement in _of_table(text, key):
        part = str(statement.key[2]) if len(statement.key) > len(key) else ""
        if part in changed:
            edits.append((statement.line - 1, statement.end - 1, _rewritten(statement, part, new)))
    return _edited(text, [*edits, *_additions(text, key, new)])


def _rewritten(statement: Statement, part: str, new: dict[str, object]) -> list[str]:
    """Return the lines that replace those of a changed key, and take it from the new ones; none if it is gone."""
    if not _own(statement) or part not in new:
        return []
    lines = _pair_lines(part, new.pop(part))
    return [*lines[:-1], f"{lines[-1]} {statement.comment}".rstrip()]


def _additions(text: str, key: tuple[str, str], new: Mapping[str, object]) -> list[Edit]:
    """Return the edits that add keys at the end of the table's own lines, and its sub-table after everything."""
    mine = _of_table(text, key)
    if not mine:
        return []
    own_end = max((statement.end - 1 for statement in mine if _own(statement)), default=mine[0].line - 1)
    pairs = [line for part, value in new.items() if part != _WITH_OWN_HEADER for line in _pair_lines(part, value)]
    edits: list[Edit] = [(own_end, own_end, pairs)]
    if _WITH_OWN_HEADER in new:
        end = mine[-1].end - 1
        edits.append((end, end, ["", *_sub_table_lines(key, new)]))
    return edits


def _of_table(text: str, key: tuple[str, str]) -> list[Statement]:
    return [statement for statement in statements(text) if statement.key[: len(key)] == key]


def _own(statement: Statement) -> bool:
    """Return whether a statement is the header `[slices.NAME]` or a plain key right under it."""
    return len(statement.key) == (_HEADER_DEPTH if statement.header else _HEADER_DEPTH + 1)


def _edited(text: str, edits: list[Edit]) -> str:
    lines = _lines(text)
    for start, end, replacement in reversed(sorted(edits, key=lambda edit: edit[:2])):  # noqa: C413 (ties turn round too)
        lines[start:end] = replacement
    return _joined(lines)


def _table_lines(key: tuple[str, str], entry: Mapping[str, object]) -> list[str]:
    lines = [f"[{key[0]}.{key[1]}]"]
    for part, value in entry.items():
        if part != _WITH_OWN_HEADER:
            lines += _pair_lines(part, value)
    return lines + (_sub_table_lines(key, entry) if _WITH_OWN_HEADER in entry else [])


def _sub_table_lines(key: tuple[str, str], entry: Mapping[str, object]) -> list[str]:
    return tomli_w.dumps({key[0]: {key[1]: {_WITH_OWN_HEADER: entry[_WITH_OWN_HEADER]}}}).splitlines()


def _pair_lines(key: str, value: object) -> list[str]:
    if isinstance(value, Mapping):
        pairs = [tomli_w.dumps({part: inner}).strip() for part, inner in value.items()]
        return [f"{key} = {{ {', '.join(pairs)} }}" if pairs else f"{key} = {{}}"]
    return tomli_w.dumps({key: value}).splitlines()


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []


def _joined(lines: list[str]) -> str:
    while lines and not lines[-1]:
        lines.pop()
    while lines and not lines[0]:
        lines.pop(0)
    return "".join(f"{line}\n" for line in lines)
