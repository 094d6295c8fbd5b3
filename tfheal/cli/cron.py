"""`tfheal cron`: a timer of systemd, or a line for cron, that runs `tfheal tick` again and again."""

from typing import TYPE_CHECKING, Annotated

import typer

from tfheal.cli.options import Folder, Json, seconds_of

if TYPE_CHECKING:
    from tfheal.model.schedule import Schedule

cron_app = typer.Typer(help="Run tick by itself, again and again.", no_args_is_help=True)

Crontab = Annotated[bool, typer.Option("--crontab", help="A line in your crontab, instead of a timer of systemd.")]


@cron_app.command()
def install(
    every: Annotated[str, typer.Option("--every", metavar="DURATION", help="The time between two ticks.")] = "5m",
    deadline: Annotated[
        str | None, typer.Option("--deadline", metavar="DURATION", help="Of each tick (default: as --every).")
    ] = None,
    crontab: Crontab = False,
    json: Json = False,
    workspace: Folder = None,
) -> None:
    """Install a timer for this workspace, run as its owner; again: it is brought up to date."""
    from tfheal.cli import wiring

    seconds = seconds_of(every, "--every")
    limit = seconds_of(deadline, "--deadline") if deadline else seconds
    schedule = wiring.schedule(workspace, seconds, limit)
    changed = wiring.scheduler(crontab=crontab).put(schedule)
    _tell("cron-install", schedule, crontab=crontab, as_json=json, changed=changed)


@cron_app.command()
def remove(crontab: Crontab = False, json: Json = False, workspace: Folder = None) -> None:
    """Remove the timer of this workspace, and nothing else."""
    from tfheal.cli import wiring

    schedule = wiring.schedule(workspace, 0.0, 0.0)
    changed = wiring.scheduler(crontab=crontab).drop(schedule)
    _tell("cron-remove", schedule, crontab=crontab, as_json=json, changed=changed)


@cron_app.command()
def show(crontab: Crontab = False, json: Json = False, workspace: Folder = None) -> None:
    """Show the timer of this workspace, when it ran last and when it runs next."""
    from tfheal.cli import wiring

    _tell("cron-show", wiring.schedule(workspace, 0.0, 0.0), crontab=crontab, as_json=json, changed=False)


def _tell(verb: str, schedule: "Schedule", *, crontab: bool, as_json: bool, changed: bool) -> None:
    from tfheal.cli import output, wiring
    from tfheal.render.schedule import schedule_document, schedule_words

    found = wiring.scheduler(crontab=crontab).look(schedule)
    document = schedule_document(schedule, found, changed=changed)
    output.tell(verb, document, schedule_words(schedule, found, wiring.now()), as_json=as_json)
