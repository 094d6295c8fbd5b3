"""Where an app runs, in words."""

from rich.console import Group, RenderableType
from rich.text import Text

from tfheal.model.results import Placed
from tfheal.render.words import table


def place_words(placed: Placed) -> RenderableType:
    """Given where an app runs, return it for a person's screen."""
    made = table("component", "runs on", "the app spec says", "placed by")
    for one in placed.components:
        by = "a person" if one.pinned else "healing" if one.slices != one.written else "the app spec"
        made.add_row(one.component, ", ".join(one.slices), ", ".join(one.written), by)
    left = [Text(f"{name} is retired: stopped as soon as its slice answers", style="yellow") for name in placed.left]
    failed = [Text(f"{name}  failed  {why}", style="bold red") for name, why in placed.failed.items()]
    unpublished = [Text(why, style="bold red") for why in placed.unpublished]
    return Group(made, *left, *failed, *unpublished)


def place_document(placed: Placed) -> dict[str, object]:
    """Given where an app runs, return it as scripts read it: schema tfheal/place/1."""
    return {
        "app": placed.app,
        "generation": placed.generation,
        "components": [
            {
                "component": one.component,
                "slices": list(one.slices),
                "written": list(one.written),
                "pinned": one.pinned,
            }
            for one in placed.components
        ],
        "retired": [str(name) for name in placed.left],
        "failed": {str(name): why for name, why in placed.failed.items()},
        "unpublished": list(placed.unpublished),
    }
