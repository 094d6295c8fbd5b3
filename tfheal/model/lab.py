"""The lab's nouns and ports: what its stories need, whoever makes the slices and breaks them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from tfheal.model.ports import HostKeys, InventoryBook, Reporter

LAB_OWNER: Final = "lab"
LAB_LABEL: Final = "lab"
MOST_SLICES: Final = 200
SliceCondition = Literal["running", "starting", "off"]
FaultGroup = Literal["process", "service", "files", "disk", "port", "database", "network", "machine", "packages"]
# What an instance has to have for a fault of an app: more than a unit of systemd, or just that.
FaultNeeds = Literal["", "unit", "unit file", "port", "config", "secret", "release", "data", "postgres"]


@dataclass(frozen=True, slots=True)
class LabSpec:
    """What `lab up` is asked for; sizes in bytes. No number of slices means: those that are there, else three.

    `containers` says that Podman is to work in the new slices, which makes their root nearly root of this machine.
    """

    name: str
    workspace: str
    slices: int | None = None
    memory: int = 1 << 30
    disk: int = 2 << 30
    containers: bool = False

    def key(self) -> str:
        """Return the private key of the lab, relative to its workspace."""
        return key_path(self.name)


@dataclass(frozen=True, slots=True)
class LabSlice:
    """One slice of a lab, as it is."""

    name: str
    address: str
    address4: str
    memory: int
    disk: int
    host_key: str
    fingerprint: str
    condition: SliceCondition
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lab:
    """One lab of this machine, as it is."""

    name: str
    workspace: str
    bridge: str
    network: str
    network4: str
    slices: tuple[LabSlice, ...]


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One fault in words: what it does, how it is proven, how it is mended, and to what it can be done.

    It `needs` something of an instance, nothing where it is a fault of the whole slice.
    """

    name: str
    group: FaultGroup
    does: str
    proven: str
    mended: str
    needs: FaultNeeds = ""

    @property
    def of_app(self) -> bool:
        """Return whether it is done to an instance of an app, and not to a whole slice."""
        return bool(self.needs)


@dataclass(frozen=True, slots=True)
class FaultReport:
    """A fault that landed, or was taken away: where, and what was seen."""

    slice: str
    fault: str
    instance: str
    detail: str
    seconds: float


class LabHost(Protocol):
    """This machine, as the maker of labs."""

    def missing_packages(self) -> tuple[str, ...]:
        """Return the host packages that a lab needs and that are not there; raise UsageError if no lab can be here."""

    def install(self, packages: tuple[str, ...]) -> None:
        """Install host packages; raise ActionFailed."""

    def lock(self) -> AbstractContextManager[None]:
        """Let one command at a time change the labs of this machine."""

    def labs(self) -> tuple[Lab, ...]:
        """Return every lab of this machine, also a half-made one."""

    def lab(self, name: str) -> Lab | None:
        """Return one lab, if there is anything of it."""

    def prepare(self, spec: LabSpec) -> tuple[str, ...]:
        """Make image, key and network where missing, and return the names of the slices that the lab is to have."""

    def boot(self, spec: LabSpec, name: str) -> LabSlice:
        """Make a slice where missing, start it where off, and return it once its sshd answers."""

    def recreate(self, lab: str, name: str) -> LabSlice:
        """Throw a slice's disk away and boot it anew, with other host keys and another machine id."""

    def destroy(self, name: str) -> None:
        """Leave nothing of a lab on this machine but the image cache."""

    def drop_cache(self) -> bool:
        """Remove the cached images that no lab uses; return whether none is left."""


class LabFaults(Protocol):
    """What can be done to a slice."""

    def kinds(self) -> tuple[FaultKind, ...]:
        """Return every fault there is."""

    def put(self, lab: str, name: str, fault: str, app: str | None) -> FaultReport:
        """Put a fault in and prove that it landed; raise UsageError, or ActionFailed if it did not land."""

    def mend(self, lab: str, name: str, fault: str | None) -> tuple[FaultReport, ...]:
        """Take one fault away, or all; raise UsageError if it is not there, ActionFailed if it stays."""


@dataclass(frozen=True, slots=True)
class LabHands:
    """What touches the labs of this machine, where no workspace matters."""

    host: LabHost
    faults: LabFaults


@dataclass(frozen=True, slots=True)
class LabPorts:
    """The outside of those stories that also write into a workspace."""

    host: LabHost
    book: InventoryBook
    keys: HostKeys
    reporter: Reporter
    consent: Callable[[str], bool]


def key_path(lab: str) -> str:
    """Return the private key of a lab, relative to its workspace."""
    return f".tfheal/lab/{lab}/id_ed25519"
