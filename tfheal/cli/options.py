"""The options that several commands share, with one meaning each."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from tfheal.base.errors import UsageError

if TYPE_CHECKING:
    from tfheal.flows.fleet import Limits

Folder = Annotated[str | None, typer.Option("--workspace", envvar="TFHEAL_WORKSPACE", help="The workspace's folder.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print only when something happened.")]
KINDS: Final = "App names, owner:NAME, slice:NAME, label:KEY=VALUE, playbook:NAME; * matches any part."
Selectors = Annotated[
    list[str] | None, typer.Argument(metavar="[SELECTOR]...", help=f"{KINDS} None: all.", show_default=False)
]
Deadline = Annotated[
    str | None,
    typer.Option(
        "--deadline",
        metavar="DURATION",
        help="End in time: what was not reached by then is not checked, what was begun is not cut.",
    ),
]
Except = Annotated[
    list[str] | None, typer.Option("--except", metavar="SELECTOR", help="Leave these out.", show_default=False)
]


def ending(limits: "Limits", deadline: str | None) -> "Limits":
    """Given the limits of a run and its --deadline, return them with its end."""
    return limits if deadline is None else limits.ending(seconds_of(deadline, "--deadline"))


def seconds_of(text: str, option: str) -> float:
    """Given a duration as `2h` and the option that it was given for, return seconds; raise UsageError if it is none."""
    from tfheal.model.names import seconds

    try:
        return seconds(text)
    except ValueError as error:
        raise UsageError(f"{option} {text} is not a duration", why=str(error)) from None
