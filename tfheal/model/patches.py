"""Updates of the machines under the apps: what is pending on a slice, what of a fleet, and what became of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from tfheal.base.exits import Exit, winning
from tfheal.model.facts import Fact, Known, Unknown

# What others are built on, kernels, and servers whose data a newer version may have written: these only go forward.
NEVER_BACK: Final = (
    "libc6.*|libc-.*|locales|libstdc\\+\\+6|libgcc-s1|linux-.*|systemd|udev|dpkg|apt|postgresql-[0-9].*|mariadb-server.*|"
    "mysql-server.*|redis-server|valkey-server"
)
NOT_RANKED: Final = Unknown("no catalogue of known exploited vulnerabilities is given")
_NOT_SAID: Final = Unknown("the slice did not say")
SERVERS: Final = "postgresql-[0-9]+|mariadb-server.*|mysql-server.*|redis-server|valkey-server"
PatchOutcome = Literal["done", "idle", "failed", "refused", "taken-back", "broken", "unknown", "skipped"]


@dataclass(frozen=True, slots=True)
class Patch:
    """One package with an update: its version, the one that is offered, since how many seconds, and what is known of it.

    It is `secured` where the installed version can be had again; `taken_back` where the offered one was, as it broke an app.
    `exploited`: which of the vulnerabilities that it is about are known to be exploited; `fixes`: debsecan knows of a fix.
    """

    package: str
    installed: str
    offered: str
    age: int
    held: bool = False
    security: bool = True
    secured: bool = False
    taken_back: bool = False
    exploited: Fact[tuple[str, ...]] = NOT_RANKED
    fixes: bool = False

    @property
    def interrupts(self) -> bool:
        """Return whether it stops a database server while it is installed."""
        return re.fullmatch(SERVERS, self.package.partition(":")[0]) is not None

    @property
    def returns(self) -> bool:
        """Return whether it can be taken back."""
        return self.secured and not re.fullmatch(NEVER_BACK, self.package.partition(":")[0])


@dataclass(frozen=True, slots=True)
class Vulnerabilities:
    """What a slice knows of the vulnerabilities of its packages, by their names.

    `open` in what is installed, and which have a fix (`fixed`), by debsecan's data, which is so many seconds old; `closed`
    by an update, by the changelog in its file, where that is there.
    """

    open: Mapping[str, frozenset[str]]
    fixed: frozenset[str]
    closed: Mapping[str, frozenset[str]]
    age: Fact[int]


@dataclass(frozen=True, slots=True)
class Pending:
    """What is pending on a slice by its package lists, which are so many seconds old, and whether it wants a reboot.

    `unfinished`: a patch there never came to its end. `charter`: what the owner wrote of what is permitted. `up`: for how
    many seconds it has been. `exposed`: packages with known exploited vulnerabilities and no update. `told`: by what.
    """

    patches: tuple[Patch, ...]
    lists: Fact[int]
    reboot: bool = False
    unfinished: bool = False
    charter: str = ""
    up: Fact[int] = _NOT_SAID
    exposed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    told: Fact[Vulnerabilities] = NOT_RANKED


@dataclass(frozen=True, slots=True)
class PatchPlan:
    """What is pending by slice, and the apps that are deployed on each."""

    slices: Mapping[str, Fact[Pending]]
    apps: Mapping[str, tuple[str, ...]]

    @property
    def exit(self) -> Exit:
        """Return the exit code: patches are changes of a plan, and what could not be asked is unknown."""
        return winning(_code(found) for found in self.slices.values())

    def warned(self, owners: Mapping[str, str]) -> "PatchPlan":
        """Given the owner of each slice, return it with what broke an app elsewhere as taken back: of the same owner, or of two.

        A slice is its owner's, and may say what it likes: it keeps nobody else from an update.
        """
        known = {name: found.value for name, found in self.slices.items() if isinstance(found, Known)}
        told: dict[tuple[str, str], set[str]] = {}
        for name, pending in known.items():
            for one in pending.patches:
                if one.taken_back:
                    told.setdefault((one.package, one.offered), set()).add(owners[name])
        slices = dict(self.slices)
        for name, pending in known.items():
            sayers = [told.get((one.package, one.offered), set()) for one in pending.patches]
            bad = [owners[name] in those or len(those) > 1 for those in sayers]
            patches = (replace(one, taken_back=is_bad) for one, is_bad in zip(pending.patches, bad, strict=True))
            slices[name] = Known(replace(pending, patches=tuple(patches)))
        return PatchPlan(slices, self.apps)

    @property
    def of_security(self) -> "PatchPlan":
        """Return it with the security updates alone."""
        slices: dict[str, Fact[Pending]] = {}
        for name, found in self.slices.items():
            pending = found.value if isinstance(found, Known) else None
            patches = tuple(one for one in pending.patches if one.security) if pending else ()
            slices[name] = Known(replace(pending, patches=patches)) if pending else found
        return PatchPlan(slices, self.apps)


def _code(found: Fact[Pending]) -> Exit:
    if isinstance(found, Known):
        return Exit.FINDINGS if found.value.patches or found.value.unfinished else Exit.OK
    return Exit.UNKNOWN


@dataclass(frozen=True, slots=True)
class PatchReport:
    """What a slice told of a patch, or of taking one back, as far as it came.

    `begun` came when it had the locks of the apps, `changing` right before packages were changed.
    """

    begun: bool = False
    changing: bool = False
    ended: bool = False
    refused: str = ""
    failure: str = ""
    repaired: bool = False  # what an earlier run had left half configured
    reboot: bool = False
    boot: str = ""  # of which it was, before it was rebooted
    conffiles: tuple[str, ...] = ()  # kept as they were, with the new one beside them
    started: tuple[str, ...] = ()  # ran before, stopped by the update, started again
    stopped: tuple[str, ...] = ()  # ran before and could not be started
    restarted: tuple[str, ...] = ()  # still ran what was replaced
    kept: tuple[str, ...] = ()  # not taken back


@dataclass(frozen=True, slots=True)
class Patched:
    """What became of one slice."""

    slice: str
    outcome: PatchOutcome
    detail: str = ""
    patches: tuple[Patch, ...] = ()
    report: PatchReport = field(default_factory=PatchReport)
    rebooted: bool = False
    not_rebooted: str = ""  # although that was asked for: why
    left_out: tuple[Patch, ...] = ()  # as they were taken back before, here or where it counts


@dataclass(frozen=True, slots=True)
class PatchRun:
    """What became of a fleet, slice by slice."""

    slices: tuple[Patched, ...]
    apps: Mapping[str, tuple[str, ...]]

    @property
    def exit_by_itself(self) -> Exit:
        """Return the exit code of a run that nobody asked for: what may not be done now is left, and that is all right."""
        tried = (replace(one, not_rebooted="") for one in self.slices if one.outcome not in {"refused", "skipped"})
        return PatchRun(tuple(tried), self.apps).exit

    @property
    def exit(self) -> Exit:
        """Return the exit code: what was taken back was tried and failed, what stays broken needs a human."""
        codes = {
            "failed": Exit.FAILED,
            "taken-back": Exit.FAILED,
            "broken": Exit.HUMAN,
            "refused": Exit.REFUSED,
            "unknown": Exit.UNKNOWN,
            "skipped": Exit.FINDINGS,
        }
        found = [codes.get(one.outcome, Exit.OK) for one in self.slices]
        return winning([*found, *(Exit.REFUSED for one in self.slices if one.not_rebooted)])
