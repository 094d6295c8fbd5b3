"""The command that tells where an app runs, and moves it."""

from typing import Annotated

import typer

from tfheal.cli.options import Folder, Json


def place(
    app: Annotated[str, typer.Argument(metavar="APP", help="The app.")],
    wishes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[COMPONENT=SLICE]...", help="Where a component is to run: SLICE, or SLICE,SLICE."),
    ] = None,
    json: Json = False,
    workspace: Folder = None,
) -> int:
    """Show where an app runs; or move components that hold no data, which healing then leaves where you put them."""
    from tfheal.cli import output, wiring
    from tfheal.core.select import named
    from tfheal.flows import place as flow
    from tfheal.render.place import place_document, place_words

    wanted = _wanted(wishes or [])
    with wiring.wired(workspace, quiet=json) as hands:
        name = named(hands.workspace, app)
        if wanted:
            placed = flow.place(hands.workspace, name, wanted, hands.ports, hands.limits)
        else:
            placed = flow.listed(hands.workspace, name, hands.ports)
    code = int(placed.exit)
    output.give("place", place_document(placed), lambda _: place_words(placed), as_json=json, code=code)
    return code


def _wanted(written: list[str]) -> dict[str, tuple[str, ...]]:
    """Given words `COMPONENT=SLICE,SLICE`, return them; raise UsageError for one that is none."""
    from tfheal.base.errors import UsageError

    if odd := [word for word in written if "=" not in word]:
        raise UsageError(f"{odd[0]} says no place", hint="write it COMPONENT=SLICE")
    pairs = (word.split("=", 1) for word in written)
    return {component: tuple(names.split(",")) for component, names in pairs}
