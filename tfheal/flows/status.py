"""`tfheal status`: one question to each slice, and a judgement; nothing is changed, there or in the plan of things."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from tfheal.base.exits import Exit, winning
from tfheal.core.diagnose import Expected, diagnosed
from tfheal.flows.fleet import Limits
from tfheal.flows.observe import asked, observed
from tfheal.flows.releases import expected, placed, wanted
from tfheal.model.facts import Observation
from tfheal.model.findings import Diagnosis, Finding
from tfheal.model.ports import Ports
from tfheal.model.record import HealthSince
from tfheal.model.release import InstanceName
from tfheal.model.workspace import Workspace

DATA_AT_RISK = frozenset({"slice-wiped", "host-key-changed"})
NOT_ASKED = frozenset({"slice-unreachable", "unasked"})


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

    @property
    def exit(self) -> Exit:
        """Return the exit code: information never changes it, and what could not be asked gives UNKNOWN alone."""
        found = [finding for finding in self.diagnosis.findings if finding.severity != "info"]
        codes = [_code(finding) for finding in found if not _only_unknown(finding, self.seen)]
        unknown = any(health == "unknown" for health in self.diagnosis.instances.values())
        return winning([*codes, Exit.UNKNOWN] if unknown else codes)


def status(workspace: Workspace, apps: tuple[str, ...], slices: Iterable[str], ports: Ports, limits: Limits) -> Status:
    """Given names of apps and of the slices to look at, return their status."""
    meant = expected(apps, ports)
    questions = asked((item.release for item in meant), ports)
    names = [name for name in workspace.inventory.slices if name in set(slices) | set(questions)]
    seen = observed([workspace.inventory.slice(name) for name in names], questions, ports, limits)
    full = workspace.provider.heal.disk_full_share
    diagnosis = diagnosed(meant, placed(workspace, apps), seen, full)
    diagnosis = replace(diagnosis, findings=diagnosis.findings + _not_deployed(workspace, apps, meant, ports))
    now = ports.clock.now()
    ports.journal.note_health(diagnosis.instances, now)
    healed = {
        action.instance: action.started
        for action in ports.journal.actions()
        if action.instance and action.incident and action.outcome == "done" and action.verb != "page"
    }
    return Status(now, apps, meant, seen, diagnosis, ports.journal.health_since(), healed)


def _not_deployed(
    workspace: Workspace, apps: tuple[str, ...], meant: tuple[Expected, ...], ports: Ports
) -> tuple[Finding, ...]:
    """Return the information that a spec asks for something newer than what is deployed: only a deploy adopts it."""
    have = {item.release.instance: item.release.id for item in meant}
    found = []
    for app in apps:
        if not any(name.app == app for name in have):
            continue
        for release in wanted(workspace, app, ports):
            if have.get(release.instance) != release.id:
                detail = f"the workspace asks for release {release.id}: tfheal deploy {app} --plan shows the difference"
                found.append(Finding("not-deployed", "info", release.slice, detail, release.instance))
    return tuple(found)


def _code(finding: Finding) -> Exit:
    if finding.cause in NOT_ASKED:
        return Exit.UNKNOWN
    return Exit.HUMAN if finding.cause in DATA_AT_RISK else Exit.FINDINGS


def _only_unknown(finding: Finding, seen: Mapping[str, Observation]) -> bool:
    # What is blocked only by an unreachable slice is itself unknown, not a finding of its own.
    return finding.cause == "blocked" and finding.slice not in seen
