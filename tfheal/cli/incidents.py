"""`tfheal incidents` and `tfheal ack`: what ailed and what was done about it, and a person who says: I know."""

from typing import Annotated

import typer

from tfheal.cli.options import Folder, Json


def incidents(
    open_only: Annotated[bool, typer.Option("--open", help="Only those that are not over.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many of the newest.")] = 50,
    json: Json = False,
    workspace: Folder = None,
) -> None:
    """Show what ailed, the rungs that were taken, and how it ended; the newest last."""
    from tfheal.cli import output, wiring
    from tfheal.flows import incidents as flow
    from tfheal.render.incidents import incidents_document, incidents_words

    with wiring.journal(wiring.find_workspace(workspace)) as journal:
        found = flow.incidents(journal, limit, open_only=open_only)
    output.give("incidents", incidents_document(found), lambda _: incidents_words(found), as_json=json, code=0)


def ack(
    incident: Annotated[str, typer.Argument(metavar="INCIDENT", help="Its id, as incidents and status show it.")],
    json: Json = False,
    workspace: Folder = None,
) -> None:
    """Take an incident upon yourself: nobody is called for it again, and healing goes on."""
    from tfheal.cli import output, wiring
    from tfheal.flows import incidents as flow
    from tfheal.render.incidents import acked_document, acked_words

    with wiring.journal(wiring.find_workspace(workspace)) as journal:
        taken = flow.ack(journal, incident, wiring.operator(), wiring.now())
    output.tell("ack", acked_document(taken), acked_words(taken), as_json=json)
