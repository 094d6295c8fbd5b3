"""Where results go: stdout is the result, as words or as one JSON document; stderr is progress and log."""

import json
import os
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from tfheal.base.errors import Bug, TfhealError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_HEARTBEAT: Final = 5.0  # seconds between lines to a log while long work goes on
_NARROWEST: Final = 40


def console(*, stderr: bool = False) -> "Console":
    """Return a console for stdout or stderr: colour only on a terminal, no markup in what is printed."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else int(os.environ.get("COLUMNS", "0")) or 120
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def show(renderable: "RenderableType") -> None:
    """Print a table or text to stdout."""
    console().print(renderable)


def tell(command: str, document: Mapping[str, object], words: str, *, as_json: bool, code: int = 0) -> None:
    """Write the result of a command to stdout: one document for scripts, or words for people."""
    if as_json:
        tell_json(command, document, code)
    else:
        sys.stdout.write(words + "\n")


def tell_json(command: str, document: Mapping[str, object], code: int) -> None:
    """Write the one JSON document of a command to stdout."""
    at = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")  # noqa: TID251 (an edge of the program)
    head = {"schema": f"tfheal/{command}/1", "at": at, "exit": int(code)}
    sys.stdout.write(json.dumps({**head, **document}) + "\n")
    sys.stdout.flush()


def give(
    command: str,
    document: Mapping[str, object],
    words: "Callable[[int], RenderableType]",
    *,
    as_json: bool,
    code: int,
    silent: bool = False,
) -> None:
    """Give the result of a command: as its JSON document, as words fitted to the screen, or not at all."""
    if silent:
        return
    if as_json:
        tell_json(command, document, code)
    else:
        screen = console()
        screen.print(words(screen.width))


def repeated(every: float | None) -> Iterator[bool]:
    """Yield once, or again and again with so many seconds between; True from the second time on."""
    yield False
    while every is not None:
        time.sleep(every)
        yield True


def clear(wanted: bool) -> None:
    """Clear the screen if it is a terminal and that is wanted."""
    if wanted and sys.stdout.isatty():
        console().clear()


def tell_error(error: TfhealError, command: str, as_json: bool) -> None:
    """Tell an error: in words on stderr, or as the one JSON document of the command."""
    from tfheal.render.errors import error_document, error_lines

    if as_json:
        tell_json(command or "tfheal", error_document(error), int(error.exit))
    else:
        sys.stderr.write("".join(f"{line}\n" for line in error_lines(error)))


def bug_report(error: BaseException) -> Bug:
    """Given an exception that nobody expected, write a report of it to a file and return what to tell."""
    with tempfile.NamedTemporaryFile("w", prefix="tfheal-bug-", suffix=".txt", delete=False) as file:
        file.write("".join(traceback.format_exception(error)))
    return Bug(
        "tfheal made a mistake of its own",
        where=type(error).__name__,
        why=str(error)[:200],
        hint=f"the report is in {file.name}; what was begun is in the journal",
    )


class Progress:
    """Progress on stderr: a spinner with what is under way on a terminal, a line now and then in a log."""

    def __init__(self, *, quiet: bool = False) -> None:
        """Begin silent; the spinner starts with the first step."""
        self._quiet = quiet
        self._lock = threading.Lock()
        self._under_way: dict[str, str] = {}
        self._told = 0.0
        self._console = console(stderr=True) if sys.stderr.isatty() and not quiet else None
        self._status = self._console.status("") if self._console else None
        self._running = False

    def say(self, message: str) -> None:
        """Tell one thing that happened."""
        with self._lock:
            self._told = time.monotonic()
            if self._console:
                self._console.print(message)
            elif not self._quiet:
                sys.stderr.write(f"{message}\n")
                sys.stderr.flush()

    def step(self, where: str, what: str) -> None:
        """Tell what is under way at a place."""
        with self._lock:
            self._under_way[where] = what
            if self._status:
                self._status.update(_fitted(self._under_way, self._console.width if self._console else _NARROWEST))
                if not self._running:
                    self._status.start()
                    self._running = True
            elif not self._quiet and time.monotonic() - self._told > _HEARTBEAT:
                self._told = time.monotonic()
                sys.stderr.write(f"{where}: {what}\n")
                sys.stderr.flush()

    def close(self) -> None:
        """Take the spinner away."""
        if self._status and self._running:
            self._status.stop()
            self._running = False


def _fitted(under_way: Mapping[str, str], width: int) -> str:
    newest = list(under_way.items())[-1:]
    more = f" (+{len(under_way) - 1})" if len(under_way) > 1 else ""
    text = "; ".join(f"{where}: {what}" for where, what in newest) + more
    return text if len(text) < width - 4 else text[: max(10, width - 5)] + "…"
