"""`tfheal secret`: the secrets of an app, given, shown and made anew; a value is never on a command line."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from tfheal.cli.options import Folder, Json

if TYPE_CHECKING:
    from tfheal.base.secret import Secret

secret_app = typer.Typer(help="The secrets of an app, encrypted at rest.", no_args_is_help=True)

AppName = Annotated[str, typer.Argument(metavar="APP", help="The app.")]
SecretName = Annotated[str, typer.Argument(metavar="NAME", help="The secret, as its playbook names it.")]


@secret_app.command(name="set")
def set_(
    app: AppName,
    name: SecretName,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read the value from stdin; else it is asked for.")] = False,
    json: Json = False,
    workspace: Folder = None,
) -> None:
    """Give a secret a value of your own."""
    from tfheal.cli import wiring
    from tfheal.flows import secret as flow

    root = wiring.find_workspace(workspace)
    loaded = wiring.load(root)
    flow.declared(loaded, app, name)  # told before the value is asked for
    version = flow.set_secret(loaded, wiring.vault(root), app, name, _value(name, from_stdin=stdin))
    _tell("secret-set", app, name, version, as_json=json)


@secret_app.command()
def show(
    app: AppName,
    name: SecretName,
    version: Annotated[int | None, typer.Option(help="Which version (default: the newest).")] = None,
    json: Json = False,
    workspace: Folder = None,
) -> None:
    """Print the value of a secret, and nothing else."""
    from tfheal.cli import output, wiring
    from tfheal.flows import secret as flow

    root = wiring.find_workspace(workspace)
    number, value = flow.show_secret(wiring.load(root), wiring.vault(root), app, name, version)
    document = {"app": app, "name": name, "version": number, "value": value.reveal()}
    output.tell("secret-show", document, value.reveal(), as_json=json)


@secret_app.command()
def rotate(app: AppName, name: SecretName, json: Json = False, workspace: Folder = None) -> None:
    """Make a new version of a secret; the next deploy brings it into use."""
    from tfheal.cli import wiring
    from tfheal.flows import secret as flow

    root = wiring.find_workspace(workspace)
    version = flow.rotate_secret(wiring.load(root), wiring.vault(root), app, name)
    _tell("secret-rotate", app, name, version, as_json=json)


def _tell(command: str, app: str, name: str, version: int, *, as_json: bool) -> None:
    from tfheal.cli import output
    from tfheal.model.workspace import PING_SECRET

    used = "it is used from now on" if app == PING_SECRET[0] else f"`tfheal deploy {app}` brings it into use"
    words = f"{name} of {app} is at version {version}; {used}"
    output.tell(command, {"app": app, "name": name, "version": version}, words, as_json=as_json)


def _value(name: str, *, from_stdin: bool) -> "Secret":
    """Return the value that was piped in or typed unseen; raise UsageError if it can be neither."""
    from tfheal.base.errors import UsageError
    from tfheal.base.secret import Secret
    from tfheal.flows.secret import VALUE_CAP

    if from_stdin:
        # Decoded without an exception, which would carry the value.
        text = sys.stdin.buffer.read(4 * VALUE_CAP + 2).decode("utf-8", "replace")
        if "\ufffd" in text:
            raise UsageError(f"the value of {name} cannot be used", why="what came on stdin is not UTF-8 text")
        return Secret(text.removesuffix("\n").removesuffix("\r"))
    if not sys.stdin.isatty():
        raise UsageError(
            f"the value of {name} has to be asked for, and there is no terminal", hint="pipe it in, with --stdin"
        )
    return Secret(typer.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True, err=True))
