"""Commands that look at apps and heal them."""

from typing import Annotated

import typer

from tfheal.cli.options import Deadline, Except, Folder, Json, Quiet, Selectors, ending


def status(
    selectors: Selectors = None,
    excluded: Except = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every few seconds, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option("--every", min=1.0, help="Seconds between looks of --watch.")] = 5.0,
    json: Json = False,
    quiet: Quiet = False,
    workspace: Folder = None,
) -> int:
    """Show the health of apps and slices; one round trip for each slice."""
    from tfheal.cli import output, wiring
    from tfheal.core.select import selected, slices_of
    from tfheal.flows.status import status as flow
    from tfheal.render.status import status_document, status_words

    with wiring.wired(workspace, quiet=True) as hands:
        names = selected(hands.workspace, selectors or (), excluded or ())
        specs = hands.workspace.apps
        owners = {name: (specs[name].owner, specs[name].playbook, specs[name].version) for name in names}
        slices = slices_of(hands.workspace, names, selectors or (() if excluded else ("slice:*",)))
        for again in output.repeated(every if watch else None):
            hands.trips.reset()
            seen = flow(hands.workspace, names, slices, hands.ports, hands.limits)
            code = int(seen.exit)
            document = status_document(seen, owners, hands.trips.by_slice, hands.workspace.inventory.slices)
            output.clear(again and not json)
            output.give(
                "status",
                document,
                lambda width, seen=seen: status_words(seen, owners, width),  # type: ignore[misc]
                as_json=json,
                code=code,
                silent=quiet and not code,
            )
    return code


def heal(
    selectors: Selectors = None,
    excluded: Except = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only show what would be done; exit 3 if anything would.")
    ] = False,
    auto: Annotated[bool, typer.Option("--auto", help="Never ask: for cron.")] = False,
    deadline: Deadline = None,
    json: Json = False,
    quiet: Quiet = False,
    workspace: Folder = None,
) -> int:
    """Find what ails apps and heal it, rung by rung, within budgets; a human is called at the ladder's end."""
    from tfheal.cli import asking, output, wiring
    from tfheal.core.select import selected
    from tfheal.flows.heal import HealOptions
    from tfheal.flows.heal import heal as flow
    from tfheal.render.heal import heal_document, heal_words, plan_words

    with wiring.wired(workspace, quiet=quiet or json) as hands:
        names = selected(hands.workspace, selectors or (), excluded or ())
        agree = asking.consent_to(lambda shown: output.show(plan_words(shown)), auto=auto)
        limits = ending(hands.limits, deadline)
        result = flow(hands.workspace, names, hands.ports, limits, HealOptions(plan, agree))
        code = int(result.exit)
        output.give(
            "heal",
            heal_document(result, hands.trips.total),
            lambda width: heal_words(result, width),
            as_json=json,
            code=code,
            silent=quiet and not code and not result.taken,
        )
    return code
