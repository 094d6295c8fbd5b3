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
    from tfheal.model.lab import LabHands, LabPorts


@dataclass(frozen=True, slots=True)
class WiredLab:
    """What the lab's commands need: the workspace, its inventory, and the hands."""

    workspace: str
    inventory: "Inventory"
    cpus: int
    ports: "LabPorts"


def lab(workspace: str | None, *, yes: bool = False, of: str | None = None) -> WiredLab:
    """Return the lab's hands for a workspace: the one named or found, else the one that the lab `of` was made in."""
    from tfheal.edge.inventory_file import InventoryFile
    from tfheal.edge.known_hosts import KnownHosts
    from tfheal.model.lab import LabPorts

    host = lab_hands().host
    made = host.lab(of) if of else None
    folder, listed = inventory(made.workspace if made and made.workspace else workspace)
    book, keys = InventoryFile(folder / "inventory.toml"), KnownHosts(folder / "known_hosts")
    ports = LabPorts(host, book, keys, StandardError(), consent(yes=yes))
    return WiredLab(str(folder), listed, os.cpu_count() or 1, ports)


def lab_hands() -> "LabHands":
    """Return what touches the labs of this machine, where no workspace matters."""
    from tfheal.lab.breaking import Faults
    from tfheal.lab.here import ThisMachine
    from tfheal.model.lab import LabHands

    return LabHands(ThisMachine(StandardError()), Faults(StandardError()))


def inventory(workspace: str | None) -> "tuple[Path, Inventory]":
    """Return the folder of the workspace and what its inventory says."""
    from tfheal.model.inventory import Inventory

    folder = find_workspace(workspace)
    path = folder / "inventory.toml"
    return folder, Inventory.model_validate(tomllib.loads(path.read_text()) if path.is_file() else {})


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
