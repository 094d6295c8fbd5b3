"""Status in words: apps, instances, slices and findings."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tfheal.base.amounts import size, span
from tfheal.base.moments import rfc3339
from tfheal.model.facts import InstanceFacts, Known, Machine, Observation, SliceFacts, Unasked
from tfheal.model.findings import Finding
from tfheal.model.inventory import SliceEntry
from tfheal.model.record import Expected
from tfheal.model.release import InstanceName
from tfheal.model.results import Status
from tfheal.render.ages import ages_document, ages_table
from tfheal.render.pauses import pause_document
from tfheal.render.words import NARROW, STYLES, ago, document, said, table

_UNKNOWN: Final = {"unknown": "not asked"}


def status_words(status: Status, owners: Mapping[str, tuple[str, str, str]], width: int) -> RenderableType:
    """Given a status and (owner, playbook, version) by app, return it for a person's screen of that width."""
    parts: list[RenderableType] = []
    if status.apps:
        parts.append(_apps(status, owners, narrow=width < NARROW))
    else:
        parts.append(Text("no apps yet: write one into apps/ and say tfheal deploy APP"))
    if status.seen:
        parts += [Text(""), _slices(status, narrow=width < NARROW)]
    if status.backups:
        parts += [Text(""), ages_table(status, narrow=width < NARROW)]
    if status.diagnosis.findings:
        parts += [Text(""), *(_finding(finding, status) for finding in status.diagnosis.findings)]
    return Group(*parts)


def status_document(
    status: Status,
    owners: Mapping[str, tuple[str, str, str]],
    round_trips: Mapping[str, int],
    slices: Mapping[str, SliceEntry],
) -> dict[str, object]:
    """Given a status, (owner, playbook, version) by app and the inventory's slices, return it as scripts read it."""
    instances = _by_app(status)
    return {
        "health": _worst(status),
        "round_trips": sum(round_trips.values()),
        "apps": [_app(status, app, owners[app], instances.get(app, ())) for app in status.apps],
        "slices": [
            _slice(name, slices[name].owner, seen, round_trips.get(name, 0)) for name, seen in status.seen.items()
        ],
        "pauses": [pause_document(pause) for pause in status.pauses],
        "findings": [_finding_document(finding) for finding in status.diagnosis.findings],
    }


def _worst(status: Status) -> str:
    order = ("down", "degraded", "blocked", "unknown", "paused", "healthy", "absent")
    healths = set(status.diagnosis.apps.values())
    return next((health for health in order if health in healths), "absent")


def _apps(status: Status, owners: Mapping[str, tuple[str, str, str]], *, narrow: bool) -> Table:
    heads = ("app", "instance", "health", "since")
    made = table(*heads) if narrow else table(*heads, "version", "release", "last heal")
    instances = _by_app(status)
    for app in status.apps:
        owner, playbook, _ = owners[app]
        health = status.diagnosis.apps.get(app, "absent")
        row = [Text(app, style="bold"), Text(f"{playbook} for {owner}"), Text(health, style=STYLES[health]), Text("")]
        made.add_row(*row, *([] if narrow else ["", "", ""]))
        for name, item in instances.get(app, ()):
            made.add_row("", f"  {name.component}@{name.slice}", *_instance_cells(status, name, item, narrow=narrow))
    return made


def _by_app(status: Status) -> dict[str, list[tuple[InstanceName, Expected | None]]]:
    """Return the instances of each app, each with what it is meant to be, if it was deployed."""
    meant = {item.release.instance: item for item in status.expected}
    found: dict[str, list[tuple[InstanceName, Expected | None]]] = {}
    for name in status.diagnosis.instances:
        found.setdefault(name.app, []).append((name, meant.get(name)))
    return found


def _instance_cells(status: Status, name: InstanceName, item: Expected | None, *, narrow: bool) -> list[Text]:
    health = status.diagnosis.instances[name]
    since = status.since.get(name)
    cells = [Text(health, style=STYLES[health]), Text(ago(since.since, status.at) if since else "")]
    if narrow:
        return cells
    healed = status.healed.get(name)
    return [
        *cells,
        Text(item.release.version if item else ""),
        Text(item.release.id[:8] if item else ""),
        Text(f"{ago(healed, status.at)} ago" if healed else ""),
    ]


