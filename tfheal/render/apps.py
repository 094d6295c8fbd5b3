"""Deploys and removals in words: what would change, what changed, where it answers."""

from collections.abc import Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from tfheal.model.backup import STORE
from tfheal.model.plan import Change
from tfheal.model.results import AppResult, InstanceResult, Removal, Removed
from tfheal.render.words import table

STYLES: Final = {
    "unchanged": "green",
    "changed": "green",
    "planned": "yellow",
    "failed": "bold red",
    "skipped": "yellow",
    "refused": "yellow",
    "unasked": "magenta",
    "done": "green",
    "unknown": "magenta",
    "will": "yellow",
    "might": "cyan",
}


def deploy_words(results: Sequence[AppResult], *, planned: bool) -> RenderableType:
    """Given the results of a deploy or of its plan, return them for people."""
    parts: list[RenderableType] = []
    for result in results:
        parts.append(Text(result.app, style="bold"))
        if result.refused:
            parts.append(Text(f"  refused: {result.refused}", style=STYLES["refused"]))
        for item in result.instances:
            parts += _instance(item, planned=planned)
        parts += [Text(f"  {why}", style=STYLES["failed"]) for why in result.unpublished]
        if not planned:
            parts += _closing(result)
    return Group(*parts)


def deploy_document(results: Sequence[AppResult], round_trips: int) -> dict[str, object]:
    """Given the results of a deploy or of its plan, return them as scripts read them: schema tfheal/deploy/1."""
    return {
        "round_trips": round_trips,
        "apps": [
            {
                "app": result.app,
                "refused": result.refused,
                "urls": list(result.urls),
                "unpublished": list(result.unpublished),
                "instances": [_instance_document(item) for item in result.instances],
            }
            for result in results
        ],
    }


def remove_words(results: Sequence[Removal]) -> RenderableType:
    """Given the results of a removal, return them for people."""
    if not any(result.refused or result.instances for result in results):
        return Text("nothing to remove")
    made = table("instance", "outcome", "seconds", "detail")
    for result in results:
        if result.refused:
            made.add_row(result.app, Text("refused", style=STYLES["refused"]), "", Text(result.refused))
        for item in result.instances:
            outcome = Text("removed" if item.outcome == "done" else item.outcome, style=STYLES.get(item.outcome, ""))
            made.add_row(str(item.instance), outcome, f"{item.seconds:.1f}", Text(_left(item)))
    return made


def _left(item: Removed) -> str:
    """Return what a removal left behind, and where: with backups stays what opens them."""
    if item.outcome != "done":
        return item.detail
    if not item.kept:
        return ""
    backups = f"; their passwords stay in secrets/{item.instance.app}.age" if item.instance.component == STORE else ""
    return f"kept: {', '.join(item.kept)}{backups}"


def remove_document(results: Sequence[Removal], round_trips: int) -> dict[str, object]:
    """Given the results of a removal, return them as scripts read them: schema tfheal/remove/1."""
    return {
        "round_trips": round_trips,
        "apps": [
            {
                "app": result.app,
                "refused": result.refused,
                "instances": [
                    {
                        "instance": str(item.instance),
                        "outcome": item.outcome,
                        "detail": item.detail,
                        "seconds": round(item.seconds, 3),
                        "kept": list(item.kept),
                    }
                    for item in result.instances
                ],
            }
            for result in results
        ],
    }


def _instance(item: InstanceResult, *, planned: bool) -> list[RenderableType]:
    head = Text.assemble(f"  {item.plan.instance}  ", (item.outcome, STYLES[item.outcome]))
    head.append(f"  release {item.plan.release[:8]}, version {item.plan.version}", style="dim")
    if item.outcome == "planned":
        head.append(f"  ({item.plan.reason})")
    elif item.outcome == "changed":
        head.append(f"  in {item.seconds:.1f} s")
    parts: list[RenderableType] = [head]
    if planned:
        for change in item.plan.changes:
            parts += _change(change)
    elif item.detail and item.outcome not in {"changed", "unchanged"}:
        parts += [Text(f"    {line}") for line in item.detail.strip().splitlines()]
    return parts


def _change(change: Change) -> list[RenderableType]:
    parts: list[RenderableType] = [
        Text.assemble(
            "    ",
            (f"{change.certainty:7}", STYLES.get(change.certainty, "magenta")),
            f" {change.resource}: {change.detail}",
        )
    ]
    for line in change.diff.splitlines():
        style = "green" if line.startswith("+") else "red" if line.startswith("-") else "dim"
        parts.append(Text(f"      {line}", style=style))
    return parts


def _closing(result: AppResult) -> list[RenderableType]:
    bad = [item for item in result.instances if item.outcome in {"failed", "skipped", "refused", "unasked"}]
    if bad:
        return [
            Text(f"  what to do: mend what is said above, then tfheal deploy {result.app} again: it goes on from here")
        ]
    parts: list[RenderableType] = [Text(f"  answers at {url}") for url in result.urls]
    parts += [Text(f"  its {name} secret: tfheal secret show {result.app} {name}") for name in result.shown_secrets]
    return parts


def _instance_document(item: InstanceResult) -> dict[str, object]:
    return {
        "component": item.plan.instance.component,
        "slice": item.plan.instance.slice,
        "release": item.plan.release,
        "version": item.plan.version,
        "reason": item.plan.reason,
        "outcome": item.outcome,
        "detail": item.detail,
        "seconds": round(item.seconds, 3),
        "changes": [
            {"resource": change.resource, "certainty": change.certainty, "detail": change.detail, "diff": change.diff}
            for change in item.plan.changes
        ],
    }
