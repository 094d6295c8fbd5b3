"""How the lab's commands are put together: the machine's slices, their faults, and the demo that is played on them."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tfheal.cli.asking import consent
from tfheal.cli.output import Lines
from tfheal.cli.wiring import inventory, wired

if TYPE_CHECKING:
    from tfheal.model.demo import DemoSpec, DemoStep
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
    folder, listed = _of_lab(Path(made.workspace)) if made and made.workspace else inventory(workspace)
    book, keys = InventoryFile(folder / "inventory.toml"), KnownHosts(folder / "known_hosts")
    ports = LabPorts(host, book, keys, Lines(), consent(yes=yes))
    return WiredLab(str(folder), listed, os.cpu_count() or 1, ports)


def _of_lab(folder: Path) -> "tuple[Path, Inventory]":
    """Return the workspace that a lab was made in and its inventory; one that is gone has an empty one."""
    from tfheal.model.inventory import Inventory

    return inventory(str(folder)) if (folder / "tfheal.toml").is_file() else (folder, Inventory())


def name_of_lab(given: str | None, workspace: str | None = None) -> str:
    """Return which lab is meant: the one given, else the only one in the workspace's inventory, else `lab`."""
    from tfheal.base.errors import UsageError
    from tfheal.flows.lab import labs_of, name_of_lab

    if given is not None:
        return name_of_lab(given)
    try:
        found = labs_of(inventory(workspace)[1])
    except UsageError:  # no workspace here: a lab of this machine can be broken from anywhere
        found = ()
    return found[0] if len(found) == 1 else "lab"


def lab_hands() -> "LabHands":
    """Return what touches the labs of this machine, where no workspace matters."""
    from tfheal.lab.breaking import Faults
    from tfheal.lab.here import ThisMachine
    from tfheal.model.lab import LabHands

    return LabHands(ThisMachine(Lines()), Faults(Lines()))


def demo(folder: str, spec: "DemoSpec", *, yes: bool) -> "tuple[DemoStep, ...]":
    """Given the folder to make and what is wanted, boot the lab and play the demo on it; return its steps."""
    from tfheal.edge.example import add_apps, copy_example
    from tfheal.flows.lab import up
    from tfheal.model.demo import DemoStep
    from tfheal.model.lab import LabSpec

    copy_example("copyparty", Path(folder))
    begun = time.monotonic()
    made = lab(folder, yes=yes)
    up(LabSpec(spec.lab, made.workspace, spec.slices), made.inventory, made.cpus, made.ports)
    booted = DemoStep(f"boot {spec.slices} slices", "each a Debian 13 machine of its own", time.monotonic() - begun)
    if spec.full:
        add_apps("tryton", Path(folder))
    return (booted, *_played(folder, spec))


def _played(folder: str, spec: "DemoSpec") -> "tuple[DemoStep, ...]":
    from tfheal.edge.json_rpc import JsonRpc
    from tfheal.edge.webdav import WebDav
    from tfheal.flows import demo as story
    from tfheal.flows import demo_tiers as second

    with wired(folder) as hands:
        first = next(iter(hands.workspace.inventory.slices))
        ground = (hands.workspace, hands.ports, hands.limits, lab_hands().faults, spec.lab)
        steps = story.demo(story.Stage(*ground, story.APP, first), WebDav())
        if not spec.full:
            return steps
        (database,) = hands.workspace.apps[second.APP].place["db"]
        return (*steps, *second.demo_tiers(story.Stage(*ground, second.APP, database), JsonRpc()))


def demo_down(folder: str, name: str) -> bool:
    """Given the folder of the demo and the name of its lab, take both away; return whether there was anything."""
    from tfheal.edge.example import remove_example
    from tfheal.flows.lab import down

    if not (Path(folder) / "tfheal.toml").is_file() and lab_hands().host.lab(name) is None:
        return False
    made = lab(folder, of=name)
    down(name, made.inventory, made.ports)
    remove_example(Path(made.workspace))
    return True
