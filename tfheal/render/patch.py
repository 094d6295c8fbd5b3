"""Pending security updates in words, and as scripts read them."""

from rich.console import Group, RenderableType
from rich.text import Text

from tfheal.model.facts import Fact, Known, Unknown
from tfheal.model.patches import PatchPlan, Pending
from tfheal.render.words import said, span, table


def patch_words(plan: PatchPlan) -> RenderableType:
    """Given what is pending, return it for a person's screen."""
    lines = [Text(f"{name}: {_line(found, plan.apps[name])}") for name, found in plan.slices.items()]
    rows = [
        (name, one) for name, found in plan.slices.items() if isinstance(found, Known) for one in found.value.patches
    ]
    if not rows:
        return Group(*lines)
    made = table("slice", "package", "installed", "offered", "pending for", "")
    for name, one in rows:
        made.add_row(name, one.package, one.installed, one.offered, span(one.age), "held" if one.held else "")
    return Group(*lines, Text(""), made)


def patch_document(plan: PatchPlan, round_trips: int) -> dict[str, object]:
    """Given what is pending, return it as scripts read it: schema tfheal/patch/1."""
    return {
        "round_trips": round_trips,
        "slices": [
            {"slice": name, "apps": list(plan.apps[name]), **_document(found)} for name, found in plan.slices.items()
        ],
    }


def _line(found: Fact[Pending], apps: tuple[str, ...]) -> str:
    if isinstance(found, Unknown):
        return f"not known: {found.reason}"
    pending = found.value
    words = [f"{len(pending.patches)} security updates pending", f"package lists {said(pending.lists, span)} old"]
    words += ["wants a reboot"] if pending.reboot else []
    return ", ".join([*words, f"under {', '.join(apps)}" if apps else "no apps"])


def _document(found: Fact[Pending]) -> dict[str, object]:
    if isinstance(found, Unknown):
        return {"pending": {"unknown": found.reason}}
    pending = found.value
    return {
        "pending": [
            {
                "package": one.package,
                "installed": one.installed,
                "offered": one.offered,
                "age": one.age,
                "held": one.held,
            }
            for one in pending.patches
        ],
        "lists_age": pending.lists.value if isinstance(pending.lists, Known) else {"unknown": pending.lists.reason},
        "reboot": pending.reboot,
    }
