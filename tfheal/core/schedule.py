"""The texts of a schedule: a systemd service with its timer, or a line of a crontab; each is known as ours by a mark."""

import hashlib
import re
from typing import Final

from tfheal.base import sh
from tfheal.base.errors import UsageError
from tfheal.model.schedule import Schedule

# What is ill or waits is told by the tick itself; systemd calls only that a failure which needs somebody.
_FINE: Final = "3 4 6"
_TENTH: Final = 10
_HOUR: Final = 60
_MINUTE: Final = 60.0


def name_of(workspace: str) -> str:
    """Given the folder of a workspace, return the name of its schedule: readable, and its own."""
    folder = re.sub(r"[^a-z0-9]+", "-", workspace.rpartition("/")[2].lower()).strip("-")[:30] or "workspace"
    return f"tfheal-tick-{folder}-{hashlib.sha256(workspace.encode()).hexdigest()[:6]}"


def mark(schedule: Schedule) -> str:
    """Return the line by which a file, or the lines of a crontab, are known as ours."""
    return f"# Made by `tfheal cron install` for {schedule.workspace}; `tfheal cron remove` takes it away."


def service(schedule: Schedule) -> str:
    """Return the text of the service: one tick. As long as it runs systemd starts no other."""
    lines = [
        mark(schedule),
        "[Unit]",
        f"Description=tfheal tick of {_literal(schedule.workspace)}",
        "Wants=network-online.target",
        "After=network-online.target",
        "",
        "[Service]",
        "Type=oneshot",
        *([f"User={schedule.user}"] if schedule.user else []),
        *(f"Environment={_quoted(f'{name}={value}')}" for name, value in sorted(schedule.environment.items())),
        f"ExecStart={' '.join(_quoted(word).replace('$', '$$') for word in command(schedule))}",
        f"SuccessExitStatus={_FINE}",
    ]
    return _checked("\n".join([*lines, ""]), schedule)


def timer(schedule: Schedule) -> str:
    """Return the text of the timer: a while after the last tick has ended, with a random delay, so that fleets spread."""
    lines = [
        mark(schedule),
        "[Unit]",
        f"Description=Run tfheal tick of {_literal(schedule.workspace)}",
        "",
        "[Timer]",
        "OnActiveSec=1s",
        f"OnUnitInactiveSec={schedule.every:g}s",
        f"RandomizedDelaySec={schedule.every / _TENTH:g}s",
        "AccuracySec=1s",
        "",
        "[Install]",
        "WantedBy=timers.target",
    ]
    return _checked("\n".join([*lines, ""]), schedule)


def command(schedule: Schedule) -> tuple[str, ...]:
    """Return the command that is run."""
    asked = ("tick", "--quiet", "--deadline", f"{schedule.deadline:g}s", "--workspace", schedule.workspace)
    return (*schedule.program, *asked)


def entry(schedule: Schedule) -> str:
    """Return the two lines of a crontab; raise UsageError for an interval that cron does not know.

    The minute is the workspace's own, so that fleets spread; that no two ticks overlap is the tick's own doing.
    """
    minutes = schedule.every / _MINUTE
    if minutes != int(minutes) or not 1 <= minutes <= _HOUR or _HOUR % int(minutes):
        raise UsageError(
            f"cron cannot run something every {schedule.every:g} s", why="it knows minutes that divide an hour"
        )
    step = int(minutes)
    begin = int(hashlib.sha256(schedule.workspace.encode()).hexdigest(), 16) % step
    when = "* * * * *" if step == 1 else f"{begin}-59/{step} * * * *"
    words = [f"{name}={sh.quote(value)}" for name, value in sorted(schedule.environment.items())]
    run = " ".join([*words, sh.join(*command(schedule))]).replace("%", "\\%")
    return _checked(f"{mark(schedule)}\n{when} {run}\n", schedule)


def with_entry(crontab: str, schedule: Schedule) -> str:
    """Given a crontab, return it with our lines, the ones before taken out; all else stays as it is."""
    kept = without_entry(crontab, schedule)
    return kept + ("\n" if kept and not kept.endswith("\n") else "") + entry(schedule)


def without_entry(crontab: str, schedule: Schedule) -> str:
    """Given a crontab, return it without our lines: the mark, and the line after it."""
    kept, ours = [], False
    for line in crontab.splitlines(keepends=True):
        if line.rstrip("\n") == mark(schedule):
            ours = True
        elif ours:
            ours = False
        else:
            kept.append(line)
    return "".join(kept)


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_literal(escaped)}"'


def _literal(text: str) -> str:
    return text.replace("%", "%%")


def _checked(text: str, schedule: Schedule) -> str:
    if not all(part.isprintable() for part in (schedule.workspace, *schedule.program, *schedule.environment.values())):
        raise UsageError("a path with control characters cannot be scheduled", where=repr(schedule.workspace))
    return text
