"""The demo in words: what happened, how long each step took, and what to type next."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from tfheal.model.demo import DemoStep
from tfheal.render.words import table


def demo_words(steps: Sequence[DemoStep], folder: str, program: str, lab: str) -> RenderableType:
    """Given the steps, the folder of the workspace, how tfheal is called and the lab's name, return them with what to type next."""
    made = table("step", "outcome", "seconds")
    made.columns[2].justify = "right"
    for step in steps:
        made.add_row(step.what, step.outcome, f"{step.seconds:.1f}")
    made.add_row(Text("all of it", style="bold"), "", f"{sum(step.seconds for step in steps):.1f}")
    following = [
        ("look at it", f"cd {folder}; {program} status"),
        ("see its password", f"{program} secret show files admin_password"),
        ("break it", f"{program} lab break s1 fill-disk"),
        ("heal it", f"{program} heal"),
        ("read what was done", f"{program} history"),
        (
            "take it away",
            f"cd ..; {program} demo --down" + ("" if lab == "demo" else f" --folder {folder} --name {lab}"),
        ),
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
