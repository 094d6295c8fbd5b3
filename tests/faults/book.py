"""The book of a run: a row a line, kept in a folder, as they came; a run may go on where an earlier one left off."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

Document = dict[str, Any]
OURS: Final = "tfheal"  # of the rows of a comparison, those whose outcome is ours


def kept(folder: Path) -> list[Document]:
    """Return all rows of the books in a folder."""
    books = sorted(folder.glob("rows-*.jsonl"))
    return [json.loads(line) for book in books for line in book.read_text().splitlines()]


def latest(rows: Iterable[Document]) -> list[Document]:
    """Return the rows without those of tests that were played again later."""
    rows = list(rows)
    last: dict[str, float] = {}
    for row in rows:
        last[row["test"]] = max(row["played"], last.get(row["test"], 0.0))
    return [row for row in rows if row["played"] == last[row["test"]]]


def played_well(rows: Iterable[Document]) -> set[str]:
    """Return the tests that wrote rows of which none is otherwise than expected."""
    rows = list(rows)
    return {row["test"] for row in rows} - {row["test"] for row in rows if ours(row) and row["missed"]}


def ours(row: Document) -> bool:
    """Return whether a row is about tfheal."""
    return bool(row["table"] != "peers" or row["where"] == OURS)


def write(folder: Path, row: Document) -> None:
    """Add a row to the book of this process."""
    with (folder / f"rows-{os.getpid()}.jsonl").open("a") as book:
        book.write(json.dumps(row) + "\n")
