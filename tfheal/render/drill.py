"""Drills in words, and as scripts read them."""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from tfheal.base.amounts import span
from tfheal.base.moments import rfc3339
from tfheal.model.drill import Drill, DrillStep

_STYLES: Final = {"passed": "green", "damaged": "bold red", "failed": "bold red", "refused": "yellow"}


def drilled_words(results: Sequence[Drill]) -> RenderableType:
    """Given how drills ended, return it for a person."""
    lines: list[RenderableType] = []
    for one in results:
        of_backup = f"  backup {one.backup}, back in {span(one.seconds)}" if one.backup else ""
        lines.append(Text.assemble((one.app, "bold"), "  ", (one.state, _STYLES[one.state]), of_backup))
        lines += [
            Text(f"  {step.slice}  {step.name:20} {step.seconds:8.1f} s  {'passed' if step.passed else 'FAILED'}")
            for step in one.steps
        ]
        lines += [Text(f"  {one.detail}")] if one.detail else []
    return Group(*lines) if lines else Text("no app has backups")


def drilled_document(results: Sequence[Drill], round_trips: int) -> dict[str, object]:
    """Given how drills ended, return it as scripts read it."""
    return {
        "round_trips": round_trips,
        "drills": [
            {
                "id": one.id,
                "app": one.app,
                "backup": one.backup or {"unknown": "none was drilled"},
                "at": rfc3339(one.at),
                "state": one.state,
                "seconds": one.seconds,
                "steps": steps_document(one.steps),
                "detail": one.detail,
            }
            for one in results
        ],
    }


def steps_document(steps: Iterable[DrillStep]) -> list[dict[str, object]]:
    """Given the steps of a drill, return them as scripts read them."""
    return [
        {"slice": one.slice, "step": one.name, "seconds": one.seconds, "passed": one.passed, "detail": one.detail}
        for one in steps
    ]
