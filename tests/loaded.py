"""`tfheal` that is loaded once and then forked for every command: for tests that run it some thousand times.

What is forked runs the command line as any `tfheal` does, in a process of its own with its own output, and may be killed.
"""

import gc
import importlib
import json
import os
import pkgutil
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from running_lab import RunningLab

_POLL = 0.005
_TOO_LONG = 137


class Loaded:
    """A process that has all of tfheal in memory, and forks; ended by `close`."""

    def __init__(self, scratch: Path) -> None:
        """Start it; what its children say goes through files in a folder."""
        self._scratch = scratch
        self._process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, command: list[str], folder: Path, timeout: float) -> subprocess.CompletedProcess[str]:
        """Run `env NAME=VALUE… python -m tfheal WORDS…` in a folder, and return how it ended."""
        words = command[command.index("tfheal") + 1 :]
        environment = dict(word.split("=", 1) for word in command[: -len(words)] if "=" in word)
        out, err = self._scratch / "out", self._scratch / "err"
        order = {"words": words, "environment": environment, "folder": str(folder), "timeout": timeout}
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order | {"out": str(out), "err": str(err)}).encode() + b"\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(command, status, out.read_text(), err.read_text())

    def close(self) -> None:
        """End it."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@dataclass(frozen=True, slots=True)
class LoadedLab(RunningLab):
    """A lab of which every command is run by a process that is loaded already."""

    loaded: Loaded | None = None
    failpoint: int = 0

    def run(self, *words: str, check: int | None = 0, timeout: float = 300.0) -> subprocess.CompletedProcess[str]:
        """Run `tfheal` in the workspace, and demand its exit code, unless `check` is None."""
        assert self.loaded
        command = self.command(*words)
        command.insert(command.index("env", 1) + 1, f"TFHEAL_FAILPOINT={self.failpoint or ''}")
        ran = self.loaded.run(command, self.workspace, timeout)
        assert check in {None, ran.returncode}, f"exit {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        return ran


def _serve() -> None:
    """Fork for each order that comes, and say how its child ended."""
    import tfheal  # noqa: PLC0415 - whoever imports this file for its classes needs none of it

    for module in pkgutil.walk_packages(tfheal.__path__, "tfheal."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    importlib.import_module("tfheal.edge.ssh")
    for name in ("fabric", "paramiko", "sqlite3", "yaml", "jinja2", "pyrage", "rich.console", "rich.table", "asyncio"):
        importlib.import_module(name)
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _be(order)
        sys.stdout.write(f"{_ended(child, order['timeout'])}\n")
        sys.stdout.flush()


def _ended(child: int, timeout: float) -> int:
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(_POLL)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return _TOO_LONG


def _be(order: dict[str, object]) -> NoReturn:
    """Become a tfheal of one command."""
    from tfheal.cli.main import run  # noqa: PLC0415 - it is loaded

    for number, path in ((0, os.devnull), (1, order["out"]), (2, order["err"])):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(str(path), flags, 0o600), number)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    sys.stdin = os.fdopen(0)
    os.environ.update(order["environment"])  # type: ignore[call-overload]
    os.chdir(str(order["folder"]))
    random.seed()
    status = 1
    try:
        status = run(list(order["words"]))  # type: ignore[call-overload]
    except SystemExit as ended:
        status = int(ended.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve()
