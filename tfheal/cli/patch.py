"""`tfheal patch`: the security updates of the machines under the apps."""

from typing import Annotated

import typer

from tfheal.cli.options import Except, Folder, Json, Selectors


def patch(
    selectors: Selectors = None,
    excluded: Except = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show what is pending; exit 3 if anything is.")] = False,
    json: Json = False,
    workspace: Folder = None,
) -> int:
    """Show the security updates that are pending on slices; they are not applied yet, so --plan is needed."""
    from tfheal.base.errors import UsageError
    from tfheal.cli import output, wiring
    from tfheal.core.select import selected, slices_of
    from tfheal.flows import patch as flow
    from tfheal.render.patch import patch_document, patch_words

    if not plan:
        raise UsageError("patches are not applied yet", hint="tfheal patch --plan shows what is pending")
    with wiring.wired(workspace, quiet=True) as hands:
        names = selected(hands.workspace, selectors or (), excluded or ())
        slices = slices_of(hands.workspace, names, selectors or (() if excluded else ("slice:*",)))
        found = flow.planned(hands.workspace, slices, hands.ports, hands.limits)
        document = patch_document(found, hands.trips.total)
    output.give("patch", document, lambda _width: patch_words(found), as_json=json, code=int(found.exit))
    return int(found.exit)
