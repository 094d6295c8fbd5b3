"""What no single file can tell: whether apps, slices, owners and playbooks fit together."""

from collections.abc import Mapping
from dataclasses import dataclass

from tfheal.base.errors import Mistake
from tfheal.model.app import AppSpec
from tfheal.model.document import Written
from tfheal.model.inventory import Inventory
from tfheal.model.ports import Templates
from tfheal.model.workspace import PlaybookFolder


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a workspace, each valid by itself; None is one that is there and is not valid."""

    inventory: Written[Inventory] | None
    apps: tuple[Written[AppSpec], ...]
    playbooks: Mapping[str, Written[PlaybookFolder] | None]
    known_playbooks: tuple[str, ...]


def mistakes(parts: Parts, templates: Templates) -> list[Mistake]:
    """Given the parts of a workspace, return every mistake between them."""
    return []
