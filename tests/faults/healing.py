"""The heal loop: `tfheal heal --auto` as a process of its own, every ten seconds, as a timer would run it."""

import json
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import Any, Final, Self

from documents import actions
from running_lab import RunningLab

EVERY: Final = 10.0  # seconds from the beginning of one run to the next; a longer one is followed at once
_PATIENCE: Final = 420.0  # a whole ladder, each rung of which waits a minute for the service to answer


@dataclass(frozen=True, slots=True)
class Round:
    """One run of heal: when it began and ended, and what it said."""

    begun: float
    ended: float
    said: dict[str, Any]

    @property
    def exit(self) -> int:
        """Return its exit code."""
        return int(self.said["exit"])

    @property
    def actions(self) -> list[tuple[str, str]]:
        """Return what it did, as rung and outcome."""
        return actions(self.said)

    @property
    def causes(self) -> set[str]:
        """Return the causes of the incidents that are not over, or that it acted on."""
        return {incident["cause"] for incident in self.said["incidents"]}


def healed_once(lab: RunningLab, *apps: str) -> Round:
    """Run heal of some apps, none named: all; return what it said."""
    begun = time.monotonic()
    ran = subprocess.run(
        lab.command("heal", *apps, "--auto", "--json"),
        cwd=lab.workspace,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE,
    )
    said = json.loads(ran.stdout)
    assert "incidents" in said, ran.stdout
    return Round(begun, time.monotonic(), said)


class HealLoop:
    """Heal, again and again while the block lasts; the first run begins so many seconds after the block."""

    def __init__(self, lab: RunningLab, phase: float = 0.0, apps: tuple[str, ...] = ()) -> None:
        """Keep whose workspace it is, and which apps are healed; none named: all."""
        self.rounds: list[Round] = []
        self.errors: list[str] = []
        self._lab = lab
        self._phase = phase
        self._apps = apps
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go, name="heal loop", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, after the run that is under way."""
        self.stop()

    def stop(self) -> None:
        """End, if it did not yet."""
        self._over.set()
        self._thread.join()

    def since(self, moment: float) -> list[Round]:
        """Return the rounds that began after a moment, oldest first."""
        return [one for one in list(self.rounds) if one.begun >= moment]

    def _go(self) -> None:
        self._over.wait(self._phase)
        while not self._over.is_set():
            begun = time.monotonic()
            try:
                self.rounds.append(healed_once(self._lab, *self._apps))
            except (AssertionError, ValueError, OSError, subprocess.TimeoutExpired) as error:
                self.errors.append(str(error)[:500])
            self._over.wait(max(0.0, begun + EVERY - time.monotonic()))
