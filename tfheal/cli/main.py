"""The command line: assembles the commands, and is the only place where an error becomes words and an exit code."""

import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import typer
from typer.exceptions import TyperException

from tfheal import __version__
from tfheal.base.errors import Interrupted, TfhealError, UsageError
from tfheal.base.exits import Exit
from tfheal.cli.apps import deploy, logs, remove
from tfheal.cli.health import heal, status
from tfheal.cli.history import history
from tfheal.cli.lab import lab_app
from tfheal.cli.secret import secret_app
from tfheal.cli.slices import slice_app, ssh
from tfheal.cli.workspace import explain, init, schema, validate

app = typer.Typer(
    name="tfheal",
    help="Deploy, check and heal applications on slices that their owners keep.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (init, validate, deploy, status, heal, history, logs, remove, ssh, schema, explain):
    app.command()(command)
app.add_typer(slice_app, name="slice")
app.add_typer(lab_app, name="lab")
app.add_typer(secret_app, name="secret")


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a run as Ctrl-C does."""


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Given the arguments, run the command and return its exit code; an error is told in words, or as JSON."""
    if list(arguments) == ["--version"]:
        sys.stdout.write(f"tfheal {__version__}\n")
        return int(Exit.OK)
    try:
        return int(app(args=list(arguments), prog_name="tfheal", standalone_mode=False) or 0)
    except TyperException as error:
        if not error.format_message():  # no command at all: its help was printed
            return int(Exit.USAGE)
        return _told(UsageError(error.format_message(), hint="tfheal --help lists the commands"), arguments)
    except TfhealError as error:
        return _told(error, arguments)
    except (KeyboardInterrupt, typer.Abort) as error:
        return _interrupted(error, arguments)
    except BrokenPipeError:
        sys.stderr.close()
        return int(Exit.OK)
    except Exception as error:  # noqa: BLE001 (whatever is left is our own mistake, and is told as one)
        from tfheal.cli.output import bug_report

        return _told(bug_report(error), arguments)


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def _interrupted(error: BaseException, arguments: Sequence[str]) -> int:
    told = Interrupted(
        "interrupted", why="what was begun is in the journal", hint="the same command goes on from there"
    )
    _told(told, arguments)
    return int(Exit.TERMINATED if isinstance(error, Terminated) else Exit.INTERRUPTED)


def _told(error: TfhealError, arguments: Sequence[str]) -> int:
    from tfheal.cli.output import tell_error

    words = [word for word in arguments if not word.startswith("-")]
    tell_error(
        error, "-".join(words[: 2 if words[:1] in (["lab"], ["slice"], ["secret"]) else 1]), "--json" in arguments
    )
    return int(error.exit)
