"""What was observed. A fact that could not be had is `Unknown(reason)`, never a default."""

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from tfheal.model.pause import Pause
from tfheal.model.playbook import CheckKind

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """A fact that was read."""

    value: T


@dataclass(frozen=True, slots=True)
class Unknown:
    """A fact that could not be had, and why."""

    reason: str


Fact = Known[T] | Unknown
Verdict = Literal["pass", "fail", "unknown"]
ResourceState = Literal["ok", "differs", "unknown"]


@dataclass(frozen=True, slots=True)
class Machine:
    """A slice's own figures; sizes in bytes, durations in seconds."""

    cpus: Fact[int]
    load: Fact[float]
    memory_total: Fact[int]
    memory_used: Fact[int]
    disk_total: Fact[int]
    disk_free: Fact[int]
    inodes_free_share: Fact[float]
    age: Fact[int]
    boot_id: Fact[str]
    failed_units: Fact[tuple[str, ...]]
    security_updates: Fact[int]
    clock_offset: Fact[float]
    hands_off_since: Fact[str | None]
    identity: Fact[str | None]
    pauses: Fact[tuple[Pause, ...]]
    package_lock: Fact[str | None]
    security_age: Fact[int] = Unknown("not asked")
    reboot: Fact[bool] = Unknown("not asked")
    patch_unfinished: Fact[bool] = Unknown("not asked")
    security_cves: Fact[tuple[str, ...]] = Unknown("not asked")


@dataclass(frozen=True, slots=True)
class ResourceFact:
    """Whether one resource is as its release says."""

    resource: str
    state: ResourceState
    detail: str = ""
    current: str | None = None  # of a text file without secrets: what it holds now, for a diff


@dataclass(frozen=True, slots=True)
class UnitFact:
    """What systemd says of a unit, in its own words (`active`, `failed`, `inactive`); idle: no process of it is at work."""

    active: str
    sub: str
    result: str
    enabled: str
    restarts: int
    active_for: float | None
    idle: bool = False


@dataclass(frozen=True, slots=True)
class CheckFact:
    """The answer to one check of an instance."""

    check: str
    kind: CheckKind
    verdict: Verdict
    detail: str
    seconds: float


@dataclass(frozen=True, slots=True)
class SliceState:
    """What tfheal wrote on the slice about an instance, read back."""

    release: str
    version: str
    generation: int
    writer: str
    at: str
    phase: str
    held: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReflexEvent:
    """What a slice did for an instance by itself: its loop restarted it or gave it up, or systemd restarted it."""

    at: str
    event: Literal["restarted", "gave-up", "systemd"]
    why: str


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """Everything asked about one instance in one round."""

    state: Fact[SliceState | None]
    unit: Fact[UnitFact]
    resources: Fact[tuple[ResourceFact, ...]]
    checks: tuple[CheckFact, ...]
    reflex: tuple[ReflexEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class SliceFacts:
    """Everything asked of one slice in one round trip, from `sent` until `at`; instances by `app/component`."""

    slice: str
    at: str
    machine: Machine
    instances: dict[str, InstanceFacts]
    round_trips: int = 1
    sent: str = ""


@dataclass(frozen=True, slots=True)
class Unasked:
    """A slice that gave no facts: why, and of which class the reason is."""

    slice: str
    reason: str
    cause: Literal["unreachable", "host-key-changed", "login-refused", "no-pin", "bad-reply", "deadline", "not-checked"]
    hint: str = ""
    round_trips: int = 0


Observation = SliceFacts | Unasked
