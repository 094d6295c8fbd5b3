"""What became of an upgrade over many apps of one playbook, or would."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tfheal.base.errors import TfhealError
from tfheal.base.exits import Exit, winning
from tfheal.model.upgrade import Rollout, Upgraded

FAILED: Final = frozenset({"rolled-back", "returning", "frozen", "undecided", "failed"})


@dataclass(frozen=True, slots=True)
class RolledOut:
    """What became of a rollout, or would: of each app that was come to how it went, or the error that stood in its way.

    `unwell`: it stopped because too many apps are not well.
    """

    rollout: Rollout
    went: Mapping[str, Upgraded | TfhealError]
    unwell: bool = False

    @property
    def exit(self) -> Exit:
        """Return the exit code: that of the worst of its apps."""
        found = [one.exit for one in self.went.values()]
        if self.rollout.state == "stopped":
            found.append(Exit.REFUSED if self.unwell else Exit.FAILED)
        return winning(found)
