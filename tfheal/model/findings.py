"""What is wrong, where, since when; and how healthy each instance, app and slice is."""

from dataclasses import dataclass
from typing import Literal

from tfheal.model.playbook import Rung
from tfheal.model.release import InstanceName

Health = Literal["healthy", "degraded", "down", "blocked", "paused", "absent", "unknown"]
Severity = Literal["info", "warning", "critical"]
Cause = Literal[
    "slice-unreachable",
    "host-key-changed",
    "slice-wiped",
    "data-missing",
    "paused-by-owner",
    "paused",
    "disk-full",
    "drift",
    "read-only",
    "unit-failed",
    "unit-stopped",
    "not-alive",
    "not-ready",
    "inconsistent",
    "data-damaged",
    "not-stored",
    "blocked",
    "not-deployed",
    "held",
    "interrupted",
    "newer-generation",
    "foreign-release",
    "chronic",
    "storm",
    "healed-locally",
    "moved",
    "retired",
    "unasked",
    "not-checked",
    "clock-off",
    "packages-locked",
    "reboot-required",
    "patch-unfinished",
    "upgrade-unfinished",
    "known-exploited",
    "backup-late",
    "copy-late",
    "drill-late",
    "drill-failed",
    "rto-missed",
    "backup-unverified",
    "backup-damaged",
    "backup-unknown",
    "store-gone",
    "waiting",
    "newer-version",
    "name-drift",
    "name-unasked",
    "name-astray",
    "gateway-broken",
    "gateway-unasked",
    "certificate-missing",
    "certificate-expiring",
    "certificate-expired",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or worth knowing; `entry` is the rung that healing starts at, none if no rung helps.

    What is `paused` asks for nothing, whatever it is; `incident` is what it is part of, and who took that upon themselves.
    """

    cause: Cause
    severity: Severity
    slice: str
    detail: str
    instance: InstanceName | None = None
    entry: Rung | None = None
    since: str | None = None
    paused: bool = False
    incident: str = ""
    acked_by: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The judgement over one round: findings, and health by instance and by app."""

    findings: tuple[Finding, ...]
    instances: dict[InstanceName, Health]
    apps: dict[str, Health]
