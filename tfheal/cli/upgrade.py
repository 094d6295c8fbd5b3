"""Commands that bring an app to another version, and back."""

from typing import TYPE_CHECKING, Annotated

import typer

from tfheal.cli.options import Folder, Json, Quiet, seconds_of

if TYPE_CHECKING:
    from tfheal.model.upgrade import Strategy


def strategy_of(written: str | None) -> "Strategy | None":
    """Given how an upgrade is to go on, return that; raise UsageError for what is no way."""
    from tfheal.base.errors import UsageError

    match written:
        case None | "rolling" | "canary":
            return written
    raise UsageError(f"--strategy {written} is none", hint="it is rolling or canary")


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
    strategy: Annotated[
        str | None,
        typer.Option("--strategy", metavar="HOW", help="rolling: one after the other; canary: one with a share first."),
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(
            "--share",
            metavar="PERCENT",
            min=1,
            max=50,
            help="Of the requests for a canary; none: as the playbook says.",
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option("--time", metavar="TIME", help="How long a canary is compared; none: as the playbook says."),
    ] = None,
    go_on: Annotated[bool, typer.Option("--go-on", help="A canary that proved nothing is good: go on.")] = False,
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
        seconds = {key: seconds_of(value, f"--{key}") for key, value in (("soak", soak), ("time", time)) if value}
        wish = Wish(to, plan, again, backup, strategy=strategy_of(strategy), share=share, go_on=go_on, **seconds)
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
