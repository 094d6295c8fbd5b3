"""What is in a backup: the task that lists a snapshot, and the entries that restic told of."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tfheal.base import sh, untrusted
from tfheal.core.backup.capture import messages
from tfheal.core.backup.job import OPEN, REACH, Task

LIST: Final = "list"
_MOST: Final = 4_000_000  # bytes of a list
_TYPES: Final = frozenset({"file", "dir", "symlink"})


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder in a snapshot."""

    path: str
    kind: str
    bytes: int
    changed: str


def tasks(snapshot: str, path: str) -> tuple[Task, ...]:
    """Given a snapshot and a folder in it, return the tasks that list what is right in that folder; `/` is all of it."""
    whole = path == "/"
    words = f"r ls {snapshot}" + (" --recursive" if whole else "") + f" {sh.quote(path)}"
    script = (
        f'{words} >"$folder/list"\nstatus=$?\nhead -c {_MOST} "$folder/list"\nrm -f "$folder/list"\nreturn "$status"'
    )
    return (REACH, OPEN, Task(LIST, script, wanted=_MOST))


def entries(out: str) -> Iterator[Entry]:
    """Given what restic listed, yield its entries."""
    for found in messages(out):
        kind, path, size = found.get("type"), found.get("path"), found.get("size", 0)
        if isinstance(kind, str) and kind in _TYPES and isinstance(path, str) and isinstance(size, int):
            yield Entry(untrusted.line(path), kind, size, untrusted.line(str(found.get("mtime", "")), 40))
