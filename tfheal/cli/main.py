"""The command line: assembles the commands, and is the only place where an error becomes words and an exit code."""

import typer

app = typer.Typer(
    name="tfheal",
    help="Deploy, check and heal applications on slices that their owners keep.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line."""
    app()
