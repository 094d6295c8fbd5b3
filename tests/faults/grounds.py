"""Where a fault is tried: a lab with an example deployed, the target of the fault in it, and how it is made well again.

All numbers of healing are those that tfheal ships with, but for those that remember: the same slice is broken again and
again, which no real one is, and each time has to be like the first. So the budgets are large, an incident that is over
is no reason to go on where it ended, and what the local reflex remembers of its restarts is forgotten between two rows.
"""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from documents import document
from healing import healed_once
from load import FilesWork, Load, TrytonWork
from running_lab import RunningLab, name_of_ours

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
FORGETFUL: Final = """\
name = "Fault table"
[page]
command = ["./page"]
[heal]
budget = 20
budget_window = "60s"
healthy_for = "1s"
min_healthy_period = "1s"
chronic = 1000
"""
PAGE: Final = """\
#!/bin/sh
cat >>pages.jsonl
echo >>pages.jsonl
"""
_FORGET: Final = "rm -f /run/tfheal/reflex/* /var/lib/tfheal/*/*/reflex.jsonl"
_WELL_AGAIN: Final = 45.0  # seconds that a slice gets to be well by itself once its faults are mended


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a fault is put into: an instance, the slice that it is on, and at which slice the client works."""

    app: str
    component: str
    slice: str
    served_by: str

    def __str__(self) -> str:
        """Return `app/component`."""
        return f"{self.app}/{self.component}"


TARGETS: Final = {
    str(target): target
    for target in (
        Target("files", "web", "s1", "s1"),
        Target("crm", "db", "s1", "s2"),
        Target("crm", "web", "s2", "s2"),
    )
}


@dataclass(frozen=True, slots=True)
class Ground:
    """A lab with an app deployed."""

    lab: RunningLab
    app: str
    slices: tuple[str, ...]

    def load(self, served_by: str, app: str = "") -> Load:
        """Return a client of the app at one of its slices, whose writes nobody else's name has."""
        app, prefix = app or self.app, f"w{time.time_ns() // 1000:x}"
        work = TrytonWork if self.app == "crm" else FilesWork
        return Load(work.of(self.lab, served_by, app, prefix))

    def mend(self) -> list[dict[str, Any]]:
        """Take all faults away, and return what was mended; a mending that fails leaves the rest to `make_well`."""
        mended: list[dict[str, Any]] = []
        for name in self.slices:
            mended += self.lab.do("mend", name, check=None).get("mended", [])
        return mended

    def make_well(self) -> None:
        """Have all healthy and nothing remembered; raise AssertionError if that cannot be had."""
        self.mend()
        self._await_health()
        for name in self.slices:
            self.lab.on(name, _FORGET)
        (self.lab.workspace / "pages.jsonl").unlink(missing_ok=True)

    def pages(self) -> list[dict[str, Any]]:
        """Return the calls for a human since all was made well."""
        kept = self.lab.workspace / "pages.jsonl"
        return [json.loads(line) for line in kept.read_text().splitlines() if line] if kept.exists() else []

    def _await_health(self) -> None:
        end = time.monotonic() + _WELL_AGAIN
        while time.monotonic() < end:
            now = healed_once(self.lab)
            if now.exit == 0 and not now.said["incidents"]:  # one that is still watched would go on at its rung
                return
            time.sleep(1.0)
        self.lab.run("lab", "up", "--name", self.lab.name, "--yes", check=None)
        self.lab.run("deploy", self.app, "--onto-empty", check=None, timeout=1200.0)
        seen = document(self.lab, "status", check=None)
        assert seen["exit"] == 0, f"it does not become well again: {seen['findings']}"


@contextmanager
def a_lab(folder: Path, slices: int) -> Iterator[RunningLab]:
    """Boot slices for a workspace that is there; take them down after."""
    (folder / "page").write_text(PAGE)
    (folder / "page").chmod(0o755)
    around = ("env", f"TFHEAL_AGE_KEY_FILE={folder.with_suffix('.key')}")
    lab = RunningLab(name_of_ours(folder.name), folder, around)
    try:
        lab.run("lab", "up", "--slices", str(slices), "--name", lab.name, "--yes")
        yield lab
    finally:
        lab.run("lab", "down", "--name", lab.name, check=None)


@contextmanager
def an_example(kind: str, folder: Path) -> Iterator[Ground]:
    """Deploy an example, `files` or `crm`, on slices of its own; its local reflex is on, as it is unless one says no."""
    shutil.copytree(EXAMPLES / {"files": "copyparty", "crm": "tryton"}[kind], folder)
    (folder / "tfheal.toml").write_text(FORGETFUL)
    count = {"files": 1, "crm": 3}[kind]
    with a_lab(folder, count) as lab:
        lab.run("deploy", kind, timeout=2400.0)
        yield Ground(lab, kind, tuple(f"s{number + 1}" for number in range(count)))
