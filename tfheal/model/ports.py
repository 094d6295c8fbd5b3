"""Ports: what flows need of the outside world, each as small as it can be."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tfheal.base.secret import Secret
from tfheal.model.backup import KeyPair
from tfheal.model.catalogue import Catalogue
from tfheal.model.findings import Health
from tfheal.model.index import Index
from tfheal.model.inventory import Slice
from tfheal.model.notices import Notices
from tfheal.model.pause import Pause, PauseKind
from tfheal.model.publication import Publications, Publisher
from tfheal.model.record import (
    ActionRecord,
    Deployed,
    HealthSince,
    Incident,
    LeaseHolder,
    Outcome,
    Placement,
    Run,
    Silence,
    Standing,
)
from tfheal.model.release import InstanceName, Release
from tfheal.model.tick import Signal
from tfheal.model.upgrade import AppSpecs, Upgrades
from tfheal.model.visit import Uplink, Visitor


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back of one exec: capped bytes, its exit status, and how long it took."""

    stdout: bytes
    stderr: bytes
    status: int
    seconds: float
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Exec:
    """One script of POSIX sh to run on a slice, as root, from its stdin: for `timeout` seconds at most.

    At most `cap` bytes of stdout and of stderr are kept. `on_line` is called with each complete line of stdout as it
    comes; who listens so is told at once of a slice that falls silent, so the script gives signs of life on stderr.
    With `beats` its stdin stays open, and gets an empty line every few seconds as long as we are there: a lease on
    the slice lives by that. It is closed once `over` says so.
    """

    script: str
    timeout: float
    cap: int
    on_line: Callable[[bytes], None] | None = None
    beats: bool = False
    over: Callable[[], bool] | None = None


class Transport(Protocol):
    """The whole outside world of a slice."""

    def run(self, target: Slice, order: Exec) -> Reply:
        """Run a script there and return its reply.

        Raise ConnectFailed, LoginFailed, ConnectionLost, HostKeyMismatch or RemoteTimeout.
        """

    def bridge(self, near: Slice, far: Slice, port: int) -> AbstractContextManager[int]:
        """Give a port of the loopback of `near` that leads through us to `port` on that of `far`, while the context lasts.

        Raise as `run` does, or ActionFailed where `near` forwards nothing.
        """

    def close(self) -> None:
        """Close every connection."""


