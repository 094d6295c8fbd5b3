"""The command line: assembles the commands, and is the only place where an error becomes words and an exit code."""

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from tfheal import __version__
from tfheal.base.errors import Interrupted, TfhealError, UsageError
from tfheal.base.exits import Exit
from tfheal.cli.apps import deploy, logs, remove
from tfheal.cli.backup import backup_app
from tfheal.cli.cron import cron_app
from tfheal.cli.demo import demo
from tfheal.cli.gateway import gateway_app
from tfheal.cli.health import heal, status
from tfheal.cli.history import history
from tfheal.cli.incidents import ack, incidents
from tfheal.cli.lab import lab_app
from tfheal.cli.patch import patch
from tfheal.cli.pauses import pause, resume
from tfheal.cli.place import place
from tfheal.cli.restore import restore
from tfheal.cli.secret import secret_app
from tfheal.cli.slices import slice_app, ssh
from tfheal.cli.tick import tick
from tfheal.cli.upgrade import rollback, upgrade
from tfheal.cli.workspace import explain, init, schema, validate


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"tfheal {__version__}\n")
        raise typer.Exit


app = typer.Typer(
    name="tfheal",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (
    demo,
    init,
    validate,
    deploy,
    upgrade,
    rollback,
    status,
    heal,
    tick,
    incidents,
    ack,
    pause,
    resume,
    history,
    logs,
    patch,
    place,
    restore,
    remove,
    ssh,
    schema,
    explain,
):
    app.command()(command)
app.add_typer(slice_app, name="slice")
app.add_typer(backup_app, name="backup")
app.add_typer(cron_app, name="cron")
app.add_typer(gateway_app, name="gateway")
app.add_typer(lab_app, name="lab")
app.add_typer(secret_app, name="secret")


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Deploy, check and heal applications on slices that their owners keep."""


ACTING = frozenset(
    {
        "backup",
        "demo",
        "deploy",
        "heal",
        "patch",
        "pause",
        "place",
        "remove",
        "restore",
        "resume",
        "rollback",
        "tick",
        "upgrade",
    }
)


class Ended(BaseException):
    """Ctrl-C or SIGTERM; not a KeyboardInterrupt, which the library would swallow without a word."""


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Given the arguments, run the command and return its exit code; an error is told in words, or as JSON."""
    try:
        return int(app(args=list(arguments), prog_name="tfheal", standalone_mode=False) or 0)
    except BrokenPipeError:  # whoever read us has had enough
        sys.stderr.close()
        return int(Exit.OK)
    except (Ended, KeyboardInterrupt, typer.Abort) as error:
        _told(_interruption(arguments), arguments)
        return int(Exit.TERMINATED if error.args == (signal.SIGTERM,) else Exit.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 (what is not ours is our own mistake, and is told as one)
        told = _ours(error, arguments)
        # No command at all: its help was printed, and there is nothing to add.
        return _told(told, arguments) if told.what else int(told.exit)


def _ours(error: Exception, arguments: Sequence[str]) -> TfhealError:
    from tfheal.cli.output import bug_report

    if isinstance(error, TfhealError):
        return error
    if isinstance(error, TyperException):
        if error.format_message().startswith("Usage: "):  # no command at all: the message is the help
            sys.stderr.write(error.format_message() + "\n")
            return UsageError("")
        return UsageError(error.format_message(), hint=_where_help_is(error))
    return bug_report(error, _known_secrets(arguments))


def _known_secrets(arguments: Sequence[str]) -> tuple[str, ...] | None:
    from tfheal.cli import wiring

    given = [after for word, after in zip(arguments, [*arguments[1:], ""], strict=True) if word == "--workspace"]
    given += [word.partition("=")[2] for word in arguments if word.startswith("--workspace=")]
    return wiring.known_secrets(next(iter(given), os.environ.get("TFHEAL_WORKSPACE")))


def _where_help_is(error: TyperException) -> str:
    context = getattr(error, "ctx", None)
    if context is None or context.parent is None or hasattr(context.command, "commands"):
        return f"{context.command_path if context else 'tfheal'} --help lists the commands"
    return f"{context.command_path} --help shows how it is used"


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    raise Ended(number)


def _interruption(arguments: Sequence[str]) -> Interrupted:
    if not ACTING & set(arguments[:1]):
        return Interrupted("interrupted")
    why = "what was begun is in the journal"
    return Interrupted("interrupted", why=why, hint="the same command goes on from there")


def _told(error: TfhealError, arguments: Sequence[str]) -> int:
    from tfheal.cli.output import tell_error

    words = [word for word in arguments if not word.startswith("-")]
    grouped = words[:1] in [[group.name] for group in app.registered_groups]
    tell_error(error, "-".join(words[: 2 if grouped else 1]), "--json" in arguments)
    return int(error.exit)