def _slices(status: Status, *, narrow: bool) -> Table:
    made = (
        table("slice", "disk free", "age", "failed")
        if narrow
        else table("slice", "cpu", "load", "memory", "disk free", "age", "failed units", "security", "clock")
    )
    for name, seen in status.seen.items():
        if isinstance(seen, Unasked):
            made.add_row(Text(name, style=STYLES["unknown"]), Text(seen.cause), *([""] * (len(made.columns) - 2)))
            continue
        machine = seen.machine
        disk = f"{said(machine.disk_free, size)} of {said(machine.disk_total, size)}"
        failed = said(machine.failed_units, lambda units: ", ".join(units) or "none")
        age = said(machine.age, span)
        if narrow:
            made.add_row(name, disk, age, failed)
        else:
            most = f" of {said(machine.memory_total, size)}" if isinstance(machine.memory_total, Known) else ""
            made.add_row(
                name,
                said(machine.cpus, str),
                said(machine.load, lambda load: f"{load:.2f}"),
                said(machine.memory_used, size) + most,
                disk,
                age,
                failed,
                _security(machine),
                said(machine.clock_offset, lambda seconds: f"{seconds:+.1f}s" if seconds else "0s"),
            )
    return made


def _security(machine: Machine) -> str:
    """Return how many security updates are pending, and since when the oldest is."""
    count, age = said(machine.security_updates, str), machine.security_age
    return f"{count}, {span(age.value)}" if isinstance(age, Known) else count


def _finding(finding: Finding, status: Status) -> Text:
    where = str(finding.instance or finding.slice)
    line = Text.assemble((f"{finding.severity:8}", STYLES[finding.severity]), f" {where}  ", (finding.cause, "bold"))
    line.append(f"  {finding.detail}")
    taken = f"taken by {finding.acked_by}" if finding.acked_by else ""
    since = f"for {ago(datetime.fromisoformat(finding.since), status.at)}" if finding.since else ""
    more = ", ".join(word for word in (since, finding.incident, taken) if word)
    if more:
        line.append(f" ({more})", style="dim")
    return line


def _app(
    status: Status, app: str, spec: tuple[str, str, str], instances: Iterable[tuple[InstanceName, Expected | None]]
) -> dict[str, object]:
    owner, playbook, version = spec
    return {
        "app": app,
        "owner": owner,
        "playbook": playbook,
        "version": version,
        "health": status.diagnosis.apps.get(app, "absent"),
        "backup": ages_document(status, app),
        "instances": [_instance(status, name, item) for name, item in instances],
    }


def _instance(status: Status, name: InstanceName, item: Expected | None) -> dict[str, object]:
    since = status.since.get(name)
    seen = status.seen.get(name.slice)
    facts = seen.instances.get(name.on_slice) if isinstance(seen, SliceFacts) else None
    healed = status.healed.get(name)
    return {
        "component": name.component,
        "slice": name.slice,
        "health": status.diagnosis.instances[name],
        "since": rfc3339(since.since) if since else _UNKNOWN,
        "release": item.release.id if item else {"unknown": "not deployed"},
        "last_heal": rfc3339(healed) if healed else {"unknown": "never healed"},
        "checks": _checks(facts),
    }


def _checks(facts: InstanceFacts | None) -> list[dict[str, object]]:
    if facts is None:
        return []
    return [
        {
            "check": check.check,
            "kind": check.kind,
            "verdict": check.verdict,
            "detail": check.detail,
            "seconds": round(check.seconds, 3),
        }
        for check in facts.checks
    ]


def _slice(name: str, owner: str, seen: Observation, trips: int) -> dict[str, object]:
    if isinstance(seen, Unasked):
        why = {"unknown": seen.reason}
        facts: dict[str, Any] = dict.fromkeys(Machine.__dataclass_fields__, why)
        return {
            "slice": name,
            "owner": owner,
            "reachable": False,
            "reason": seen.reason,
            "cause": seen.cause,
            "round_trips": trips,
            "facts": facts,
        }
    facts = {field: document(getattr(seen.machine, field)) for field in Machine.__dataclass_fields__}
    if isinstance(seen.machine.pauses, Known):
        facts["pauses"] = [pause_document(pause) for pause in seen.machine.pauses.value]
    for absent in ("hands_off_since", "identity"):
        if facts[absent] is None:
            facts[absent] = False
    return {"slice": name, "owner": owner, "reachable": True, "round_trips": trips, "facts": facts}


def _finding_document(finding: Finding) -> dict[str, object]:
    return {
        "finding": finding.cause,
        "severity": finding.severity,
        "app": finding.instance.app if finding.instance else {"unknown": "a finding of the slice"},
        "instance": str(finding.instance) if finding.instance else {"unknown": "a finding of the slice"},
        "slice": finding.slice,
        "since": finding.since or {"unknown": "not recorded"},
        "incident": finding.incident or {"unknown": "heal has not seen it yet"},
        "acked_by": finding.acked_by or False,
        "detail": finding.detail,
    }
