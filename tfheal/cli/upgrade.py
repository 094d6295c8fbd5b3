"""Commands that bring an app to another version, and back; or many apps, in waves."""

from typing import TYPE_CHECKING, Annotated

import typer

from tfheal.cli.options import Except, Folder, Json, Quiet, seconds_of

if TYPE_CHECKING:
    from tfheal.cli.wiring import Wired
    from tfheal.flows.rollout import Manner
    from tfheal.flows.upgrade_checks import Wish
    from tfheal.model.upgrade import Strategy


def upgrade(
    apps: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SELECTOR]...",
            help="One app, or several: names, owner:NAME, slice:NAME, label:KEY=VALUE, playbook:NAME; * matches any part.",
            show_default=False,
        ),
    ] = None,
    to: Annotated[str, typer.Option("--to", metavar="VERSION", help="A version that its playbook lists.")] = "",
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
            "--share", metavar="PERCENT", min=1, max=50, help="Of the requests, for a canary; none: the playbook's."
        ),
    ] = None,
    time: Annotated[
        str | None, typer.Option("--time", metavar="TIME", help="How long a canary is compared; none: the playbook's.")
    ] = None,
    go_on: Annotated[bool, typer.Option("--go-on", help="A canary that proved nothing is good: go on.")] = False,
    every: Annotated[bool, typer.Option("--all", help="All apps whose playbook lists the version.")] = False,
    excluded: Except = None,
    waves: Annotated[
        str | None,
        typer.Option(
            "--waves", metavar="SIZES", help="Apps in each wave, as 1,10%,rest; none: by the ring of each app."
        ),
    ] = None,
    pause: Annotated[
        str | None, typer.Option("--pause", metavar="TIME", help="Between two waves; none: no pause.")
    ] = None,
    max_failures: Annotated[
        str,
        typer.Option(
            "--max-failures", metavar="N", help="Apps, or percent of them, that may fail; with more it stops."
        ),
    ] = "0",
    max_unavailable: Annotated[
        str,
        typer.Option("--max-unavailable", metavar="N", help="Apps, or percent of them, worked on or unwell at a time."),
    ] = "1",
    json: Json = False,
    quiet: Quiet = False,
    workspace: Folder = None,
) -> int:
    """Bring an app to another version, one instance after the other, or many apps in waves; what fails is taken back."""
    from tfheal.cli import wiring
    from tfheal.flows.rollout import Manner
    from tfheal.flows.upgrade_checks import Wish

    _meant(apps, every=every)
    seconds = {key: seconds_of(value, f"--{key}") for key, value in (("soak", soak), ("time", time)) if value}
    wish = Wish(to, plan, again, backup, strategy=strategy_of(strategy), share=share, go_on=go_on, **seconds)
    manner = Manner(
        tuple(waves.split(",")) if waves else (),
        seconds_of(pause, "--pause") if pause else 0.0,
        max_failures,
        max_unavailable,
    )
    with wiring.wired(workspace, quiet=quiet or json) as hands:
        _to_something(hands, apps, to)
        one = not (every or waves or excluded) and apps is not None and len(apps) == 1
        if one and apps and ":" not in apps[0] and "*" not in apps[0]:
            return _one(hands, apps[0], wish, as_json=json)
        return _many(hands, (tuple(apps or ()), tuple(excluded or ())), wish, manner, as_json=json)


def _to_something(hands: "Wired", apps: list[str] | None, to: str) -> None:
    from tfheal.base.errors import UsageError
    from tfheal.core.select import selected

    if not to:
        folders = (hands.workspace.folder(app).playbook for app in selected(hands.workspace, apps or ()))
        listed = {f"of {one.playbook} {', '.join(one.versions)}": None for one in folders}
        raise UsageError("to which version is not said", hint=f"--to VERSION: there are {'; '.join(listed)}")


def _meant(apps: list[str] | None, *, every: bool) -> None:
    from tfheal.base.errors import UsageError

    if bool(apps) == every:
        raise UsageError("say which apps", hint="by name or selector, or --all for all of them; not both")


def strategy_of(written: str | None) -> "Strategy | None":
    """Given how an upgrade is to go on, return that; raise UsageError for what is no way."""
    from tfheal.base.errors import UsageError

    match written:
        case None | "rolling" | "canary":
            return written
    raise UsageError(f"there is no --strategy {written}", hint="it is rolling or canary")


def _one(hands: "Wired", app: str, wish: "Wish", *, as_json: bool) -> int:
    from tfheal.cli import output
    from tfheal.core.select import named
    from tfheal.flows import upgrade as flow
    from tfheal.render.upgrade import upgrade_document, upgrade_words

    done = flow.upgrade(hands.workspace, named(hands.workspace, app), wish, hands.ports, hands.limits)
    code = int(done.exit)
    output.give("upgrade", upgrade_document(done), lambda _: upgrade_words(done), as_json=as_json, code=code)
    return code


def _many(
    hands: "Wired", meant: tuple[tuple[str, ...], tuple[str, ...]], wish: "Wish", manner: "Manner", *, as_json: bool
) -> int:
    from tfheal.cli import output
    from tfheal.core.select import selected
    from tfheal.flows.rollout import rollout
    from tfheal.render.upgrade import rollout_document, rollout_words

    apps = selected(hands.workspace, *meant)
    done = rollout(hands.workspace, apps, wish, manner, hands.ports, hands.limits)
    code = int(done.exit)
    output.give("upgrade", rollout_document(done), lambda _: rollout_words(done), as_json=as_json, code=code)
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
