"""Schedules on this machine: units of systemd, of the machine or of one user, or lines of a user's crontab."""

import json
import os
import pwd
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tfheal.base import untrusted
from tfheal.base.errors import ActionFailed, Refused, TfhealError, UsageError
from tfheal.core import schedule as texts
from tfheal.edge import local
from tfheal.edge.disk import replace_file
from tfheal.model.schedule import Schedule, Scheduled, Seat

SYSTEM: Final = "/etc/systemd/system"
SYSTEMD: Final = "/run/systemd/system"  # is there where systemd is PID 1: sd_booted(3)
_SECONDS: Final = 30.0


class Here:
    """This machine."""

    def read(self, path: str) -> str | None:
        """Return the text of a file, None if there is none."""
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UsageError("cannot read the file", where=path, why=error.strerror or str(error)) from error

    def write(self, path: str, text: str) -> None:
        """Write a file, with the folders to it."""
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError("cannot make the folder", where=path, why=error.strerror or str(error)) from error
        replace_file(Path(path), text.encode())

    def delete(self, path: str) -> None:
        """Delete a file."""
        try:
            Path(path).unlink(missing_ok=True)
        except OSError as error:
            raise UsageError("cannot delete the file", where=path, why=error.strerror or str(error)) from error

    def run(self, argv: tuple[str, ...], stdin: str = "") -> tuple[int, str]:
        """Run a program with a text on stdin; return its exit status, and what it said."""
        reply = local.run(argv, timeout=_SECONDS, stdin=stdin.encode(), environment={"LC_ALL": "C"})
        return reply.status, (reply.stderr if reply.status else reply.stdout).decode("utf-8", "replace")


class SystemdScheduler:
    """The scheduler port over systemd: a service and its timer, for the machine or (`own`) for the user who runs this."""

    def __init__(self, seat: Seat, folder: str = SYSTEM, *, own: bool = False) -> None:
        """Keep units in that folder; nothing is looked at before it is needed."""
        self._seat = seat
        self._folder = folder
        self._systemctl = ("systemctl", "--user") if own else ("systemctl",)
        self._own = own

    def put(self, schedule: Schedule) -> bool:
        """Install a schedule, started at once; return whether anything changed."""
        wanted = self._units(schedule)
        self._refuse_others(schedule)
        status, said = self._seat.run((*self._systemctl, "show", "--property=Version"))
        if status:
            hint = "--crontab writes a line for cron instead"
            raise UsageError("systemd cannot be reached", why=untrusted.line(said, 300), hint=hint)
        changed = [path for path, text in wanted.items() if self._seat.read(path) != text]
        for path in changed:
            self._seat.write(path, wanted[path])
        unit = f"{schedule.name}.timer"
        if changed:
            self._do("daemon-reload")
        if changed or self._ask("is-active", unit) != "active" or self._ask("is-enabled", unit) != "enabled":
            self._do("enable", unit)
            self._do("restart", unit)
            return True
        return False

    def drop(self, schedule: Schedule) -> bool:
        """Remove a schedule, its timer stopped; a tick under way goes on to its end. Return whether it was there."""
        ours = [path for path in self._units(schedule) if self._is_ours(path, schedule)]
        if not ours:
            return False
        self._seat.run((*self._systemctl, "disable", "--now", f"{schedule.name}.timer"))
        for path in ours:
            self._seat.delete(path)
        self._seat.run((*self._systemctl, "daemon-reload"))
        return True

    def look(self, schedule: Schedule) -> Scheduled | None:
        """Return what there is of a schedule, None if nothing."""
        ours = tuple(path for path in self._units(schedule) if self._is_ours(path, schedule))
        if not ours:
            return None
        unit = f"{schedule.name}.timer"
        status, said = self._seat.run((*self._systemctl, "list-timers", "--all", "--output=json", unit))
        times = _times(said) if status == 0 else {}
        active = self._ask("is-active", unit) == "active"
        return Scheduled(ours, active, times.get("last"), times.get("next"), self._note())

    def _units(self, schedule: Schedule) -> dict[str, str]:
        base = f"{self._folder}/{schedule.name}"
        return {f"{base}.service": texts.service(schedule), f"{base}.timer": texts.timer(schedule)}

    def _is_ours(self, path: str, schedule: Schedule) -> bool:
        return (self._seat.read(path) or "").startswith(texts.mark(schedule) + "\n")

    def _refuse_others(self, schedule: Schedule) -> None:
        for path in self._units(schedule):
            if self._seat.read(path) is not None and not self._is_ours(path, schedule):
                raise Refused("there is a unit of somebody else", where=path, hint="it is left as it is; move it away")

    def _note(self) -> str:
        """Return what a user has to know: units of users end with their last session, unless they linger."""
        if not self._own:
            return ""
        status, said = self._seat.run(("loginctl", "show-user", str(os.getuid()), "--property=Linger", "--value"))
        if status == 0 and said.strip() == "yes":
            return ""
        return "it runs while you are logged in; loginctl enable-linger makes it run always"

    def _ask(self, *words: str) -> str:
        return self._seat.run((*self._systemctl, *words))[1].strip()

    def _do(self, *words: str) -> None:
        status, said = self._seat.run((*self._systemctl, *words))
        if status:
            raise ActionFailed(f"systemctl {' '.join(words)} failed", why=untrusted.line(said, 300))


