"""What the verbs return: data that render turns into words and scripts read, with the exit code that it asks for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from tfheal.base.exits import Exit, winning
from tfheal.model.backup import Ages
from tfheal.model.drill import Practice
from tfheal.model.facts import Observation
from tfheal.model.findings import Diagnosis, Finding
from tfheal.model.pause import Pause
from tfheal.model.plan import Action, InstancePlan, Plan
from tfheal.model.record import Expected, HealthSince, Incident
from tfheal.model.release import InstanceName
from tfheal.model.verification import Proof

InstanceOutcome = Literal["planned", "unchanged", "changed", "failed", "skipped", "refused", "unasked"]
EXITS: Final[Mapping[str, Exit]] = {
    "failed": Exit.FAILED,
    "skipped": Exit.FAILED,
    "refused": Exit.REFUSED,
    "unasked": Exit.UNKNOWN,
    "planned": Exit.FINDINGS,
}
DATA_AT_RISK: Final = frozenset({"slice-wiped", "data-missing", "data-damaged", "host-key-changed"})
ILL: Final = frozenset({"down", "degraded", "blocked"})
NOT_ASKED: Final = frozenset({"slice-unreachable", "unasked", "not-checked", "foreign-release"})


@dataclass(frozen=True, slots=True)
class InstanceResult:
    """What became of one instance."""

    plan: InstancePlan
    outcome: InstanceOutcome
    detail: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class AppResult:
    """What became of one app: its instances, where it answers, and the secrets that a person may want to see."""

    app: str
    instances: tuple[InstanceResult, ...] = ()
    urls: tuple[str, ...] = ()
    shown_secrets: tuple[str, ...] = ()
    refused: str = ""
    unpublished: tuple[str, ...] = ()

    @property
    def exit(self) -> Exit:
        """Return the exit code that the app asks for."""
        found = [EXITS.get(item.outcome, Exit.OK) for item in self.instances]
        found += [Exit.FAILED] if self.unpublished else []
        return winning([*found, Exit.REFUSED] if self.refused else found)


@dataclass(frozen=True, slots=True)
class Removed:
    """What became of one instance, and which folders were kept: data of its owner, or the repositories of backups."""

    instance: InstanceName
    outcome: str
    detail: str
    seconds: float
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Removal:
    """What became of one app."""

    app: str
    instances: tuple[Removed, ...] = ()
    refused: str = ""
    unpublished: tuple[str, ...] = ()

    @property
    def exit(self) -> Exit:
        """Return the exit code that the app asks for."""
        codes = {"failed": Exit.FAILED, "skipped": Exit.FAILED, "refused": Exit.REFUSED, "unknown": Exit.UNKNOWN}
        found = [codes.get(item.outcome, Exit.OK) for item in self.instances]
        found += [Exit.FAILED] if self.unpublished else []
        return winning([*found, Exit.REFUSED] if self.refused else found)


@dataclass(frozen=True, slots=True)
class ComponentPlace:
    """Where one component runs, where its app spec says, and whether a person placed it."""

    component: str
    slices: tuple[str, ...]
    written: tuple[str, ...]
    pinned: bool


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an app runs: its components, the generation of that, what was left behind, and what a move did not bring up."""

    app: str
    components: tuple[ComponentPlace, ...]
    generation: int
    left: tuple[InstanceName, ...]
    failed: Mapping[InstanceName, str] = field(default_factory=dict)
    unpublished: tuple[str, ...] = ()

    @property
    def exit(self) -> Exit:
        """Return the exit code that the outcome asks for."""
        return Exit.FAILED if self.failed or self.unpublished else Exit.OK


