"""`tfheal patch`: the updates of the machines under the apps."""

from typing import TYPE_CHECKING, Annotated

import typer

from tfheal.cli.options import KINDS, Except, Folder, Json

if TYPE_CHECKING:
    from tfheal.cli.wiring import Wired
    from tfheal.core.patch_rules import Wish


def patch(
    selectors: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SELECTOR]...",
            help=f"{KINDS} None: all, with --plan; else say which.",
            show_default=False,
        ),
    ] = None,
    excluded: Except = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show what is pending; exit 3 if anything is.")] = False,
    security: Annotated[bool, typer.Option("--security", help="Security updates alone.")] = False,
    now: Annotated[bool, typer.Option("--now", help="Do not wait for the windows of the apps.")] = False,
    reboot: Annotated[
        bool, typer.Option("--reboot", help="Then reboot the slices that ask for it, where that is allowed.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what was taken back before.")] = False,
    fetch: Annotated[bool, typer.Option("--fetch", help="Fetch the package lists there before.")] = False,
    kev: Annotated[
        str | None,
        typer.Option(
            "--kev", metavar="FILE", help="CISA's catalogue of known exploited vulnerabilities: these come first."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Answer the question with yes.")] = False,
    json: Json = False,
    workspace: Folder = None,
) -> int:
    """Install the updates of the packages of slices; every app is checked again, and what breaks one is taken back."""
    from tfheal.base.errors import UsageError
    from tfheal.cli import wiring
    from tfheal.core.patch_rules import Wish
    from tfheal.core.select import machines
    from tfheal.flows import patch as flow

    if not (plan or selectors):
        raise UsageError("which slices?", hint='"slice:*" is all of them; --plan shows what is pending')
    with wiring.wired(workspace, quiet=plan or json) as hands:
        hands = wiring.with_catalogue(hands, kev)  # noqa: PLW2901 (the same hands, and one more)
        slices = machines(hands.workspace, selectors or (), excluded or ())
        if not slices:
            raise UsageError("no slice is meant", why="what is left out by --except is on all of them")
        if fetch:
            flow.fetch(hands.workspace, slices, hands.ports, hands.limits)
        if plan:
            return _planned(hands, slices, security=security, json=json)
        return _patched(hands, slices, Wish(security, now, again, reboot), yes=yes, json=json)


def _planned(hands: "Wired", slices: tuple[str, ...], *, security: bool, json: bool) -> int:
    from tfheal.cli import output
    from tfheal.flows import patch as flow
    from tfheal.render.patch import patch_document, patch_words

    found = flow.planned(hands.workspace, slices, hands.ports, hands.limits)
    found = found.of_security if security else found
    document = patch_document(found, hands.trips.total)
    output.give("patch", document, lambda _width: patch_words(found), as_json=json, code=int(found.exit))
    return int(found.exit)


def _patched(hands: "Wired", slices: tuple[str, ...], wish: "Wish", *, yes: bool, json: bool) -> int:
    from tfheal.cli import asking, output
    from tfheal.flows import patch as flow
    from tfheal.model.patches import PatchPlan
    from tfheal.render.patch import patch_document, patch_words, patched_words

    def agree(plan: PatchPlan) -> None:
        if not yes:
            output.show(patch_words(plan))
        asking.agreed(
            f"install these updates on {', '.join(slices)}?", yes=yes, otherwise="--yes says yes, --plan only shows"
        )

    options = flow.PatchOptions(wish, agree)
    plan, run = flow.patch(hands.workspace, slices, hands.ports, hands.limits, options)
    document = patch_document(plan, hands.trips.total, run)
    output.give("patch", document, lambda _width: patched_words(run), as_json=json, code=int(run.exit))
    return int(run.exit)
