"""What was deleted, or would be, in words and as scripts read it."""

from collections.abc import Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from tfheal.base.amounts import size
from tfheal.base.moments import rfc3339
from tfheal.model.pruning import Pruned

_STYLES: Final = {"done": "green", "running": "yellow", "damaged": "bold red", "failed": "bold red"}


def planned_words(plans: Sequence[Pruned]) -> str:
    """Given which backups would go, return them for a person."""
    lines = [
        f"{plan.app}: {one.id}, {one.state}, {rfc3339(one.started)}, {size(one.bytes)} goes"
        for plan in plans
        for one in plan.going
    ]
    return "\n".join(lines) or "nothing is to be deleted"


def pruned_words(results: Sequence[Pruned], *, plan: bool) -> RenderableType:
    """Given what became of prunes, or what would (`plan`), return it for a person."""
    if plan:
        return Text(planned_words(results))
    lines: list[RenderableType] = []
    for result in results:
        if result.refused:
            lines.append(Text.assemble((result.app, "bold"), "  ", ("refused", "yellow"), f"  {result.refused}"))
        elif result.pruning is None:
            lines.append(Text.assemble((result.app, "bold"), "  nothing is to be deleted"))
        else:
            done = result.pruning
            told = f"  {len(done.backups)} backups, {size(done.freed)} freed  {done.detail}".rstrip()
            lines.append(Text.assemble((result.app, "bold"), "  ", (done.state, _STYLES[done.state]), told))
    return Group(*lines) if lines else Text("no app has backups")


def pruned_document(results: Sequence[Pruned], round_trips: int) -> dict[str, object]:
    """Given what became of prunes, or what would, return it as scripts read it."""
    return {"round_trips": round_trips, "apps": [_document(result) for result in results]}


def _document(result: Pruned) -> dict[str, object]:
    head: dict[str, object] = {"app": result.app, "going": [one.id for one in result.going]}
    if result.refused:
        return {**head, "refused": result.refused}
    if (done := result.pruning) is None:
        return head
    return {**head, "state": done.state, "backups": list(done.backups), "freed": done.freed, "detail": done.detail}
