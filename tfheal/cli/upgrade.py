"""Commands that bring an app to another version, and back."""

from typing import Annotated

import typer

from tfheal.cli.options import Folder, Json, Quiet, seconds_of


def upgrade(
    app: Annotated[str, typer.Argument(metavar="APP", help="The app.")],
    to: Annotated[str, typer.Option("--to", metavar="VERSION", help="A version that its playbook lists.")],
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what would be done; exit 3 if anything would.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Try a version again that was taken back.")] = False,
    backup: Annotated[
        bool, typer.Option("--backup/--no-backup", help="Whether a backup is made and verified before.")
    ] = True,
    soak: Annotated[
        str | None,
        typer.Option("--soak", metavar="TIME", help="How long each instance has to stay well; none: the playbook's."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    workspace: Folder = None,
) -> int:
    """Bring an app to another version, one instance after the other; what fails is taken back."""
    from tfheal.cli import output, wiring
    from tfheal.core.select import named
    from tfheal.flows import upgrade as flow
    from tfheal.flows.upgrade_checks import Wish
    from tfheal.render.upgrade import upgrade_document, upgrade_words

    with wiring.wired(workspace, quiet=quiet or json) as hands:
        wish = Wish(to, plan, again, backup, seconds_of(soak, "--soak") if soak else None)
        done = flow.upgrade(hands.workspace, named(hands.workspace, app), wish, hands.ports, hands.limits)
        code = int(done.exit)
        output.give("upgrade", upgrade_document(done), lambda _: upgrade_words(done), as_json=json, code=code)
    return code


def rollback(
    app: Annotated[str, typer.Argument(metavar="APP", help="The app.")],
    lose_changes: Annotated[
        bool,
        typer.Option(
            "--lose-changes", help="Go back to the database server of before, without what was written since."
        ),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    workspace: Folder = None,
) -> int:
    """Take the last upgrade of an app back, where its playbook says that this is safe."""
    from tfheal.cli import output, wiring
    from tfheal.core.select import named
    from tfheal.flows import upgrade as flow
    from tfheal.render.upgrade import upgrade_document, upgrade_words

    with wiring.wired(workspace, quiet=quiet or json) as hands:
        name = named(hands.workspace, app)
        done = flow.rollback(hands.workspace, name, hands.ports, hands.limits, lose=lose_changes)
        code = 0 if done.upgrade.state == "rolled-back" else int(done.exit)
        output.give("rollback", upgrade_document(done), lambda _: upgrade_words(done), as_json=json, code=code)
    return code
