"""The one door to programs on this machine: run one with a time limit, pipe through one, or become one."""

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from tfheal.base.errors import ActionFailed

_CAP: Final = 1 << 20
_CHUNK: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class LocalReply:
    """What a program here said: capped bytes and its exit status."""

    stdout: bytes
    stderr: bytes
    status: int


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    stdin: bytes = b"",
    cap: int = _CAP,
    environment: Mapping[str, str] | None = None,
) -> LocalReply:
    """Given a command, return its reply; raise ActionFailed if it cannot start or outlives its time-out.

    Secrets go in by `stdin` or `environment`, never by `argv`. Past its time-out, it is ended with its process group.
    """
    process = _started(argv, environment)
    feeder = threading.Thread(target=_feed, args=(process, stdin), daemon=True)
    feeder.start()
    end = time.monotonic() + timeout
    try:
        stdout, stderr = _read_both(process, end, cap)
        status = process.wait(max(0.0, end - time.monotonic()))  # it may go on long after it closed its output
    except (TimeoutError, subprocess.TimeoutExpired) as error:
        raise ActionFailed("it outlived its time-out and was ended", where=argv[0], why=f"{timeout:g} s") from error
    finally:
        _end(process)
    return LocalReply(stdout, stderr, status)


def piped(command: str) -> tuple[socket.socket, "subprocess.Popen[bytes]"]:
    """Given a shell command that carries a connection (ProxyCommand), return a socket to it and its process."""
    ours, theirs = socket.socketpair()
    try:
        # The operator's own line of ~/.ssh/config, which ssh runs by a shell too.
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}"], stdin=theirs.fileno(), stdout=theirs.fileno(), start_new_session=True
        )
    except OSError as error:
        ours.close()
        raise ActionFailed("it cannot be started", where=command.split(" ", 1)[0], why=str(error.strerror)) from error
    finally:
        theirs.close()
    return ours, process


def replace(argv: Sequence[str]) -> NoReturn:
    """Given a command, become it: the terminal, the signals and the exit status are its own from here on."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp(argv[0], list(argv))  # noqa: S606 - no shell is wanted
    except OSError as error:
        raise ActionFailed(f"{argv[0]} cannot be started", why=str(error.strerror), hint="is it installed?") from error


def _started(argv: Sequence[str], environment: Mapping[str, str] | None) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=None if environment is None else {**os.environ, **environment},
            start_new_session=True,
        )
    except OSError as error:
        hint = "is it installed?" if isinstance(error, FileNotFoundError) else ""
        raise ActionFailed("it cannot be started", where=argv[0], why=str(error.strerror), hint=hint) from error


def _feed(process: "subprocess.Popen[bytes]", data: bytes) -> None:
    """Write all of stdin from a thread of its own, so that a program that does not read it blocks nobody."""
    stream = process.stdin
    if stream is not None:
        try:
            stream.write(data)
            stream.close()
        except (OSError, ValueError):
            return  # it ended, or was ended, without reading


def _read_both(process: "subprocess.Popen[bytes]", end: float, cap: int) -> tuple[bytes, bytes]:
    kept = {process.stdout: bytearray(), process.stderr: bytearray()}
    with selectors.DefaultSelector() as selector:
        for stream in kept:
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, end - time.monotonic()))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                chunk = os.read(key.fd, _CHUNK)
                if not chunk:
                    selector.unregister(key.fileobj)
                stream = process.stdout if key.fileobj is process.stdout else process.stderr
                kept[stream] += chunk[: cap - len(kept[stream])]
    return bytes(kept[process.stdout]), bytes(kept[process.stderr])


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill the process group if any of it is left, and let go of its pipes."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):  # what was still buffered for a program that is gone
                stream.close()
