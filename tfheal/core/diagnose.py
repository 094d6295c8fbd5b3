"""The only judge of health: what should be and what was seen go in, findings and health come out.

A cause silences its symptoms: an unreachable slice its instances, a full disk and a drift the unit that fails of it, a
dead component those that need it. What is not known is `unknown` and never a reason to act.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tfheal.core.order import stages
from tfheal.model.facts import InstanceFacts, Known, Machine, Observation, ResourceFact, SliceFacts, Unasked, Unknown
from tfheal.model.findings import Cause, Diagnosis, Finding, Health
from tfheal.model.record import Expected
from tfheal.model.release import InstanceName, Release
from tfheal.model.resources import Directory, resource_id

CLOCK_TOLERANCE = 5.0  # seconds; TLS and signed requests begin to fail at minutes, logs mislead at seconds
DATA_GONE = "missing, and it held data"


def diagnosed(
    expected: Iterable[Expected], placed: Iterable[InstanceName], seen: Mapping[str, Observation], full_share: float
) -> Diagnosis:
    """Given what is deployed, where apps are placed, what was seen by slice and the share of a full disk, return the judgement."""
    meant = {item.release.instance: item for item in expected}
    findings = [
        finding for slice_name, facts in seen.items() for finding in _of_slice(slice_name, facts, meant, full_share)
    ]
    full = {finding.slice for finding in findings if finding.cause == "disk-full"}
    healths: dict[InstanceName, Health] = dict.fromkeys(placed, "absent")
    for instance, item in meant.items():
        health, found = _of_instance(item, seen.get(instance.slice), hushed=instance.slice in full)
        healths[instance] = health
        findings += found
    blocked, blocking = _blocked(meant, healths)
    healths |= dict.fromkeys(blocked, "blocked")
    findings = [
        finding for finding in findings if finding.instance not in blocked or finding.entry in {None, "redeploy"}
    ]
    findings += blocking
    return Diagnosis(tuple(findings), dict(sorted(healths.items())), _apps(healths))


def _of_slice(
    name: str, facts: Observation, meant: Mapping[InstanceName, Expected], full_share: float
) -> list[Finding]:
    here = sorted(instance for instance in meant if instance.slice == name)
    if isinstance(facts, Unasked):
        return [_unasked(facts)]
    machine = facts.machine
    found = []
    if isinstance(machine.hands_off_since, Known) and machine.hands_off_since.value:
        found.append(Finding("paused-by-owner", "info", name, f"hands off since {machine.hands_off_since.value}"))
    if (full := _full_disk(machine, full_share)) and here:
        found.append(Finding("disk-full", "critical", name, full, here[0], "free-disk"))
    elif full:
        found.append(Finding("disk-full", "warning", name, full))
    if isinstance(machine.clock_offset, Known) and abs(machine.clock_offset.value) > CLOCK_TOLERANCE:
        found.append(Finding("clock-off", "warning", name, f"its clock is off by {machine.clock_offset.value:.1f} s"))
    return found


def _unasked(facts: Unasked) -> Finding:
    match facts.cause:
        case "host-key-changed":
            return Finding("host-key-changed", "critical", facts.slice, facts.reason)
        case "unreachable" | "login-refused":
            return Finding("slice-unreachable", "warning", facts.slice, facts.reason)
        case _:
            return Finding("unasked", "warning", facts.slice, facts.reason)


def _full_disk(machine: Machine, full_share: float) -> str:
    if isinstance(machine.disk_total, Known) and isinstance(machine.disk_free, Known) and machine.disk_total.value:
        used = 1 - machine.disk_free.value / machine.disk_total.value
        if used >= full_share:
            return f"the disk is {used:.0%} full, {machine.disk_free.value // (1 << 20)} MiB are free"
    if isinstance(machine.inodes_free_share, Known) and 1 - machine.inodes_free_share.value >= full_share:
        return f"the disk has {machine.inodes_free_share.value:.0%} of its inodes left"
    return ""


def _of_instance(item: Expected, seen: Observation | None, *, hushed: bool) -> tuple[Health, list[Finding]]:
    release, instance = item.release, item.release.instance
    if seen is None or isinstance(seen, Unasked):
        return "unknown", []
    facts = seen.instances.get(instance.on_slice)
    if facts is None:
        return "unknown", []
    if isinstance(seen.machine.hands_off_since, Known) and seen.machine.hands_off_since.value:
        return "paused", []
    if wiped := _wiped(seen, facts, release):
        return "down", wiped
    if stale := _superseded(item, facts):
        return _service_health(facts), stale
    findings = _state_findings(item, facts)
    health = _service_health(facts)
    findings += _health_findings(release, facts, drifted=any(finding.cause == "drift" for finding in findings))
    if hushed:
        findings = [replace(finding, entry=None) for finding in findings]
    return health, findings


def _finding(release: Release, cause: Cause, detail: str) -> Finding:
    return Finding(cause, "critical", release.slice, detail, release.instance)


def _wiped(seen: SliceFacts, facts: InstanceFacts, release: Release) -> list[Finding]:
    if isinstance(seen.machine.identity, Known) and seen.machine.identity.value is None:
        gone = "the marker of identity is gone: this is not the machine that was deployed to"
        return [_finding(release, "slice-wiped", gone)]
    if lost := _missing_data(release, facts):
        return [_finding(release, "slice-wiped", f"the owner's data is gone: {', '.join(lost)}")]
    return []


def _missing_data(release: Release, facts: InstanceFacts) -> list[str]:
    if not isinstance(facts.resources, Known) or not isinstance(facts.state, Known) or facts.state.value is None:
        return []
    data = {resource_id(item): item.path for item in release.resources if isinstance(item, Directory) and item.data}
    return [
        data[fact.resource]
        for fact in facts.resources.value
        if fact.resource in data and fact.state == "differs" and fact.detail.startswith(DATA_GONE)
    ]


def _superseded(item: Expected, facts: InstanceFacts) -> list[Finding]:
    if not isinstance(facts.state, Known) or facts.state.value is None:
        return []
    known = facts.state.value
    if known.generation <= item.deployed.generation:
        return []
    detail = f"the slice knows generation {known.generation}, written by {known.writer}; this workspace has {item.deployed.generation}"
    return [Finding("newer-generation", "warning", item.release.slice, detail, item.release.instance)]


def _state_findings(item: Expected, facts: InstanceFacts) -> list[Finding]:
    release = item.release
    if item.deployed.phase != "deployed":
        verb = "deploy" if item.deployed.phase == "deploying" else "remove"
        return [replace(_finding(release, "interrupted", f"a {verb} did not come to its end"), entry="redeploy")]
    drift = drifted(release, facts)
    if not drift:
        return []
    told = "; ".join(f"{fact.resource}: {fact.detail}" for fact in drift[:5])
    more = f" and {len(drift) - 5} more" if len(drift) > 5 else ""  # noqa: PLR2004 (five fit on a screen)
    return [replace(_finding(release, "drift", told + more), entry="redeploy")]


def drifted(release: Release, facts: InstanceFacts) -> list[ResourceFact]:
    """Return the resources that differ, a service that merely does not run left out: that is a matter of its health."""
    if not isinstance(facts.resources, Known):
        return []
    unit = f"unit:{release.unit}"
    return [
        fact
        for fact in facts.resources.value
        if fact.state == "differs" and not (fact.resource == unit and fact.detail.startswith("not running"))
    ]


def _service_health(facts: InstanceFacts) -> Health:
    active = facts.unit.value.active if isinstance(facts.unit, Known) else None
    runs_none = isinstance(facts.unit, Unknown) and "no service" in facts.unit.reason
    if active is None and not runs_none:
        return "unknown"
    if active not in {None, "active", "reloading"}:
        return "down"
    verdicts = {
        kind: [check.verdict for check in facts.checks if check.kind == kind]
        for kind in ("alive", "ready", "consistent")
    }
    if "fail" in verdicts["alive"]:
        return "down"
    if "unknown" in verdicts["alive"]:
        return "unknown"
    if "fail" in verdicts["ready"] + verdicts["consistent"]:
        return "degraded"
    return "unknown" if "unknown" in verdicts["ready"] + verdicts["consistent"] else "healthy"


def _health_findings(release: Release, facts: InstanceFacts, *, drifted: bool) -> list[Finding]:
    failing = [check for check in facts.checks if check.verdict == "fail"]
    found = []
    unit = facts.unit.value if isinstance(facts.unit, Known) else None
    if unit and unit.active not in {"active", "reloading"}:
        cause: Cause = "unit-stopped" if unit.active in {"inactive", "deactivating"} else "unit-failed"
        detail = f"{release.unit} is {unit.active} ({unit.sub}, result {unit.result})"
        found.append(replace(_finding(release, cause, detail), entry="restart"))
    elif alive := [check for check in failing if check.kind == "alive"]:
        found.append(replace(_finding(release, "not-alive", f"{alive[0].check}: {alive[0].detail}"), entry="restart"))
    else:
        causes: dict[str, Cause] = {"ready": "not-ready", "consistent": "inconsistent"}
        found += [
            replace(_finding(release, causes[check.kind], f"{check.check}: {check.detail}"), entry="page")
            for check in failing
        ]
    # What drifted is put back first: a unit that fails of a garbled file is not helped by a restart.
    return [replace(finding, entry=None) for finding in found] if drifted else found


def _blocked(
    meant: Mapping[InstanceName, Expected], healths: Mapping[InstanceName, Health]
) -> tuple[set[InstanceName], list[Finding]]:
    blocked: set[InstanceName] = set()
    found = []
    for app in sorted({name.app for name in meant}):
        ours = [item.release for item in meant.values() if item.release.app == app]
        needs = {release.component: release.needs for release in ours}
        dead: dict[str, str] = {}
        for stage in stages(needs):
            for component in stage:
                states = {
                    release.instance: healths[release.instance] for release in ours if release.component == component
                }
                cause = next((dead[need] for need in needs[component] if need in dead), None)
                ill = {name for name, health in states.items() if health in {"down", "degraded"}}
                if cause:
                    blocked |= ill
                    found += [
                        Finding("blocked", "warning", name.slice, f"waits for {cause}", name) for name in sorted(ill)
                    ]
                if states and not any(
                    health in {"healthy", "degraded", "unknown", "paused"} for health in states.values()
                ):
                    dead[component] = cause or component
    return blocked, found


def _apps(healths: Mapping[InstanceName, Health]) -> dict[str, Health]:
    apps: dict[str, dict[str, list[Health]]] = {}
    for name, health in healths.items():
        apps.setdefault(name.app, {}).setdefault(name.component, []).append(health)
    return {app: _app_health(components) for app, components in sorted(apps.items())}


def _app_health(components: Mapping[str, list[Health]]) -> Health:
    every = [health for healths in components.values() for health in healths]
    if all(health == "absent" for health in every):
        return "absent"
    if any(set(healths) <= {"down", "blocked"} for healths in components.values()):
        return "down"
    if "paused" in every:
        return "paused"
    if all(health in {"healthy", "absent"} for health in every):
        return "healthy"
    return "degraded" if set(every) & {"degraded", "down", "blocked"} else "unknown"