@dataclass(frozen=True, slots=True)
class Status:
    """One round over the fleet: what is meant, what was seen, and the judgement."""

    at: datetime
    apps: tuple[str, ...]
    expected: tuple[Expected, ...]
    seen: Mapping[str, Observation]
    diagnosis: Diagnosis
    since: Mapping[InstanceName, HealthSince]
    healed: Mapping[InstanceName, datetime]
    pauses: tuple[Pause, ...] = ()
    backups: Mapping[str, Ages] = field(default_factory=dict)
    drills: Mapping[str, Practice] = field(default_factory=dict)
    proofs: Mapping[str, Proof] = field(default_factory=dict)

    @property
    def exit(self) -> Exit:
        """Return the exit code: information never changes it, and what could not be asked gives UNKNOWN alone."""
        found = [finding for finding in self.diagnosis.findings if finding.severity != "info"]
        codes = [_code(finding, self.diagnosis) for finding in found]
        unknown = "unknown" in self.diagnosis.instances.values()
        return winning([*codes, Exit.UNKNOWN] if unknown else codes)


@dataclass(frozen=True, slots=True)
class Taken:
    """One action that was taken, and how it ended."""

    action: Action
    outcome: str
    detail: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Healing:
    """What a heal run found and did."""

    at: datetime
    incidents: tuple[Incident, ...]
    plan: Plan
    taken: tuple[Taken, ...]
    locked: Mapping[str, str]
    diagnosis: Diagnosis
    seen: Mapping[str, Observation]
    agreed: bool = True
    unpublished: tuple[str, ...] = ()

    @property
    def exit(self) -> Exit:
        """Return the exit code that the outcome asks for."""
        codes = [
            code
            for incident in self.incidents
            if incident.state in {"open", "refused"}
            for code in self._codes(incident)
        ]
        codes += [Exit.FAILED] if self.unpublished else []
        healths = set(self.diagnosis.instances.values())
        causes = {finding.cause for finding in self.diagnosis.findings}
        if self.locked or "paused" in healths or causes & {"newer-generation", "paused"}:
            codes.append(Exit.REFUSED)
        if healths & ILL:
            codes.append(Exit.FINDINGS)
        if "unknown" in healths or causes & NOT_ASKED:
            codes.append(Exit.UNKNOWN)
        return winning(codes)

    def _codes(self, incident: Incident) -> list[Exit]:
        if self._is_paused(incident):
            return [Exit.REFUSED]
        unknown = incident.instance and (
            self.diagnosis.instances.get(incident.instance) == "unknown"
            or incident.instance in {found.instance for found in self.diagnosis.findings if found.cause == "unasked"}
        )
        codes = [Exit.UNKNOWN if unknown else Exit.FINDINGS]
        mine = [taken for taken in self.taken if taken.action.incident == incident.id]
        if any(taken.outcome == "failed" for taken in mine if taken.action.rung != "page"):
            codes.append(Exit.FAILED)
        if any(taken.outcome == "refused" for taken in mine if taken.action.rung != "page"):
            codes.append(Exit.REFUSED)
        if incident.rung == "page" and not unknown and not incident.acked:
            codes.append(Exit.HUMAN)
        return codes

    def _is_paused(self, incident: Incident) -> bool:
        paused = {(found.instance, found.slice) for found in self.diagnosis.findings if found.cause == "paused"}
        health = self.diagnosis.instances.get(incident.instance) if incident.instance else None
        return health == "paused" or bool(paused & {(incident.instance, incident.slice), (None, incident.slice)})


def _code(finding: Finding, diagnosis: Diagnosis) -> Exit:
    blocked = finding.instance if finding.cause == "blocked" else None
    # What is blocked only by what could not be asked is itself unknown, not a finding of its own.
    if finding.cause in NOT_ASKED or (blocked and diagnosis.instances.get(blocked) == "unknown"):
        return Exit.UNKNOWN
    return Exit.HUMAN if finding.cause in DATA_AT_RISK and not finding.acked_by else Exit.FINDINGS


@dataclass(frozen=True, slots=True)
class LogLines:
    """The newest log lines of an instance, or why they could not be had."""

    instance: str
    text: str
    error: str
    exit: Exit
