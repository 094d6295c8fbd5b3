"""Files of this machine, read with a limit and replaced in one step, so that a kill leaves the old or the new one."""

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tfheal.base.errors import UsageError


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
