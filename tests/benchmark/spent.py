"""What a command costs: seconds, CPU of it and of all that it starts, memory at its peak.

Whatever the command leaves behind (Ansible's connections that stay open, say) becomes a child of the benchmark, so that
its CPU counts too. Memory is the sum of the proportional shares of all its processes, sampled, and at least the largest
size that one of them had.
"""

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_BECOME_REAPER: Final = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PATIENCE: Final = 900.0
_REST: Final = 20  # a sample is followed by so many times its own length of rest: looking must not be the load


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds, CPU seconds and bytes of one command, its exit status and what it wrote."""

    wall: float
    cpu: float
    peak: int
    status: int
    output: bytes

    @property
    def figures(self) -> dict[str, float]:
        """Return what is kept of it."""
        return {"wall": round(self.wall, 3), "cpu": round(self.cpu, 3), "peak": self.peak, "status": self.status}


@dataclass(frozen=True, slots=True)
class Command:
    """One command line, where it runs, what it finds in its environment, and how it may end."""

    words: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    well: frozenset[int] = frozenset({0})


def spent(command: Command, ignored: frozenset[int] = frozenset()) -> Spent:
    """Given a command, run it and return what it cost, servers of ours left out; raise RuntimeError if it ended badly."""
    ctypes.CDLL(None).prctl(_BECOME_REAPER, 1)
    before = _cpu(ignored)
    sampler = _Sampler(ignored)
    begun = time.monotonic()
    with (command.folder / "errors").open("wb") as errors:
        process = subprocess.Popen(
            command.words,
            cwd=command.folder,
            env={**os.environ, **command.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        with sampler:
            output, status = _ended(process)
    wall = time.monotonic() - begun
    _reap(ignored)
    result = Spent(wall, _cpu(ignored) - before, sampler.peak, status, output)
    if status not in command.well:
        said = (command.folder / "errors").read_text(errors="replace")[-2000:]
        msg = f"{' '.join(command.words)[:200]} ended with {status}\n{output[-2000:].decode(errors='replace')}\n{said}"
        raise RuntimeError(msg)
    return result


def end_all(ignored: frozenset[int] = frozenset()) -> None:
    """End what commands left behind."""
    for pid in _descendants(os.getpid(), ignored):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + 10.0
    while any(_descendants(os.getpid(), ignored)) and time.monotonic() < end:
        _reap(ignored)
        time.sleep(0.05)


def _ended(process: "subprocess.Popen[bytes]") -> tuple[bytes, int]:
    watchdog = threading.Timer(_PATIENCE, process.kill)
    watchdog.daemon = True
    watchdog.start()
    assert process.stdout is not None
    output = process.stdout.read()
    status = process.wait()
    watchdog.cancel()
    process.stdout.close()
    return output, status


def _reap(ignored: frozenset[int]) -> None:
    for pid in list(_children(os.getpid())):
        if pid not in ignored:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _cpu(ignored: frozenset[int]) -> float:
    """Return the CPU seconds of all that ever were below us and are gone, and of those that live."""
    gone = resource.getrusage(resource.RUSAGE_CHILDREN)
    living = sum(_ticks(pid) for pid in _descendants(os.getpid(), ignored))
    return gone.ru_utime + gone.ru_stime + living / _TICKS


def _ticks(pid: int) -> int:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(field) for field in fields[11:15])  # user, system, and those of its own children that are gone
    return 0


def _descendants(pid: int, ignored: frozenset[int]) -> Iterator[int]:
    for child in _children(pid):
        if child not in ignored:
            yield child
            yield from _descendants(child, ignored)


def _children(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                yield from (int(word) for word in (task / "children").read_text().split())


class _Sampler:
    """Looks at the memory of all that runs below us, now and then, while its block lasts."""

    def __init__(self, ignored: frozenset[int]) -> None:
        self.peak = 0
        self._ignored = ignored
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.is_set():
            begun = time.monotonic()
            pids = tuple(_descendants(os.getpid(), self._ignored))
            # Not the maximum that wait4(2) tells: a program inherits that of whoever starts it, which is ourselves.
            shares = sum(_kilobytes(pid, "smaps_rollup", "Pss:") for pid in pids)
            largest = max((_kilobytes(pid, "status", "VmHWM:") for pid in pids), default=0)
            self.peak = max(self.peak, 1024 * shares, 1024 * largest)
            self._over.wait(max(0.1, _REST * (time.monotonic() - begun)))


def _kilobytes(pid: int, file: str, word: str) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(word):
                return int(line.split()[1])
    return 0
