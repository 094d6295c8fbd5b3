"""An upgrade of an app from one version to another: how far it came, and what is to happen before it begins."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, Protocol

from tfheal.base.exits import Exit
from tfheal.model.playbook import WayBack
from tfheal.model.release import InstanceName

Strategy = Literal["rolling", "canary"]
UpgradeState = Literal[
    "planned",
    "unchanged",
    "running",
    "migrating",
    "returning",
    "opened",
    "taking-back",
    "done",
    "rolled-back",
    "frozen",
    "undecided",
]
UNDER_WAY: Final[frozenset[UpgradeState]] = frozenset({"running", "migrating", "returning", "opened", "taking-back"})
WAITING: Final[frozenset[UpgradeState]] = frozenset({"frozen", "undecided"})  # for a human
RolloutState = Literal["planned", "running", "stopped", "done"]
_EXITS: Final[Mapping[UpgradeState, Exit]] = {
    "planned": Exit.FINDINGS,
    "unchanged": Exit.OK,
    "running": Exit.UNKNOWN,
    "migrating": Exit.UNKNOWN,
    "returning": Exit.HUMAN,
    "opened": Exit.UNKNOWN,
    "taking-back": Exit.UNKNOWN,
    "done": Exit.OK,
    "rolled-back": Exit.FAILED,
    "frozen": Exit.HUMAN,
    "undecided": Exit.HUMAN,
}


@dataclass(frozen=True, slots=True)
class Upgrade:
    """One upgrade of an app; `backup` is the one that was made before it, if any, `detail` why it did not come to be.

    `strategy` is how it goes on: a canary that came through is followed by the others one after the other, `rolling`.
    Of one that goes on while all of the app is stopped also that is kept: whether the new version was begun (`migrating`), whether
    it is being taken back (`returning`), and whether people are let in (`opened`). One that is not closed and is being taken back, by
    itself or by a person, is `taking-back`. Once what is there may have been used
    since the backup (`served`), in whichever run, no data comes back any more. `usual` is what gateways counted of the
    version before: how many requests there were, and how many failed.
    """

    id: str
    app: str
    old: str
    new: str
    state: UpgradeState
    started: datetime
    backup: str = ""
    detail: str = ""
    strategy: Strategy = "rolling"
    served: bool = False
    usual: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What became of an upgrade, or would: the instances in their order, how each ended, and what is to be expected.

    `interruption` says of each component for how long it serves nobody; whether all of the app is stopped meanwhile is
    `closes`, and for how many seconds it was is `away`; it is expected to take so many seconds (`takes`) after a backup and
    its verification (`backing`);
    data that moves is gone for `moving` seconds, about; `refused` is what stands in the way of a plan. A canary gets `share`
    percent of the requests, for `trial` seconds.
    """

    upgrade: Upgrade
    rule: WayBack = "safe"
    order: tuple[InstanceName, ...] = ()
    outcomes: Mapping[InstanceName, str] = field(default_factory=dict)
    interruption: Mapping[str, str] = field(default_factory=dict)
    backs_up: bool = False
    takes: float = 0.0
    backing: float = 0.0
    closes: bool = False
    moving: float = 0.0
    refused: str = ""
    seconds: float = 0.0
    share: float = 0.0
    trial: float = 0.0
    away: float | None = None

    @property
    def exit(self) -> Exit:
        """Return the exit code: one that was taken back has failed, a frozen one, and one whose canary proved nothing, need a human."""
        return Exit.REFUSED if self.refused else _EXITS[self.upgrade.state]


@dataclass(frozen=True, slots=True)
class Rollout:
    """One upgrade of many apps: its waves, how each app ended so far (a state of an upgrade, `refused`, `unreachable` or `failed`).

    Until the moment `rests` it pauses between two waves; `detail` is why it stopped.
    """

    id: str
    playbook: str
    version: str
    state: RolloutState
    started: datetime
    waves: tuple[tuple[str, ...], ...]
    outcomes: Mapping[str, str] = field(default_factory=dict)
    rests: datetime | None = None
    detail: str = ""


class Upgrades(Protocol):
    """The upgrades that were begun, so that one that was killed is finished or taken back."""

    def put(self, upgrade: Upgrade) -> None:
        """Add an upgrade, or replace what is known of the one with its id."""

    def last(self, app: str) -> Upgrade | None:
        """Return the last upgrade of an app, None if there was none."""

    def took(self, command: str) -> float | None:
        """Return for how many seconds the last run of a command went that came to a good end, None if none did."""

    def put_rollout(self, rollout: Rollout) -> None:
        """Add an upgrade of many apps, or replace what is known of the one with its id."""

    def last_rollout(self, playbook: str) -> Rollout | None:
        """Return the last upgrade of many apps of a playbook, None if there was none."""

    def note_listed(self, playbook: str, versions: Mapping[str, str], now: datetime) -> None:
        """Record since when a playbook lists its versions, each with the digest of its lock; what it lists no more is forgotten."""

    def listed(self, playbook: str) -> Mapping[str, datetime]:
        """Return since when each version of a playbook is known to be listed, with the lock that was noted last."""


class AppSpecs(Protocol):
    """The app specs as files that people write too: comments and order are kept."""

    def put_version(self, app: str, version: str) -> None:
        """Write the version of an app into its spec; raise UsageError where that line is not to be found."""

    def takes_version(self, app: str) -> bool:
        """Return whether the line of the version of an app is to be found in its spec."""