class CronScheduler:
    """The scheduler port over the crontab of whoever runs this."""

    def __init__(self, seat: Seat) -> None:
        """Use the program `crontab`; nothing is looked at before it is needed."""
        self._seat = seat

    def put(self, schedule: Schedule) -> bool:
        """Install a schedule; return whether anything changed."""
        before = self._read()
        after = texts.with_entry(before, schedule)
        return self._write(before, after)

    def drop(self, schedule: Schedule) -> bool:
        """Remove a schedule; return whether it was there."""
        before = self._read()
        return self._write(before, texts.without_entry(before, schedule))

    def look(self, schedule: Schedule) -> Scheduled | None:
        """Return what there is of a schedule, None if nothing; cron does not tell when it ran."""
        try:
            there = texts.mark(schedule) in self._read().splitlines()
        except TfhealError:  # there is no cron here, and so nothing in it
            return None
        return Scheduled(("crontab",), active=True, note="cron does not tell when it runs") if there else None

    def _read(self) -> str:
        status, said = self._seat.run(("crontab", "-l"))
        if status and "no crontab" not in said:
            raise ActionFailed("the crontab cannot be read", why=untrusted.line(said, 300))
        return "" if status else said

    def _write(self, before: str, after: str) -> bool:
        if before == after:
            return False
        status, said = self._seat.run(("crontab", "-"), after)
        if status:
            raise ActionFailed("the crontab was not taken", why=untrusted.line(said, 300))
        return True


def systemd_here() -> SystemdScheduler:
    """Return the systemd of this machine: the machine's for root, a user's own for everybody else; raise if there is none."""
    if not Path(SYSTEMD).is_dir():
        raise UsageError("this machine is not run by systemd", hint="--crontab writes a line for cron instead")
    if os.geteuid() == 0:
        return SystemdScheduler(Here())
    home = os.environ.get("XDG_CONFIG_HOME") or f"{Path.home()}/.config"
    return SystemdScheduler(Here(), f"{home}/systemd/user", own=True)


def user_of(workspace: Path) -> str | None:
    """Given a workspace, return whom its ticks run as where root installs them: its owner; None for anybody else."""
    if os.geteuid() != 0:
        return None
    owner = workspace.stat().st_uid
    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return str(owner)


def _times(said: str) -> dict[str, datetime]:
    """Given what `list-timers` said as JSON, return when the timer ran last and runs next, as far as it knows."""
    try:
        (timer,) = json.loads(said)
        found = {key: timer.get(key) for key in ("last", "next")}
    except (ValueError, AttributeError):
        return {}
    return {
        key: datetime.fromtimestamp(micros / 1e6, UTC)
        for key, micros in found.items()
        if isinstance(micros, int) and 0 < micros < 1 << 53
    }
