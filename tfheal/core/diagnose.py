"""The only judge of health: what should be and what was seen go in, findings and health come out.

A cause silences its symptoms: an unreachable slice its instances, a full disk and a drift the unit that fails of it, a
dead component those that need it. What is not known is `unknown` and never a reason to act.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from tfheal.base.moments import rfc3339
from tfheal.core.hosts import of_slice, paused_by_owner
from tfheal.core.order import waiting_for
from tfheal.core.pauses import quieted
from tfheal.core.resources.directory import READ_ONLY
from tfheal.model.backup import STORE
from tfheal.model.facts import (
    CheckFact,
    InstanceFacts,
    Known,
    Machine,
    Observation,
    ResourceFact,
    SliceFacts,
    SliceState,
    UnitFact,
    Unknown,
)
from tfheal.model.findings import Cause, Diagnosis, Finding, Health
from tfheal.model.pause import Pause
from tfheal.model.playbook import Rung
from tfheal.model.record import Expected, HealthSince, Incident
from tfheal.model.release import InstanceName, Release
from tfheal.model.resources import Directory, Postgres, resource_id

CRASH_LOOP: Final = 3  # restarts by systemd after which a service that is starting gets no more patience
# The causes of one family are one incident: a service that changes from silent to dead under repair is the same trouble.
FAMILY: Final[Mapping[Cause, str]] = {"unit-failed": "service", "unit-stopped": "service", "not-alive": "service"}
_SERVING: Final = frozenset({"not-ready", "inconsistent", "data-damaged"})
_BARE: Final = frozenset({"data-missing", "slice-wiped"})
_ITS_DATA: Final = " and its data"
_ILL: Final = frozenset({"down", "degraded", "blocked"})
_RUNNING: Final = frozenset({"active", "reloading", "refreshing"})
_WORST_FIRST: Final[tuple[Health, ...]] = ("unknown", "paused")
_DAY: Final = timedelta(days=1)
_FIRST_FEW: Final = 5  # fit on a screen
# What says that bytes on the disk are not those that were written: PostgreSQL's ERRCODE_DATA_CORRUPTED, and SQLITE_CORRUPT.
_DAMAGED: Final = re.compile(
    r"invalid page in block|page verification failed|could not read blocks? [0-9]|unexpected zero page|missing chunk number"
    r"|unexpected chunk number|could not access status of transaction|database disk image is malformed"
)


@dataclass(frozen=True, slots=True)
class _Judgement:
    """The health of one instance, what is wrong with it, and how its service is whatever we may do about it."""

    health: Health
    findings: tuple[Finding, ...] = ()
    service: Health = "unknown"


def diagnosed(
    expected: Iterable[Expected],
    placed: Iterable[InstanceName],
    seen: Mapping[str, Observation],
    full_share: float,
    pauses: tuple[Pause, ...] = (),
) -> Diagnosis:
    """Given what is deployed, where apps are placed, what was seen by slice, the share of a full disk and what is paused, judge."""
    meant = {item.release.instance: item for item in expected}
    pauses = tuple(pause for pause in pauses if pause.kind == "app" or pause.name in seen)
    free = [name for name in sorted(meant) if not any(pause.concerns(name.app, name.slice) for pause in pauses)]
    first: dict[str, InstanceName] = {}
    for instance in (*free, *sorted(meant)):  # a disk is freed by an app that is not paused, if there is one
        first.setdefault(instance.slice, instance)
    of_slices = [found for name, facts in seen.items() for found in of_slice(name, facts, first.get(name), full_share)]
    full = {finding.slice for finding in of_slices if finding.cause == "disk-full"}
    judged = {name: _of_instance(item, seen.get(name.slice)) for name, item in meant.items()}
    waits = waiting_for(
        {name: item.release.needs for name, item in meant.items()},
        {name: one.service for name, one in judged.items()},
        {name for name, one in judged.items() if _runs_in_vain(one)},
    )
    waiting = {
        name: (health, Finding("blocked", "warning", name.slice, cause, name))
        for name, (health, cause) in waits.items()
        if judged[name].health in _ILL
    }
    bare = {name for name, one in judged.items() if any(finding.cause in _BARE for finding in one.findings)}
    findings = of_slices + [
        _held_back(finding, meant[name], full, _waits_for(meant[name], waits, bare))
        for name, judgement in judged.items()
        for finding in judgement.findings
        if name not in waiting or not _is_symptom(finding.cause)
    ]
    healths: dict[InstanceName, Health] = dict.fromkeys(placed, "absent")
    healths |= {name: judgement.health for name, judgement in judged.items()}
    healths |= {name: health for name, (health, _) in waiting.items()}
    findings += [finding for _, finding in waiting.values()]
    findings, healths = quieted(findings, healths, pauses)
    return Diagnosis(tuple(findings), dict(sorted(healths.items())), _apps(healths))


def family(cause: Cause) -> str:
    """Return what all causes of one incident have in common."""
    return FAMILY.get(cause, cause)


def _is_symptom(cause: Cause) -> bool:
    return family(cause) == "service" or cause in _SERVING


def place(finding: Finding | Incident) -> str:
    """Return where a finding or an incident is: its instance, else its slice."""
    return str(finding.instance or finding.slice)


def dated(
    findings: Iterable[Finding], incidents: Iterable[Incident], since: Mapping[InstanceName, HealthSince]
) -> tuple[Finding, ...]:
    """Given findings, the open incidents and the health of instances over time, return the findings, each since when and of which incident.

    Where neither tells, it is not said.
    """
    known = {(place(incident), family(incident.cause)): incident for incident in incidents}
    silent: dict[str, datetime] = {}
    for one in since.values():
        if one.health == "unknown":
            silent[one.instance.slice] = min(one.since, silent.get(one.instance.slice, one.since))
    told = []
    for finding in findings:
        incident = known.get((place(finding), family(finding.cause)))
        told.append(_dated(finding, incident, incident.opened if incident else _ill_since(finding, since, silent)))
    return tuple(told)


def _dated(finding: Finding, incident: Incident | None, moment: datetime | None) -> Finding:
    told = replace(finding, since=finding.since or (rfc3339(moment) if moment else None))
    return replace(told, incident=incident.id, acked_by=incident.acked_by) if incident else told


def _ill_since(
    finding: Finding, since: Mapping[InstanceName, HealthSince], silent: Mapping[str, datetime]
) -> datetime | None:
    """Return since when the health of an instance is what the finding explains, or of any on a slice that is silent."""
    if finding.cause in {"slice-unreachable", "unasked", "not-checked", "host-key-changed"}:
        return silent.get(finding.slice)
    explains = _is_symptom(finding.cause) or finding.cause in {"blocked", "slice-wiped", "data-missing"}
    known = since.get(finding.instance) if finding.instance and explains else None
    return known.since if known and known.health in {*_ILL, "unknown"} else None


def _of_instance(item: Expected, seen: Observation | None) -> _Judgement:
    release = item.release
    facts = seen.instances.get(release.instance.on_slice) if isinstance(seen, SliceFacts) else None
    if seen is None:
        why = f"its slice is not in the inventory; tfheal remove {release.instance} drops what is recorded of it"
        return _Judgement("unknown", (replace(_finding(release, "unasked", why), severity="warning"),))
    if not isinstance(seen, SliceFacts) or facts is None:
        return _Judgement("unknown")
    service = _service_health(release, facts)
    if paused_by_owner(seen.machine):
        return _Judgement("paused", service=service)
    if wiped := _wiped(item, seen.machine, facts):
        return _Judgement("down", (wiped,), "down")
    if elsewhere := _deployed_elsewhere(item, facts):
        return _Judgement("unknown" if elsewhere.cause == "foreign-release" else service, (elsewhere,), service)
    cause = _state_findings(item, facts)
    ails = _health_findings(release, facts, hushed=bool(cause))
    return _Judgement(
        service, (*cause, *ails, *_unsure(release, facts), *_healed_locally(release, facts, seen.at)), service
    )


def _finding(release: Release, cause: Cause, detail: str) -> Finding:
    return Finding(cause, "critical", release.slice, detail, release.instance)


def _wiped(item: Expected, machine: Machine, facts: InstanceFacts) -> Finding | None:
    """Return the finding that the machine, or only the data on it, is gone; one that nothing ever reached cannot be wiped."""
    if item.reached and isinstance(machine.identity, Known) and machine.identity.value is None:
        why = "the marker of identity is gone: this is not the machine that was deployed to"
        return _finding(item.release, "slice-wiped", why)
    if item.deployed.phase == "restoring":
        why = "it was put onto another machine, and the owner's data has not come back yet"
        return replace(_finding(item.release, "data-missing", why), entry="restore")
    if not (gone := _missing_data(item, facts)):
        return None
    told = f"the owner's data is gone: {', '.join(gone)}"
    return replace(_finding(item.release, "data-missing", told), entry="restore")


def _missing_data(item: Expected, facts: InstanceFacts) -> list[str]:
    if not isinstance(facts.resources, Known):
        return []
    release = item.release
    data = {resource_id(one): one.path for one in release.resources if isinstance(one, Directory) and one.data}
    data |= {resource_id(one): one.database for one in release.resources if isinstance(one, Postgres)}
    # While a deploy is under way a folder may not be there yet; once it held data the slice itself says so.
    told = "missing" if item.deployed.phase == "deployed" else "missing, and it held data"
    return [
        data[fact.resource]
        for fact in facts.resources.value
        if fact.resource in data and fact.state == "differs" and fact.detail.startswith(told)
    ]


def _deployed_elsewhere(item: Expected, facts: InstanceFacts) -> Finding | None:
    """Return the finding that another workspace has the say there: healing by our older knowledge would undo its work."""
    known = facts.state.value if isinstance(facts.state, Known) else None
    if known is None:
        return None
    if known.generation > item.deployed.generation:
        detail = f"the slice knows generation {known.generation}, {_written(known)}; this workspace has {item.deployed.generation}"
        return replace(_finding(item.release, "newer-generation", detail), severity="warning")
    if item.deployed.phase == "deployed" and known.release not in {item.deployed.release, item.release.id}:
        detail = f"release {known.release} (version {known.version}) is there, {_written(known)}; this workspace has {item.deployed.release}"
        return replace(_finding(item.release, "foreign-release", detail), severity="warning")
    return None


def _written(state: SliceState) -> str:
    return f"written by {state.writer or 'nobody knows whom'} at {state.at or 'an unknown time'}"


def _state_findings(item: Expected, facts: InstanceFacts) -> tuple[Finding, ...]:
    release = item.release
    if item.deployed.phase != "deployed":
        verb = "remove" if item.deployed.phase == "removing" else "deploy"
        interrupted = _finding(release, "interrupted", f"a {verb} did not come to its end")
        return (replace(interrupted, entry="redeploy"),)
    different = drifted(release, facts)
    if stuck := [fact.resource for fact in different if fact.detail == READ_ONLY]:
        return (replace(_finding(release, "read-only", f"{', '.join(stuck)} {READ_ONLY}"), entry="page"),)
    told = [f"{fact.resource}: {fact.detail}" for fact in different]
    if isinstance(facts.state, Known) and facts.state.value is None:
        told.append("what tfheal keeps about it on the slice is gone")
    if not told:
        return ()
    more = f" and {len(told) - _FIRST_FEW} more" if len(told) > _FIRST_FEW else ""
    return (replace(_finding(release, "drift", "; ".join(told[:_FIRST_FEW]) + more), entry="redeploy"),)


def _unsure(release: Release, facts: InstanceFacts) -> tuple[Finding, ...]:
    """Return the finding that something of it could not be asked: then it is not known to be as it was put there."""
    asked = (facts.state, facts.resources, *([facts.unit] if release.unit else []))
    reasons = [fact.reason for fact in asked if isinstance(fact, Unknown)]
    return (replace(_finding(release, "unasked", reasons[0]), severity="warning"),) if reasons else ()


def _healed_locally(release: Release, facts: InstanceFacts, at: str) -> tuple[Finding, ...]:
    """Return the information that the slice itself restarted the service within the last day."""
    now = datetime.fromisoformat(at)
    recent = [event for event in facts.reflex if now - datetime.fromisoformat(event.at) < _DAY]
    if not recent:
        return ()
    last = recent[-1]
    often = "once" if len(recent) == 1 else f"{len(recent)} times"
    detail = f"the slice itself acted {often} in a day, last at {last.at}: {last.event}, {last.why}"
    return (replace(_finding(release, "healed-locally", detail), severity="info", since=recent[0].at),)


def drifted(release: Release, facts: InstanceFacts) -> list[ResourceFact]:
    """Return the resources that differ, a service that merely does not run left out: that is a matter of its health."""
    if not isinstance(facts.resources, Known):
        return []
    own = {f"unit:{release.unit}", f"container:{str(release.unit).removesuffix('.service')}"}
    return [
        fact
        for fact in facts.resources.value
        if fact.state == "differs" and not (fact.resource in own and fact.detail.startswith("not running"))
    ]


def _service_health(release: Release, facts: InstanceFacts) -> Health:
    if release.unit and isinstance(facts.unit, Unknown):
        return "unknown"
    if release.unit and isinstance(facts.unit, Known) and facts.unit.value.active not in _RUNNING:
        return "down"
    alive = {check.verdict for check in facts.checks if check.kind == "alive"}
    serving = {check.verdict for check in facts.checks if check.kind in {"ready", "consistent"}}
    if "fail" in alive:
        return "down"
    if "unknown" in alive:
        return "unknown"
    if "fail" in serving:
        return "degraded"
    return "unknown" if "unknown" in serving else "healthy"


def _health_findings(release: Release, facts: InstanceFacts, *, hushed: bool) -> tuple[Finding, ...]:
    """Return what ails the service; hushed is what something else causes, or what is only starting: nothing is done."""
    failing = [check for check in facts.checks if check.verdict == "fail"]
    alive = [check for check in failing if check.kind == "alive"]
    if release.unit and isinstance(facts.unit, Unknown):
        return ()
    unit = facts.unit.value if release.unit and isinstance(facts.unit, Known) else None
    if unit and unit.active not in _RUNNING:
        cause: Cause = "unit-stopped" if unit.active in {"inactive", "deactivating"} else "unit-failed"
        detail = f"{release.unit} is {unit.active} ({unit.sub}, result {unit.result})"
        found = [replace(_finding(release, cause, detail), entry="restart")]
    elif alive:
        found = [replace(_finding(release, "not-alive", f"{alive[0].check}: {alive[0].detail}"), entry="restart")]
    else:
        found = [_of_check(release, check) for check in failing]
    if found and unit and _starts(unit, release):
        found = [replace(one, detail=f"{one.detail}; it is starting", entry=None) for one in found]
    return tuple(replace(one, entry=None) for one in found) if hushed else tuple(found)


def _of_check(release: Release, check: CheckFact) -> Finding:
    """Return the finding that a check of a service that lives has failed."""
    causes: dict[str, Cause] = {"ready": "not-ready", "consistent": "inconsistent", "stored": "not-stored"}
    entries: dict[str, Rung] = {"ready": "rollback", "consistent": "page", "stored": "page"}
    cause, entry = causes[check.kind], entries[check.kind]
    if cause != "not-stored" and _DAMAGED.search(check.detail):
        cause, entry = "data-damaged", "restore"
    return replace(_finding(release, cause, f"{check.check}: {check.detail}"), entry=entry)


def _starts(unit: UnitFact, release: Release) -> bool:
    """Return whether a service is within its start time: to restart it now would only make it begin again.

    A start without any process never ends where systemd has no time-out for it, as with Debian's PostgreSQL.
    """
    if unit.restarts >= CRASH_LOOP:
        return False
    if unit.active == "activating":
        return unit.sub.startswith("start") and not unit.idle
    return unit.active_for is not None and unit.active_for < release.start_timeout


def _held_back(finding: Finding, item: Expected, full: Collection[str], waits_for: str) -> Finding:
    """Return a finding with nothing to act on while its disk is full, or what is to be put there needs another first."""
    if finding.slice in full:
        return replace(finding, entry=None)
    deploys = finding.cause == "interrupted" or (finding.cause == "drift" and waits_for.endswith(_ITS_DATA))
    if waits_for and deploys and item.deployed.phase != "removing":
        return replace(finding, entry=None, detail=f"{finding.detail}; it {waits_for}")
    return finding


def _waits_for(item: Expected, waits: Mapping[InstanceName, tuple[Health, str]], bare: Collection[InstanceName]) -> str:
    """Return what an instance waits for. Into a need that waits for its data nothing is put: it would come before that data."""
    for name in sorted(bare):
        if name.app == item.release.app and name.component in item.release.needs:
            return f"waits for {name.component}{_ITS_DATA}"
    return waits.get(item.release.instance, ("healthy", ""))[1]


def _runs_in_vain(judgement: _Judgement) -> bool:
    """Return whether a service runs, and does not answer or serve: then what it needs may be why."""
    causes = {finding.cause for finding in judgement.findings if _is_symptom(finding.cause)}
    return judgement.health in _ILL and bool(causes) and causes <= {"not-alive", "not-ready"}


def _apps(healths: Mapping[InstanceName, Health]) -> dict[str, Health]:
    """Return the health of each app; one whose store alone is ill still serves."""
    apps: dict[str, dict[str, set[Health]]] = {}
    for name, health in healths.items():
        of_component = apps.setdefault(name.app, {}).setdefault(name.component, set())
        of_component |= {health} - {"absent"}
    return {app: _app_health(components) for app, components in sorted(apps.items())}


def _app_health(components: Mapping[str, set[Health]]) -> Health:
    deployed = [healths for component, healths in components.items() if healths and component != STORE]
    every = set().union(*components.values())
    if not every:
        return "absent"
    if any(healths <= _ILL for healths in deployed):
        return "down"
    if every & _ILL:
        return "degraded"
    return next((health for health in _WORST_FIRST if health in every), "healthy")
