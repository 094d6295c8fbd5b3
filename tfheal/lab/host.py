"""The one door to programs of this machine; every failure of one becomes one of our errors."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tfheal.base import untrusted
from tfheal.base.errors import ActionFailed

_TAIL: Final = 1_500
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Result:
    """What a program answered."""

    status: int
    stdout: bytes
    stderr: bytes


def present(program: str) -> bool:
    """Return whether a program is on the path, the places of root's programs included."""
    return shutil.which(program, path=_PATH) is not None


@dataclass(frozen=True, slots=True)
class Files:
    """Files that a program has as its stdin and its stdout, where it has any."""

    source: Path | None = None
    output: Path | None = None


def ask(*argv: str, stdin: bytes = b"", timeout: float = 60.0, files: Files | None = None) -> Result:
    """Given a command, return what it answered, whatever its status; raise ActionFailed if it cannot be run."""
    files = files or Files()
    try:
        with ExitStack() as opened:
            source = opened.enter_context(files.source.open("rb")) if files.source else None
            output = opened.enter_context(files.output.open("wb")) if files.output else subprocess.PIPE
            done = subprocess.run(
                argv,
                stdin=source,
                input=None if source else stdin,
                stdout=output,
                stderr=subprocess.PIPE,
                timeout=timeout,
                check=False,
                env=_environment({}),
            )
    except subprocess.TimeoutExpired as error:
        raise ActionFailed(f"{argv[0]} did not end within {timeout:.0f} s", where="this machine") from error
    except OSError as error:
        raise ActionFailed(f"{argv[0]} cannot be run", where="this machine", why=str(error)) from error
    return Result(done.returncode, done.stdout or b"", done.stderr)


def run(*argv: str, stdin: bytes = b"", timeout: float = 60.0) -> bytes:
    """Given a command that has to succeed, return its stdout; raise ActionFailed with its last words."""
    result = ask(*argv, stdin=stdin, timeout=timeout)
    if result.status != 0:
        words = untrusted.line((result.stderr or result.stdout)[-_TAIL:])
        raise ActionFailed(f"a command failed with status {result.status}", where=" ".join(argv[:5]), why=words)
    return result.stdout


def launch(argv: tuple[str, ...], log: Path, extra: Mapping[str, str]) -> None:
    """Given a command that leaves something running behind it, run it; that writes to the log."""
    try:
        with log.open("ab") as output:
            subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=True,
                cwd="/",
                env=_environment(extra),
            )
    except (OSError, subprocess.CalledProcessError) as error:
        raise ActionFailed(
            f"{argv[0]} cannot be started", where="this machine", why=untrusted.line(str(error), 200)
        ) from error


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    return {"PATH": _PATH, "HOME": "/root", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", **kept, **extra}
