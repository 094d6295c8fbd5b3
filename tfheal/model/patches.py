"""Security updates: what is pending on a slice, and what of a fleet."""

from collections.abc import Mapping
from dataclasses import dataclass

from tfheal.base.exits import Exit, winning
from tfheal.model.facts import Fact, Known


@dataclass(frozen=True, slots=True)
class Patch:
    """One package with a security update: its version, the one that is offered, since how many seconds, whether held."""

    package: str
    installed: str
    offered: str
    age: int
    held: bool = False


@dataclass(frozen=True, slots=True)
class Pending:
    """What is pending on a slice by its package lists, which are so many seconds old, and whether it wants a reboot."""

    patches: tuple[Patch, ...]
    lists: Fact[int]
    reboot: bool = False


@dataclass(frozen=True, slots=True)
class PatchPlan:
    """What is pending by slice, and the apps that are deployed on each."""

    slices: Mapping[str, Fact[Pending]]
    apps: Mapping[str, tuple[str, ...]]

    @property
    def exit(self) -> Exit:
        """Return the exit code: patches are changes of a plan, and what could not be asked is unknown."""
        return winning(_code(found) for found in self.slices.values())


def _code(found: Fact[Pending]) -> Exit:
    if isinstance(found, Known):
        return Exit.FINDINGS if found.value.patches else Exit.OK
    return Exit.UNKNOWN
