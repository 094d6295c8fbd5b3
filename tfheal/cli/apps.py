"""Commands that put apps onto slices and take them away."""

from typing import Annotated

import typer

from tfheal.cli.options import Except, Folder, Json, Quiet

Apps = Annotated[list[str], typer.Argument(metavar="SELECTOR...", help="App names, owner:NAME, slice:NAME, …")]


def deploy(
    apps: Apps,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only show what would change; exit 3 if anything would.")
    ] = False,
    onto_empty: Annotated[bool, typer.Option("--onto-empty", help="Accept a slice that lost its data.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Try a release again that was rolled back.")] = False,
    in_place: Annotated[
        bool,
        typer.Option("--in-place", help="Put another version over data, without the backup and watch of an upgrade."),
    ] = False,
    excluded: Except = None,
    json: Json = False,
    quiet: Quiet = False,
    workspace: Folder = None,
) -> int:
    """Bring apps to what their specs say: one round trip where nothing changed, two where something does."""
    from tfheal.base.exits import winning
    from tfheal.cli import output, wiring
    from tfheal.core.select import selected
    from tfheal.flows.deploy import DeployOptions
    from tfheal.flows.deploy import deploy as flow
    from tfheal.render.apps import deploy_document, deploy_words

    with wiring.wired(workspace, quiet=quiet or json) as hands:
        names = selected(hands.workspace, apps, excluded or ())
        results = flow(
            hands.workspace, names, hands.ports, hands.limits, DeployOptions(plan, onto_empty, again, in_place)
        )
        code = int(winning(result.exit for result in results))
        output.give(
            "deploy",
            deploy_document(results, hands.trips.total),
            lambda _width: deploy_words(results, planned=plan),
            as_json=json,
            code=code,
            silent=quiet and not code and all(item.outcome == "unchanged" for r in results for item in r.instances),
        )
    return code


def remove(
    apps: Annotated[
        list[str],
        typer.Argument(metavar="SELECTOR...", help="Apps as for deploy, or instances as app/component@slice."),
    ],
    data: Annotated[bool, typer.Option("--data", help="The owner's data too; asks first.")] = False,
    backups: Annotated[
        bool, typer.Option("--backups", help="The repositories of its backups too; asks first.")
    ] = False,
    packages: Annotated[bool, typer.Option("--packages", help="Packages too that tfheal installed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Answer the question with yes.")] = False,
    json: Json = False,
    quiet: Quiet = False,
    workspace: Folder = None,
) -> int:
    """Remove what tfheal made for an app; the owner's data stays unless --data."""
    from tfheal.base.exits import winning
    from tfheal.cli import asking, output, wiring
    from tfheal.flows.remove import RemoveOptions, chosen
    from tfheal.flows.remove import remove as flow
    from tfheal.render.apps import remove_document, remove_words

    with wiring.wired(workspace, quiet=quiet or json) as hands:
        items = chosen(hands.workspace, tuple(apps), hands.ports)
        if data:
            asking.agreed(f"delete the owner's data of {', '.join(apps)} for good?", yes=yes)
        if backups:
            asking.agreed(f"delete the backups of {', '.join(apps)} for good?", yes=yes)
        results = flow(hands.workspace, items, hands.ports, hands.limits, RemoveOptions(packages, data, backups))
        code = int(winning(result.exit for result in results))
        document = remove_document(results, hands.trips.total)
        output.give(
            "remove", document, lambda _width: remove_words(results), as_json=json, code=code, silent=quiet and not code
        )
    return code


def logs(
    target: Annotated[str, typer.Argument(metavar="APP[/COMPONENT]", help="An app, or one component of it.")],
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=10_000, help="How many of each instance.")] = 100,
    json: Json = False,
    workspace: Folder = None,
) -> int:
    """Show the newest log lines of an app's services."""
    from tfheal.base.exits import winning
    from tfheal.cli import output, wiring
    from tfheal.flows.logs import logs as flow
    from tfheal.render.logs import logs_document, logs_words

    with wiring.wired(workspace, quiet=True) as hands:
        found = flow(hands.workspace, target, lines, hands.ports, hands.limits)
        code = int(winning(entry.exit for entry in found))
        output.give("logs", logs_document(found), lambda _width: logs_words(found), as_json=json, code=code)
    return code
