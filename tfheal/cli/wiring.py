"""How the program is put together: the only place that takes hold of edge and lab."""

import json
import os
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfheal.model.inventory import Inventory
    from tfheal.model.lab import LabFaults, LabHost, LabPorts


@dataclass(frozen=True, slots=True)
class WiredLab:
    """What the lab's commands need: the workspace, its inventory, and the hands."""

    workspace: str
    inventory: "Inventory"
    cpus: int
    ports: "LabPorts"
    faults: "LabFaults"


def lab(workspace: str | None, *, yes: bool = False, of: str | None = None) -> WiredLab:
    """Return the lab's hands for a workspace: the one named or found, else the one that the lab `of` was made in."""
    from tfheal.edge.inventory_file import InventoryFile
    from tfheal.lab.faults import Faults
    from tfheal.lab.here import ThisMachine
    from tfheal.model.inventory import Inventory
    from tfheal.model.lab import LabPorts

    reporter = StandardError()
    host = ThisMachine(reporter)
    made = host.lab(of) if of else None
    folder = Path(made.workspace) if made and made.workspace else find_workspace(workspace)
    path = folder / "inventory.toml"
    inventory = Inventory.model_validate(tomllib.loads(path.read_text()) if path.is_file() else {})
    ports = LabPorts(host, InventoryFile(path), PinnedKeys(folder / "known_hosts"), reporter, consent(yes=yes))
    return WiredLab(str(folder), inventory, os.cpu_count() or 1, ports, Faults(reporter))


def lab_host() -> "LabHost":
    """Return this machine as the maker of labs, where no workspace matters."""
    from tfheal.lab.here import ThisMachine

    return ThisMachine(StandardError())


def find_workspace(given: str | None) -> Path:
    """Return the folder of the workspace: the one given, else the nearest one upwards that has a tfheal.toml."""
    from tfheal.base.errors import UsageError

    start = Path(given or ".").resolve()
    for folder in [start] if given else [start, *start.parents]:
        if (folder / "tfheal.toml").is_file():
            return folder
    raise UsageError("there is no workspace here", where=str(start), why="no tfheal.toml", hint="tfheal init makes one")


def consent(*, yes: bool) -> Callable[[str], bool]:
    """Return who answers a question: --yes, else the person at the terminal; without one, raise UsageError."""
    from tfheal.base.errors import UsageError

    def ask(question: str) -> bool:
        if yes:
            return True
        if not sys.stdin.isatty():
            raise UsageError(
                "a question has to be asked, and there is no terminal", why=question, hint="--yes says yes"
            )
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    return ask


def tell(command: str, document: Mapping[str, object], words: str, *, as_json: bool, code: int = 0) -> None:
    """Write the result of a command to stdout: one document for scripts, or words for people."""
    from tfheal.edge.clock import SystemClock

    at = SystemClock().now().isoformat(timespec="seconds").replace("+00:00", "Z")
    head = {"schema": f"tfheal/{command}/1", "at": at, "exit": code}
    sys.stdout.write((json.dumps({**head, **document}) if as_json else words) + "\n")


class StandardError:
    """Progress on stderr, one line each."""

    def say(self, message: str) -> None:
        """Tell one thing that happened."""
        sys.stderr.write(f"{message}\n")

    def step(self, where: str, what: str) -> None:
        """Tell what is under way at a place."""
        sys.stderr.write(f"{where}: {what}\n")


class PinnedKeys:
    """`known_hosts` of the workspace, until edge/known_hosts.py is there."""

    def __init__(self, path: Path) -> None:
        """Keep the path."""
        self._path = path

    def _lines(self) -> list[str]:
        return self._path.read_text().splitlines() if self._path.is_file() else []

    def pinned(self, name: str) -> tuple[str, ...]:
        """Return the pinned keys of a slice, each as `TYPE KEY`."""
        return tuple(line.split(" ", 1)[1] for line in self._lines() if line.split(" ")[0] == name)

    def pin(self, name: str, keys: tuple[str, ...]) -> None:
        """Replace the pinned keys of a slice."""
        kept = [line for line in self._lines() if line.split(" ")[0] != name]
        self._path.write_text("".join(f"{line}\n" for line in [*kept, *(f"{name} {key}" for key in keys)]))

    def forget(self, name: str) -> None:
        """Drop the pinned keys of a slice."""
        self.pin(name, ())
