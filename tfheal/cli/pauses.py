"""`tfheal pause` and `tfheal resume`: a person keeps tfheal's hands off an app or a slice for a while."""

from typing import Annotated

import typer

from tfheal.cli.options import Folder, Json, seconds_of

Target = Annotated[
    str, typer.Argument(metavar="APP|SLICE", help="An app, or a slice (slice:NAME where an app has the same name).")
]


def pause(
    target: Target,
    length: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long: 30m, 2h, 1d; then it ends.")],
    why: Annotated[str, typer.Option("--why", help="Why, for everybody who wonders.")],
    json: Json = False,
    workspace: Folder = None,
) -> int:
    """Stop all actions on an app or a slice for a while; looking goes on."""
    from tfheal.cli import output, wiring
    from tfheal.flows import pauses as flow
    from tfheal.render.pauses import paused_document, paused_words

    order = flow.PauseOrder(wiring.operator(), seconds_of(length, "--for"), why)
    with wiring.wired(workspace, quiet=json) as hands:
        done = flow.pause(hands.workspace, target, order, hands.ports, hands.limits)
    code = int(done.exit)
    output.give("pause", paused_document(done), lambda _: paused_words(done), as_json=json, code=code)
    return code


def resume(target: Target, json: Json = False, workspace: Folder = None) -> int:
    """End the pause of an app or a slice, whoever made it."""
    from tfheal.cli import output, wiring
    from tfheal.flows import pauses as flow
    from tfheal.render.pauses import paused_document, resumed_words

    with wiring.wired(workspace, quiet=json) as hands:
        done = flow.resume(hands.workspace, target, wiring.operator(), hands.ports, hands.limits)
    code = int(done.exit)
    output.give("resume", paused_document(done), lambda _: resumed_words(done), as_json=json, code=code)
    return code
