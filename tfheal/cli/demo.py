"""The demo: one line from nothing to a healed application on real slices."""

from typing import Annotated, Final

import typer

from tfheal.cli.options import Json

FULL: Final = 3  # slices: a database, and two web servers


def demo(
    down: Annotated[bool, typer.Option("--down", help="Take the demo away: its slices and its folder.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Install missing host packages without asking.")] = False,
    folder: Annotated[str, typer.Option("--folder", help="The workspace to make.")] = "tfheal-demo",
    name: Annotated[str, typer.Option("--name", help="The name of its lab.")] = "demo",
    slices: Annotated[int, typer.Option("--slices", min=1, max=50, help="How many slices to boot.")] = 3,
    full: Annotated[bool, typer.Option("--full", help="Show an app over a database and two web slices too.")] = False,
    json: Json = False,
) -> int:
    """Boot real slices on this machine, deploy an app, use it, break it, heal it; --down takes it away."""
    from tfheal.base.errors import UsageError
    from tfheal.cli import lab_wiring, output
    from tfheal.model.demo import DemoSpec
    from tfheal.render.demo import demo_document, demo_words

    if down:
        was_there = lab_wiring.demo_down(folder, name)
        said = "the demo is gone" if was_there else "there is no demo"
        output.tell("demo-down", {"was_there": was_there}, said, as_json=json)
        return 0
    if full and slices < FULL:
        raise UsageError("the full demo needs more slices", where="--slices", hint=f"--slices {FULL}, or none given")
    steps = lab_wiring.demo(folder, DemoSpec(name, slices, full), yes=yes)
    called = output.program()
    document = demo_document(steps, folder)
    output.give("demo", document, lambda _width: demo_words(steps, folder, called, name), as_json=json, code=0)
    return 0
