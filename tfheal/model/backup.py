"""Backups: what an app spec says of them, what one holds, and the catalogue's word on each.

A *backup* of an app is all its data at one time: one restic snapshot for the folders of its components on a slice, and one
for each dump. Its id is ours and so is its receipt time: what a slice says of times and names decides nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema, model_validator

from tfheal.base.exits import Exit, winning
from tfheal.model.names import NAME_PATTERN, Duration, Name, Size, Strict
from tfheal.model.playbook import SettingName
from tfheal.model.release import InstanceName
from tfheal.model.replayed import Replayed

STORE: Final = "store"  # the component that an app with backups has on its store slice
FOLDERS: Final = "folders"  # what the snapshot of the folders is called; a dump is called as its playbook calls it
State = Literal["running", "good", "partial", "suspect", "failed", "forgotten", "erased"]
REFUSED: Final = "refused: "  # how a restore ended that was not begun
GONE: Final[frozenset[State]] = frozenset({"forgotten", "erased"})
_ELSEWHERE: Final = r"^(/|sftp:|rest:|s3:|b2:|azure:|gs:|swift:|rclone:)[!-~]+$"
_PASSWORD: Final = re.compile(r"//[^/@]*:[^/@]*@")


def _target(written: str) -> str:
    if not re.fullmatch(NAME_PATTERN, written) and not re.fullmatch(_ELSEWHERE, written):
        msg = "a store is a slice, an absolute path, or an address of restic: sftp:, rest:, s3:, b2:, azure:, gs:, swift:, rclone:"
        raise ValueError(msg)
    return written


Target = Annotated[
    str,
    AfterValidator(_target),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": pattern} for pattern in (NAME_PATTERN, _ELSEWHERE)]}),
]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Line = Annotated[str, StringConstraints(pattern=r"^[^\r\n]{0,1000}$")]


class Keep(Strict):
    """How many backups the rules keep: of each hour, day, week and month the newest good one."""

    hourly: int = Field(default=24, ge=0, le=1_000, description="how many hours")
    daily: int = Field(default=7, ge=0, le=1_000, description="how many days")
    weekly: int = Field(default=5, ge=0, le=1_000, description="how many weeks")
    monthly: int = Field(default=12, ge=0, le=1_000, description="how many months")


class AppBackup(Strict):
    """Where the backups of an app go, and how often."""

    to: Target = Field(
        description="the store: another slice of the same owner, on which nothing of this app runs; or a disk at a path of "
        "each slice with data, or any address of restic"
    )
    copy_to: Name | None = Field(
        default=None,
        description="a second store, a slice like the first: every good backup is copied there, store to store",
    )
    via: Literal["controller"] | None = Field(
        default=None,
        description="`controller`: what is stored passes through the machine that tfheal runs on, for the time of a job, so "
        "that no slice with data has a key to the store; none: each has one that can only add",
    )
    variables: dict[Variable, Line] = Field(
        default_factory=dict, description="what restic has to find in its environment for an address, and is no secret"
    )
    secrets: tuple[SettingName, ...] = Field(
        default=(),
        description="and what is one, given by `tfheal secret set`: restic finds each by its name in capitals",
    )
    delete: bool = Field(
        default=False,
        description="of a store that is no slice: its owner lets what no rule keeps be deleted there, by the slices themselves",
    )
    host_key: str | None = Field(
        default=None, pattern=r"^[a-z0-9@.-]+ [A-Za-z0-9+/=]+$", description="of an sftp server, as `TYPE KEY`"
    )
    every: Duration = Field(default=86_400.0, ge=60, description="how often `tfheal tick` makes one")
    keep: Keep = Field(default=Keep(), description="which ones are worth keeping; `backup list` shows why")
    drill: Duration = Field(
        default=604_800.0, ge=3_600, description="how often `tfheal tick` restores the newest good one for practice"
    )
    drill_on: Name | None = Field(
        default=None,
        description="a slice of the same owner that nothing is on, on which drills are made; none: on the slices of the data",
    )
    grace: Duration = Field(
        default=604_800.0, ge=0, description="how long one that no rule keeps any more is kept all the same"
    )
    prune: Duration = Field(
        default=604_800.0, ge=3_600, description="how often `tfheal tick` deletes those that may go"
    )
    upload_limit: Size | None = Field(
        default=None, description="the most bytes a second that go to the store; none: no limit"
    )

    @property
    def address(self) -> str:
        """Return where it is if it is no slice, empty if it is one."""
        return "" if re.fullmatch(NAME_PATTERN, self.to) else self.to

    @property
    def may_delete(self) -> bool:
        """Return whether anything may be deleted there: on a slice always, elsewhere where its owner said so."""
        return self.delete or not self.address

    @property
    def stores(self) -> tuple[str, ...]:
        """Return the slices that are stores: first the one that slices write to, then that of the copies."""
        if self.address:
            return ()
        return (self.to,) if self.copy_to is None else (self.to, self.copy_to)

    @model_validator(mode="after")
    def _of_an_address(self) -> "AppBackup":
        if _PASSWORD.search(self.to):
            msg = "a password in the address is seen by all who read this file: name it under `secrets`"
            raise ValueError(msg)
        if self.copy_to and (self.address or self.copy_to == self.to):
            msg = "copy_to is a second slice beside the one that `to` names"
            raise ValueError(msg)
        if self.via and self.address:
            msg = "via is of a store that is a slice: what lies elsewhere is reached by the slices themselves"
            raise ValueError(msg)
        if not self.address and (self.variables or self.secrets or self.host_key or self.delete):
            msg = "variables, secrets, host_key and delete are of a store that is no slice"
            raise ValueError(msg)
        if (self.host_key is None) == self.to.startswith("sftp:"):
            msg = "an sftp server has a host_key, so that nobody stands between, and nothing else has one"
            raise ValueError(msg)
        return self


class ServiceLevel(Strict):
    """What is promised of apps that name it."""

    rpo: Duration = Field(
        default=93_600.0,
        gt=0,
        description="how old the newest complete backup may be (26 h: a day, and two to make it)",
    )
    drilled: Duration = Field(
        default=1_209_600.0,
        gt=0,
        description="how long ago the last drill may be that a backup passed (14 d: two of the default)",
    )
    rto: Duration = Field(
        default=14_400.0,
        gt=0,
        description="how long it may take from nothing to a service again, as the last drill took",
    )
    verified: Duration = Field(
        default=691_200.0,
        gt=0,
        description="how long ago all that is stored may have been read (8 days: a seventh each day, and one to spare)",
    )


@dataclass(frozen=True, slots=True)
class Part:
    """One snapshot of a backup: where its data was, what restic counted, and how it went.

    Bytes and files are all that it holds; `added` is what it cost in the store.
    """

    slice: str
    what: str
    state: State
    snapshot: str = ""
    bytes: int = 0
    files: int = 0
    added: int = 0
    detail: str = ""
    paths: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return how it is called in a message."""
        return f"{self.what}@{self.slice}"