class Clock(Protocol):
    """Time, so that everything else can be told what time it is."""

    def now(self) -> datetime:
        """Return the time now, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Vault(Protocol):
    """The secrets of the apps, encrypted at rest; versions count from 1."""

    def get(self, app: str, name: str, version: int) -> Secret:
        """Return that version of a secret; raise ConfigError if there is none."""

    def latest(self, app: str, name: str) -> int:
        """Return the newest version of a secret, 0 if there is none yet."""

    def make(self, app: str, name: str, length: int) -> int:
        """Make a new version of random letters and digits, and return its number."""

    def put(self, app: str, name: str, value: Secret) -> int:
        """Keep a given value as a new version, and return its number."""

    def names(self, app: str) -> tuple[str, ...]:
        """Return the names of the secrets that an app has, sorted."""

    def drop(self, app: str, names: Collection[str]) -> None:
        """Forget every version of these secrets of an app."""

    def password(self) -> Secret:
        """Return a new password that nobody guesses, and keep it nowhere."""

    def sealed(self, text: str, recipient: str) -> str:
        """Return a text encrypted to a recipient of age, as text; raise UsageError for one that is none."""

    def closed(self, text: str) -> str:
        """Return a text that only this vault opens, and knows as its own."""

    def opened(self, closed: str) -> str:
        """Return a text that this vault closed; raise UsageError for any other."""

    def known_values(self, app: str) -> tuple[Secret, ...]:
        """Return every version of every secret of an app, so that all can be masked."""

    def every_value(self) -> tuple[Secret, ...]:
        """Return every version of every secret of every app, so that all can be masked where no app is known."""


class Templates(Protocol):
    """Text templates, sandboxed: an undefined name is an error."""

    def render(self, source: str, values: Mapping[str, object], where: str) -> str:
        """Return the rendered text; raise ConfigError that names `where` and the line."""

    def names(self, source: str, where: str) -> tuple[tuple[str, int], ...]:
        """Return each name that a template uses, as `settings.port`, with its line; raise ConfigError as `render`."""


class Reporter(Protocol):
    """Progress for whoever watches: stderr, a bar on a terminal, a line now and then in a log."""

    def say(self, message: str) -> None:
        """Tell one thing that happened."""

    def step(self, where: str, what: str, done: int = 0, total: int = 0) -> None:
        """Tell what is under way at a place, and how much of it is done; replaces what that place said before."""


class NewFolder(Protocol):
    """A folder in which what is missing is made, and nothing is ever overwritten."""

    def add(self, path: str, text: str | None = None) -> bool:
        """Make a file with its text, or a folder if there is none; return whether it was missing."""


class InventoryBook(Protocol):
    """`inventory.toml` as a file that people write too: comments and order are kept."""

    def put_owner(self, name: str, contact: str) -> None:
        """Add an owner, if there is none of that name."""

    def put_slice(self, name: str, entry: Mapping[str, object]) -> None:
        """Add or replace `[slices.NAME]`."""

    def remove_slice(self, name: str) -> None:
        """Take `[slices.NAME]` out, if it is there."""


class HostKeys(Protocol):
    """`known_hosts` of the workspace: lines `SLICE-NAME TYPE KEY`, so that a pin does not depend on an address."""

    def pinned(self, name: str) -> tuple[str, ...]:
        """Return the pinned keys of a slice, each as `TYPE KEY`."""

    def pin(self, name: str, keys: tuple[str, ...]) -> None:
        """Replace the pinned keys of a slice."""

    def forget(self, name: str) -> None:
        """Drop the pinned keys of a slice."""


class HostKeyScan(Protocol):
    """Sees which host keys a slice shows, before anybody trusts it."""

    def offered(self, target: Slice, *, every: bool = False) -> tuple[str, ...]:
        """Return the host key that a slice shows as `TYPE KEY`, or one of `every` kind; nothing of ours is sent."""


class Journal(Protocol):
    """The provider's record. Every method is one transaction; what it wrote survives a kill right after."""

    def new_id(self) -> str:
        """Return a new short id for a run, action or incident; ids sort by the time they were made."""

    def begin_run(self, command: str, now: datetime) -> Run:
        """Record that a command starts, with this host and process."""

    def end_run(self, run: str, exit_code: int, now: datetime) -> None:
        """Record how a run ended."""

    def intend(self, action: ActionRecord) -> None:
        """Record an action before it starts."""

    def note(self, actions: Iterable[ActionRecord]) -> None:
        """Record actions that others took and that are over; one that is there already is left as it is."""

    def conclude(self, action: str, outcome: Outcome, detail: str, now: datetime) -> None:
        """Record how an action ended."""

    def actions(self, app: str | None = None, since: datetime | None = None, limit: int = 1_000) -> list[ActionRecord]:
        """Return the newest actions, oldest first; those of one app, those started since a time."""

    def apps(self) -> list[str]:
        """Return the apps that something was ever done to, by name."""

    def apps_by_slice(self) -> dict[str, set[str]]:
        """Return the apps that are or ever were on each slice."""

    def unfinished(self) -> list[ActionRecord]:
        """Return the actions without an outcome whose run has ended or died, or lost the lease of the app."""

    def save_release(self, release: Release, now: datetime) -> None:
        """Keep a rendered release under its id; keeping it twice is once."""

    def release(self, release: str) -> Release | None:
        """Return a kept release."""

    def set_deployed(self, *deployed: Deployed) -> None:
        """Record what instances are meant to be, all at once."""

    def drop_deployed(self, instance: InstanceName) -> None:
        """Forget an instance that was removed, and how its releases did."""

    def deployed(self, app: str | None = None) -> list[Deployed]:
        """Return what every instance (of one app) is meant to be, ordered by instance."""

    def put_standings(self, standings: Iterable[Standing]) -> None:
        """Record how releases do on their instances, each in place of what was known of it."""

    def standings(self, app: str | None = None) -> list[Standing]:
        """Return how the releases of every instance (of one app) did, ordered by instance."""

    def note_consistent(self, moments: Mapping[InstanceName, datetime]) -> None:
        """Record when the data of instances was last found right."""

    def consistent(self, instance: InstanceName) -> datetime | None:
        """Return when the data of an instance was last found right, None if never."""

    def put_incident(self, incident: Incident) -> None:
        """Add an incident, or replace the one with its id."""

    def ack(self, incident: str, who: str, at: datetime | None) -> None:
        """Record who took an incident upon themselves and when; None takes that back. `put_incident` leaves it alone."""

    def incidents(self, *, open_only: bool = False, since: datetime | None = None) -> list[Incident]:
        """Return incidents, oldest first; `open_only` leaves out resolved ones."""

    def note_health(self, healths: Mapping[InstanceName, Health], now: datetime) -> None:
        """Record the health of instances; `since` moves only where it changed."""

    def move(self, placement: Placement, deployed: Sequence[Deployed]) -> None:
        """Record where an app runs from now on, and what each of its instances is meant to be, all at once."""

    def placement(self, app: str) -> Placement | None:
        """Return where an app runs, if it was moved since its spec said where."""

    def drop_placement(self, app: str) -> None:
        """Forget that an app was moved."""

    def note_silence(self, silent: Collection[str], heard: Collection[str], now: datetime) -> None:
        """Record which slices could not be connected to, each since the first time, and forget it of those heard of."""

    def silences(self) -> dict[str, Silence]:
        """Return the slices that were silent the last time they were asked, by name."""

    def health_since(self) -> dict[InstanceName, HealthSince]:
        """Return the last recorded health of every instance."""


