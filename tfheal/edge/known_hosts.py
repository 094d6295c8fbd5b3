"""`known_hosts` of the workspace: the pinned host keys, by the name of the slice and not by an address."""

import threading
from pathlib import Path
from typing import Final

from tfheal.base.errors import ConfigError, Mistake
from tfheal.edge.disk import MAX_LIST, locked_folder, read_text, replace_file
from tfheal.model.ssh import fingerprint

_FIELDS: Final = 3  # NAMES TYPE KEY, and after these a comment


class KnownHosts:
    """The HostKeys port over a file that OpenSSH reads too; comments, order and what others wrote are kept."""

    def __init__(self, path: Path) -> None:
        """Remember the file; it is read when first needed."""
        self._path = path
        self._lock = threading.Lock()
        self._pins: dict[str, tuple[str, ...]] | None = None

    def pinned(self, name: str) -> tuple[str, ...]:
        """Return the pinned keys of a slice, each as `TYPE KEY`; raise ConfigError if the file holds mistakes."""
        with self._lock:
            if self._pins is None:
                self._pins = _parsed(self._lines(), str(self._path.name))
            return self._pins.get(name, ())

    def pin(self, name: str, keys: tuple[str, ...]) -> None:
        """Replace the pinned keys of a slice; its lines stay where they were."""
        for key in keys:
            fingerprint(key)  # refuses what is no key
        with self._lock, locked_folder(self._path.parent):
            before = self._lines()
            after = _replaced(before, name, [f"{name} {key}" for key in keys])
            self._pins = _parsed(after, self._path.name)
            if after != before:
                replace_file(self._path, "".join(f"{line}\n" for line in after).encode())

    def forget(self, name: str) -> None:
        """Drop the pinned keys of a slice."""
        self.pin(name, ())

    def _lines(self) -> list[str]:
        return read_text(self._path, self._path.name, MAX_LIST).splitlines() if self._path.exists() else []


def _names(line: str) -> list[str]:
    """Return whom a line is about; a comment, a marker line and an empty one are about nobody."""
    first = line.split(maxsplit=1)[0] if line.strip() else "#"
    return [] if first.startswith(("#", "@", "|")) else first.split(",")


def _parsed(lines: list[str], file: str) -> dict[str, tuple[str, ...]]:
    pins: dict[str, tuple[str, ...]] = {}
    mistakes = []
    for number, line in enumerate(lines, 1):
        fields = line.split()
        for name in _names(line):
            key = " ".join(fields[1:_FIELDS])
            if not _is_key(key):
                what = "is not a host key: NAME TYPE KEY"
                mistakes.append(Mistake(file, number, 1, name, what, f"`tfheal slice trust {name}` pins it anew"))
                break
            pins[name] = (*pins.get(name, ()), key)
    if mistakes:
        raise ConfigError(tuple(mistakes))
    return pins


def _is_key(key: str) -> bool:
    try:
        fingerprint(key)
    except ValueError:
        return False
    return len(key.split()) == _FIELDS - 1


def _replaced(lines: list[str], name: str, new: list[str]) -> list[str]:
    """Given the lines of the file, return them with the lines of one name replaced at the place of its first one."""
    result: list[str] = []
    place: int | None = None
    for line in lines:
        names = _names(line)
        if name not in names:
            result.append(line)
            continue
        place = len(result) if place is None else place
        if others := [other for other in names if other != name]:
            result.append(" ".join([",".join(others), *line.split()[1:]]))
    place = len(result) if place is None else place
    return result[:place] + new + result[place:]