@dataclass(frozen=True, slots=True)
class Backup:
    """One line of the catalogue; `received` is when we heard of its end, by our clock.

    `let_go` is since when no rule keeps it. A forgotten one is never used again, and the next prune erases what it held.
    `said` is when a person last held, released or accepted it. `drilled` is when it last passed a drill, and `damaged` when
    one last found that it is damaged.
    """

    id: str
    app: str
    store: str
    started: datetime
    state: State
    parts: tuple[Part, ...] = ()
    received: datetime | None = None
    held: bool = False
    drilled: datetime | None = None
    detail: str = ""
    let_go: datetime | None = None
    said: datetime | None = None
    damaged: datetime | None = None

    @property
    def is_sure(self) -> bool:
        """Return whether it is good, and the last drill of it, if there was one, did not find it damaged."""
        spoilt = self.damaged is not None and (self.drilled is None or self.damaged > self.drilled)
        return self.state == "good" and not spoilt

    @property
    def bytes(self) -> int:
        """Return how much it holds."""
        return sum(part.bytes for part in self.parts)

    @property
    def added(self) -> int:
        """Return what it cost in the store."""
        return sum(part.added for part in self.parts)

    @property
    def holds_data(self) -> bool:
        """Return whether anything can be restored from it."""
        return self.state not in GONE and any(part.snapshot for part in self.parts)

    @property
    def snapshots(self) -> dict[str, str]:
        """Return the slice of each of its snapshots."""
        return {part.snapshot: part.slice for part in self.parts if part.snapshot}


