"""Files of this machine, read with a limit and replaced in one step, so that a kill leaves the old or the new one."""

import contextlib
import fcntl
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tfheal.base.errors import ConfigError, Mistake, UsageError

MAX_TEXT: Final = 1_000_000
MAX_LIST: Final = 16_000_000  # ten thousand slices, with all that can be said of each, take some 4 MB
# What no editor writes into a text file on purpose; tab, line feed and carriage return are not among them.
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]")


def replace_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Given a path and its wanted bytes, replace the file in one step; an existing one keeps its mode and owner.

    Raise UsageError when the folder or the disk does not let us.
    """
    target = path.resolve()
    try:
        _replace(target, data, mode)
    except OSError as error:
        raise UsageError(
            "cannot write the file", where=str(path), why=error.strerror or str(error), hint="nothing was changed"
        ) from error


def _replace(target: Path, data: bytes, mode: int) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            _keep_owner_and_mode(file.fileno(), target, mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _keep_owner_and_mode(handle: int, target: Path, mode: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        old = target.stat()
        mode = stat.S_IMODE(old.st_mode)
        with contextlib.suppress(PermissionError):
            os.fchown(handle, old.st_uid, old.st_gid)
    os.fchmod(handle, mode)


class Folder:
    """The NewFolder port: a folder in which what is missing is made, and nothing is ever overwritten."""

    def __init__(self, root: Path) -> None:
        """Keep the folder; it is made with the first thing in it."""
        self._root = root

    def add(self, path: str, text: str | None = None) -> bool:
        """Make a file with its text, or a folder if there is none; return whether it was missing."""
        target = self._root / path
        try:
            with contextlib.suppress(FileExistsError):
                target.parent.mkdir(parents=True)
            if os.path.lexists(target):
                return False
            _made(target, text)
        except OSError as error:
            why = error.strerror or str(error)
            raise UsageError("cannot make it", where=str(target), why=why, hint="name another folder") from error
        return True


def _made(target: Path, text: str | None) -> None:
    if text is None:
        target.mkdir()
    else:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Given a folder, hold its lock while the context lasts, against other processes and threads of ours."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise UsageError("cannot open the folder", where=str(folder), why=error.strerror or str(error)) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def read_text(path: Path, file: str, cap: int = MAX_TEXT) -> str:
    """Given a path and the name to call it by, return its text without a BOM; raise ConfigError that says why not."""
    data = read_bytes(path, file, cap)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _place(data[: error.start])
        raise _mistake(file, "is not UTF-8 text", line, column) from error
    if control := _CONTROL.search(text):
        line, column = _place(text[: control.start()].encode())
        raise _mistake(file, f"holds a control character (U+{ord(control[0]):04X})", line, column)
    return text


def read_bytes(path: Path, file: str, cap: int) -> bytes:
    """Given a path and the name to call it by, return what it holds; raise ConfigError if that cannot be had.

    A pipe or device in place of a file is refused without waiting for it.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as opened:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise _mistake(file, "is a device or pipe, not a file")
            data = opened.read(cap + 1)
    except IsADirectoryError as error:
        raise _mistake(file, "is a folder, not a file") from error
    except OSError as error:
        raise _mistake(file, f"cannot be read: {(error.strerror or str(error)).lower()}") from error
    if len(data) > cap:
        raise _mistake(file, f"is larger than {cap // 1_000_000 or 1} MB")
    return data


def _place(before: bytes) -> tuple[int, int]:
    start = before.rfind(b"\n") + 1
    return before.count(b"\n") + 1, len(before[start:].decode("utf-8", "replace")) + 1


def _mistake(file: str, what: str, line: int = 1, column: int = 1) -> ConfigError:
    return ConfigError((Mistake(file, line, column, "", what),))
