"""The command line: assembles the commands, and is the only place where an error becomes words and an exit code."""

import typer

from tfheal.cli.lab import lab_app

app = typer.Typer(
    name="tfheal",
    help="Deploy, check and heal applications on slices that their owners keep.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


app.add_typer(lab_app, name="lab")


def main() -> None:
    """Run the command line."""
    from tfheal.base.errors import TfhealError

    try:
        app()
    except TfhealError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(int(error.exit)) from None
