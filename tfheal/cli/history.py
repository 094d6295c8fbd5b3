"""`tfheal history`: what was done to the apps, why, and how it ended."""

from typing import Annotated

import typer

from tfheal.cli.options import Folder, Json


def history(
    app: Annotated[str | None, typer.Argument(help="Only this app's.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many of the newest.")] = 50,
    json: Json = False,
    workspace: Folder = None,
) -> None:
    """Show what was done, why, and how it ended; the newest last."""
    from tfheal.cli import output, wiring
    from tfheal.flows import history as flow
    from tfheal.render import history as words

    root = wiring.find_workspace(workspace)
    with wiring.journal(root) as journal:
        found = flow.history(journal, lambda: wiring.load(root).apps, app, limit)
    if json:
        output.tell_json("history", words.history_document(found.actions, found.abandoned), 0)
    else:
        output.show(words.history_table(found.actions, found.abandoned, output.console().width))