@dataclass(frozen=True, slots=True)
class Repository:
    """The way to the repository of one app on one slice, for a script that runs there.

    `host_keys` are the pinned ones of the store, each as `TYPE KEY`; key and password are plain text and go to nobody else.
    On the store itself it is a `folder`, and needs no way. `owner` is the password of a key that is made for the owner.
    What is no slice of ours has an `url`, and perhaps `variables` that restic finds in its environment. What is copied from
    one store to another has the folder on the first one as its `source`. A `bound` way leads through us, and what goes it ends
    when we are gone.
    """

    address: str
    port: int
    user: str
    host_keys: tuple[str, ...]
    key: str
    password: str
    folder: str = ""
    owner: str = ""
    url: str = ""
    variables: tuple[tuple[str, str], ...] = ()
    source: str = ""
    bound: bool = False


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A new pair of SSH keys, as OpenSSH writes them."""

    private: str
    public: str


@dataclass(frozen=True, slots=True)
class Ages:
    """How old the backups of an app are, in seconds: the newest of any kind, and the newest good one; None: never.

    `changes` is how long ago what is stored of each database's changes ends, None where that is not known, and nothing where
    none are stored; `databases` says that the app has no other data than those.
    """

    taken: float | None
    complete: float | None
    limit: float
    changes: float | None = None
    databases: bool = False

    @property
    def rpo(self) -> float | None:
        """Return of how many seconds data would be lost now, if all that holds it were lost; None: of all."""
        return self.changes if self.databases and self.changes is not None else self.complete


@dataclass(frozen=True, slots=True)
class Listed:
    """The backups of apps, newest first, and for each why it is kept: no reason means that the rules would let it go."""

    backups: tuple[Backup, ...]
    reasons: Mapping[str, tuple[str, ...]]


_EXITS: Final[Mapping[State, Exit]] = {
    "good": Exit.OK,
    "suspect": Exit.FINDINGS,
    "running": Exit.UNKNOWN,
    "partial": Exit.FAILED,
    "failed": Exit.FAILED,
}


@dataclass(frozen=True, slots=True)
class Made:
    """What became of the backup of one app: its line in the catalogue, or why there is none; why the copy is not whole.

    That there is none is a refusal, or the `failure` of what had to be done for it.
    """

    app: str
    backup: Backup | None = None
    refused: str = ""
    uncopied: str = ""
    failure: Exit = Exit.REFUSED

    @property
    def exit(self) -> Exit:
        """Return the exit code that this app asks for."""
        if self.backup is None:
            return self.failure
        return winning((_EXITS[self.backup.state], Exit.FAILED if self.uncopied else Exit.OK))


@dataclass(frozen=True, slots=True)
class Planned:
    """What a restore will do: from which backup, what to which instance; data that came after `lost_since` goes.

    `sources` says of slices from the repository of which other one their data comes. The databases of instances with a
    `replay`, the base that it begins with, come as they were at the time `asked` for, else as the last change left them.
    With `to`, the data of all its instances goes to that slice, on which nothing of it serves. Newer good backups that a drill
    found damaged are `passed_over`.
    """

    app: str
    backup: Backup
    folders: Mapping[InstanceName, tuple[str, ...]]
    lost_since: datetime
    scratch: str | None = None
    left: tuple[str, ...] = ()
    dumps: Mapping[InstanceName, tuple[str, ...]] = field(default_factory=dict)
    asked: datetime | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    replay: Mapping[InstanceName, Part] = field(default_factory=dict)
    to: str = ""
    passed_over: tuple[str, ...] = ()

    @property
    def instances(self) -> tuple[InstanceName, ...]:
        """Return the instances whose data is put in place."""
        return tuple(dict.fromkeys((*self.folders, *self.dumps)))

    @property
    def replays_all(self) -> bool:
        """Return whether all that comes back is of databases whose changes are replayed."""
        return bool(self.replay) and not self.folders and set(self.dumps) <= set(self.replay)


@dataclass(frozen=True, slots=True)
class Restored:
    """How a restore ended on each instance: `done`, or why not; how far changes were replayed, by slice."""

    planned: Planned
    outcomes: Mapping[InstanceName, str] = field(default_factory=dict)
    seconds: float = 0.0
    replayed: Mapping[str, Replayed] = field(default_factory=dict)

    @property
    def exit(self) -> Exit:
        """Return the exit code: whatever is not done has failed, or was refused where nothing at all was begun."""
        if set(self.outcomes.values()) <= {"done"}:
            return Exit.OK
        return Exit.REFUSED if all(how.startswith(REFUSED) for how in self.outcomes.values()) else Exit.FAILED