class JournalLeases(Protocol):
    """At most one run of this journal acts on an app at a time."""

    def hold(self, app: str, what: str, run: str) -> AbstractContextManager[None]:
        """Hold the lease of an app while the context lasts, with a heartbeat; raise Refused that says who holds it."""

    def check(self, app: str, run: str) -> None:
        """Before each action: raise Refused if the lease that the run holds was lost to another."""

    def holder(self, app: str) -> LeaseHolder | None:
        """Return who holds it now, if anybody alive does."""


class Leases(JournalLeases, Protocol):
    """At most one run acts on an app at a time, on this machine and (by the slices) from any other."""

    def lead(self, app: str) -> str:
        """Before each action: have a lock on each slice of an app that has several, as long as the lease is held.

        Return who else was at work until just now, if somebody was; raise Refused if another is at work.
        """


class Pauses(Protocol):
    """The pauses that this workspace knows."""

    def keep(self, pause: Pause, now: datetime) -> None:
        """Record a pause; the one before of the same app or slice is lifted with it."""

    def lift(self, kind: PauseKind, name: str, now: datetime) -> int:
        """Record that the pause of an app or a slice is over; return how many stood."""

    def known(self, now: datetime) -> tuple[Pause, ...]:
        """Return the pauses whose end is yet to come, those that were lifted too."""


class Notifier(Protocol):
    """Calls a human."""

    def page(self, message: Mapping[str, object]) -> None:
        """Send a message by the provider's route; raise ActionFailed if it did not get out."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a program of this machine said, capped and neutralised, and its exit status."""

    text: str
    status: int


class Provisioners(Protocol):
    """The commands by which slices are made anew, run on this machine."""

    def run(self, argv: Sequence[str], timeout: float) -> Said:
        """Run a command without a shell and return what it said; raise ActionFailed if it cannot start or takes too long."""


class Pinger(Protocol):
    """A dead-man switch: it calls a human when it hears nothing good for too long."""

    def ping(self, signal: Signal, summary: str) -> None:
        """Send a signal with its summary; raise ActionFailed if it did not get out."""


@dataclass(frozen=True, slots=True)
class SlicePorts:
    """The hands of `tfheal slice`; `agree` puts a question to the operator."""

    transport: Transport
    scan: HostKeyScan
    keys: HostKeys
    book: InventoryBook
    agree: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Ports:
    """The hands of a run, all of them, so that a flow takes one argument."""

    transport: Transport
    journal: Journal
    leases: Leases
    pauses: Pauses
    catalogue: Catalogue
    vault: Vault
    templates: Templates
    clock: Clock
    notifier: Notifier
    notices: Notices | None  # none: owners are not told
    uplink: Uplink
    visitor: Visitor
    provisioners: Provisioners
    publications: Publications
    names: Callable[[str], Publisher]  # by the name of a way; raise Refused if there is none of that name
    scan: HostKeyScan
    keys: HostKeys
    reporter: Reporter
    upgrades: Upgrades
    specs: AppSpecs
    index: Index | None  # none: no index of packages is asked
    exploited: Callable[[], frozenset[str] | None]  # ids of vulnerabilities; None: no catalogue is given
    hidden: Callable[[Collection[str]], Mapping[str, tuple[str, ...]]]  # of slices: the secrets that they may say
    marker: Callable[[], str]
    key_pair: Callable[[], KeyPair]
    writer: str
