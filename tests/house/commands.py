"""Every command of the command line, with its options and what each is for, as the program itself knows them."""

from typing import Any

import typer

from tfheal.cli.main import app

SHARED = ("--json", "--quiet", "--workspace", "--except")


def every_command() -> dict[tuple[str, ...], Any]:
    """Return every command by its words; a group is none."""
    return dict(_below((), typer.main.get_command(app)))


def options_of(command: Any) -> dict[str, str]:  # noqa: ANN401  (Typer's own click is nobody's type)
    """Return the options and arguments of a command, each with what it is for."""
    return {
        (option.opts[0] if option.opts[0].startswith("-") else str(option.metavar or option.name.upper())): option.help
        or ""
        for option in command.params
        if option.name != "help"
    }


def name_of(argument: Any) -> str:  # noqa: ANN401
    """Return how an argument is called in the usage of its command."""
    return str(argument.metavar or argument.name.upper())


def _below(words: tuple[str, ...], command: Any) -> list[tuple[tuple[str, ...], Any]]:  # noqa: ANN401
    inside = getattr(command, "commands", None)
    if inside is None:
        return [(words, command)]
    return [found for name, each in inside.items() for found in _below((*words, name), each)]
