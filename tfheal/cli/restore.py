"""`tfheal restore`: a backup is brought back, in place of the live data or into a folder beside everything."""

from typing import Annotated

import typer

from tfheal.cli.options import Folder, Json


def restore(
    app: Annotated[str, typer.Argument(metavar="APP", help="The app.")],
    snapshot: Annotated[
        str | None, typer.Option("--snapshot", metavar="BACKUP", help="Which backup (default: the newest good one).")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="The newest good one that was whole at this time (RFC 3339)."),
    ] = None,
    component: Annotated[str | None, typer.Option(help="Only the data of this component.")] = None,
    scratch: Annotated[
        str | None, typer.Option(metavar="DIR", help="Into an empty folder of its slices; nothing live is touched.")
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="SLICE", help="Onto another slice of the owner, stopped; the app stays as it is."),
    ] = None,
    path: Annotated[str | None, typer.Option(help="With --scratch: only this file or folder.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would be done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Answer the question with yes.")] = False,
    json: Json = False,
    workspace: Folder = None,
) -> int:
    """Bring data back: beside what is there, checked, then in its place; what was there is set aside."""
    from tfheal.base.moments import parsed
    from tfheal.cli import asking, output, wiring
    from tfheal.flows import backup as backups
    from tfheal.flows import restore as flow
    from tfheal.render import restore as words

    with wiring.wired(workspace, quiet=json) as hands:
        window = hands.workspace.window(app)
        zone = window.zone if window else None
        wish = flow.Wish(snapshot, component, scratch, path, at=parsed(at, zone) if at else None, to=to)
        planned = flow.planned(hands.workspace, app, wish, hands.ports)
        told = words.planned_words(planned, hands.ports.clock.now())
        if plan:
            output.tell("restore", words.planned_document(planned), told, as_json=json)
            return 0
        if scratch is None:
            asking.agreed(f"{told}\nrestore this?", yes=yes)
        result = flow.restore(hands.workspace, planned, wish, hands.ports, hands.limits)
        if to is None and backups.begins_anew(hands.workspace, app, hands.ports):
            backups.backup(hands.workspace, (app,), hands.ports, hands.limits)
        document = words.restored_document(result, hands.trips.total)
        output.tell("restore", document, words.restored_words(result), as_json=json, code=int(result.exit))
    return int(result.exit)
