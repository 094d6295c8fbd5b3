"""A schedule on a real systemd, that of a slice: it runs, runs again, is shown, is left alone where it is not ours."""

import subprocess
import time
from dataclasses import replace

import pytest
from running_lab import RunningLab

from tfheal.base import sh
from tfheal.base.errors import Refused
from tfheal.edge.schedule import SYSTEM, SystemdScheduler
from tfheal.model.schedule import Schedule

pytestmark = pytest.mark.lab


class OnSlice:
    """A slice as the seat of a schedule: its own files and its own systemd, by SSH."""

    def __init__(self, lab: RunningLab, name: str) -> None:
        """Sit on that slice."""
        self._ssh = lab.ssh(name)

    def read(self, path: str) -> str | None:
        """Return the text of a file, None if there is none."""
        status, said = self.run(("cat", path))
        return said if status == 0 else None

    def write(self, path: str, text: str) -> None:
        """Write a file."""
        assert self.run(("tee", path), text)[0] == 0

    def delete(self, path: str) -> None:
        """Delete a file."""
        assert self.run(("rm", path))[0] == 0

    def run(self, argv: tuple[str, ...], stdin: str = "") -> tuple[int, str]:
        """Run a program there."""
        ran = subprocess.run(
            [*self._ssh, "--", sh.join(*argv)], input=stdin, capture_output=True, text=True, check=False, timeout=60
        )
        return ran.returncode, ran.stderr if ran.returncode else ran.stdout


def test_a_timer_runs_and_leaves_nothing(lab: RunningLab) -> None:
    """Put twice it is one; it runs as its user with its paths, again and again; removed, it is gone without a trace."""
    seat = OnSlice(lab, "s1")
    run = ("/bin/sh", "-c", 'echo "$(id -un) $*" >>/run/ticks; exit 6', "tick-100%")
    schedule = Schedule("tfheal-tick-test-000000", "/srv/my $WORK", run, 1.0, 60.0, "root")
    scheduler = SystemdScheduler(seat)
    try:
        assert scheduler.look(schedule) is None
        assert scheduler.put(schedule)
        assert not scheduler.put(schedule)
        end = time.monotonic() + 20
        while seat.run(("wc", "-l", "/run/ticks"))[1].partition(" ")[0] < "2" and time.monotonic() < end:
            time.sleep(0.3)
        ticks = (seat.read("/run/ticks") or "").splitlines()
        assert len(ticks) >= 2
        assert set(ticks) == {"root tick --quiet --deadline 60s --workspace /srv/my $WORK"}
        found = scheduler.look(schedule)
        assert found is not None
        assert (found.active, found.last is not None) == (True, True)
        assert seat.run(("systemctl", "is-failed", f"{schedule.name}.service"))[0] != 0, "a locked tick is no failure"

        other = replace(schedule, workspace="/srv/other")
        with pytest.raises(Refused, match="somebody else"):
            scheduler.put(other)
        assert not scheduler.drop(other)
    finally:
        assert scheduler.drop(schedule)
    assert not scheduler.drop(schedule)
    assert seat.run(("ls", f"{SYSTEM}/{schedule.name}.timer"))[0] != 0
    assert schedule.name not in seat.run(("systemctl", "list-units", "--all", "--plain", "tfheal-tick*"))[1]
    seat.delete("/run/ticks")
