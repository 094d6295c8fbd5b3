"""The demo in words: what happened, how long each step took, and what to type next."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from tfheal.model.demo import DemoStep
from tfheal.render.words import table


def demo_words(steps: Sequence[DemoStep], folder: str) -> RenderableType:
    """Given the steps and the folder of the workspace, return them for people, with what to type next."""
    made = table("step", "outcome", "seconds")
    made.columns[2].justify = "right"
    for step in steps:
        made.add_row(step.what, step.outcome, f"{step.seconds:.1f}")
    made.add_row(Text("all of it", style="bold"), "", f"{sum(step.seconds for step in steps):.1f}")
    following = [
        ("look at it", f"cd {folder} && tfheal status"),
        ("break and heal it", "tfheal lab faults; tfheal lab break s1 fill-disk --name demo; tfheal heal"),
        ("read what was done", "tfheal history"),
        ("use it", "tfheal deploy files says where it answers and how to get its password"),
        ("take it away", "tfheal demo --down"),
    ]
    return Group(
        made,
        Text(""),
        Text("what to type next", style="bold"),
        *(Text(f"  {why:20} {what}") for why, what in following),
    )


def demo_document(steps: Sequence[DemoStep], folder: str) -> dict[str, object]:
    """Given the steps and the folder of the workspace, return them as scripts read them: schema tfheal/demo/1."""
    return {
        "workspace": folder,
        "seconds": round(sum(step.seconds for step in steps), 1),
        "steps": [{"what": step.what, "outcome": step.outcome, "seconds": round(step.seconds, 2)} for step in steps],
    }
