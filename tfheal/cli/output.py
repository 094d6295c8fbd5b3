"""Where results go: stdout is the result, as words or as one JSON document; stderr is progress and log."""

import json
import math
import os
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, Final

from tfheal.base import untrusted
from tfheal.base.errors import Bug, TfhealError
from tfheal.base.moments import rfc3339
from tfheal.base.secret import masked

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress, TaskID

_REPORT_CAP: Final = 1 << 18  # characters of the report of a bug
_HEARTBEAT: Final = 5.0  # seconds between lines to a log while long work goes on


def console(*, stderr: bool = False) -> "Console":
    """Return a console for stdout or stderr: colour only on a terminal, no markup in what is printed."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else int(os.environ.get("COLUMNS", "0")) or 120
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def show(renderable: "RenderableType") -> None:
    """Print a table or text to stdout."""
    Reports.rest()
    console().print(renderable)


def tell(command: str, document: Mapping[str, object], words: str, *, as_json: bool, code: int = 0) -> None:
    """Write the result of a command to stdout: one document for scripts, or words for people."""
    Reports.rest()
    if as_json:
        tell_json(command, document, code)
    else:
        sys.stdout.write(words + "\n")


def tell_json(command: str, document: Mapping[str, object], code: int) -> None:
    """Write the one JSON document of a command to stdout."""
    at = rfc3339(datetime.fromtimestamp(time.time(), UTC))  # noqa: TID251 (an edge of the program)
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
    Reports.rest()
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


def program() -> str:
    """Return what to type to call tfheal from anywhere: its name if it is on the path, else its file."""
    return "tfheal" if shutil.which("tfheal") else os.path.realpath(sys.argv[0])


def tell_error(error: TfhealError, command: str, as_json: bool) -> None:
    """Tell an error: in words on stderr, or as the one JSON document of the command."""
    from tfheal.render.errors import error_document, error_lines

    if as_json:
        tell_json(command or "tfheal", error_document(error), int(error.exit))
    else:
        sys.stderr.write("".join(f"{line}\n" for line in error_lines(error)))


def bug_report(error: BaseException, secrets: Collection[str] | None) -> Bug:
    """Given an exception that nobody expected, write a report of it to a file of our own and return what to tell.

    Its words may quote a slice, and are made safe to show, in the file too; or a secret, and these values are masked. If
    it is not known which those are (None), its words are left out.
    """
    if secrets is None:
        words = "its words are left out: which secrets they may quote is not known"
        report = "".join(traceback.format_tb(error.__traceback__))
    else:
        words = masked(str(error), secrets)
        report = masked("".join(traceback.format_exception(error)), secrets)
    with tempfile.NamedTemporaryFile("w", prefix="tfheal-bug-", suffix=".txt", delete=False) as file:
        file.write(untrusted.text(report, _REPORT_CAP))
    return Bug(
        "tfheal made a mistake of its own",
        where=type(error).__name__,
        why=untrusted.line(words, 200),
        hint=f"the report is in {file.name}; what was begun is in the journal",
    )


class Lines:
    """Progress on stderr, one line each."""

    def say(self, message: str) -> None:
        """Tell one thing that happened."""
        sys.stderr.write(f"{message}\n")

    def step(self, where: str, what: str, done: int = 0, total: int = 0) -> None:
        """Tell what is under way at a place, and how much of it is done."""
        sys.stderr.write(f"{where}: {what}{f' ({done}/{total})' if total else ''}\n")


class Reports:
    """Progress on stderr: a bar with a count for each place on a terminal, a line now and then in a log."""

    _shown: "ClassVar[Reports | None]" = None  # whose bars are on the screen

    def __init__(self, *, quiet: bool = False) -> None:
        """Begin silent; bars come with the first step."""
        self._quiet = quiet
        self._lock = threading.Lock()
        self._told = 0.0
        self._bars = None if quiet or not sys.stderr.isatty() else _bars()
        self._tasks: dict[str, TaskID] = {}

    def say(self, message: str) -> None:
        """Tell one thing that happened."""
        with self._lock:
            self._told = time.monotonic()
            if self._bars:
                self._bars.console.print(message)
            elif not self._quiet:
                sys.stderr.write(f"{message}\n")
                sys.stderr.flush()

    def step(self, where: str, what: str, done: int = 0, total: int = 0) -> None:
        """Tell what is under way at a place, and how much of it is done."""
        with self._lock:
            if self._bars:
                self._draw(where, what, done, total)
            elif not self._quiet and not 0 < total <= done and time.monotonic() - self._told > _HEARTBEAT:
                self._told = time.monotonic()
                sys.stderr.write(f"{where}: {what}{f' ({done}/{total})' if total else ''}\n")
                sys.stderr.flush()

    def close(self) -> None:
        """Take the bars away; they come again with the next step."""
        with self._lock:
            if self._bars and self._tasks:
                self._bars.stop()
                for task in self._tasks.values():
                    self._bars.remove_task(task)
                self._tasks.clear()
                Reports._shown = None

    @classmethod
    def rest(cls) -> None:
        """Take the bars away that are on the screen, whosever they are: they would be drawn over what is printed now."""
        if cls._shown:
            cls._shown.close()

    def _draw(self, where: str, what: str, done: int, total: int) -> None:
        if self._bars is None:
            return
        if not self._tasks:
            self._bars.start()
            Reports._shown = self
        if where not in self._tasks:
            self._tasks[where] = self._bars.add_task(where, total=math.inf, count="")
        over = 0 < total <= done
        self._bars.update(
            self._tasks[where],
            description=f"{where}  {what}",
            completed=done,
            total=total or math.inf,  # None would leave the total of the step before
            visible=not over,
            count=f"{done}/{total}" if total else "",
        )


def _bars() -> "Progress":
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Column

    from tfheal.render.words import NARROW

    terminal = console(stderr=True)
    words = TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True))
    wide = terminal.width >= NARROW
    head = (
        BarColumn(bar_width=20 if wide else 8),
        TextColumn("{task.fields[count]}"),
        *((TimeElapsedColumn(),) if wide else ()),
    )
    return Progress(*head, words, console=terminal, expand=True, transient=True, redirect_stdout=False)
