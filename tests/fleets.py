"""A fleet in few words: everything is deployed and healthy, but for what a case says. Cases are small YAML files."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import yaml

from tfheal.core.heal import Rescue, Situation
from tfheal.core.heal.rescue import Lost, Spares, rescue
from tfheal.core.heal.situation import Return
from tfheal.core.heal.storm import suspected
from tfheal.model.app import AppHeal, AppSpec
from tfheal.model.facts import (
    CheckFact,
    Fact,
    InstanceFacts,
    Known,
    Machine,
    Observation,
    ReflexEvent,
    ResourceFact,
    SliceFacts,
    SliceState,
    Unasked,
    UnitFact,
    Unknown,
)
from tfheal.model.inventory import Provisioner, SliceEntry, SliceSize
from tfheal.model.names import seconds
from tfheal.model.pause import Pause, PauseKind
from tfheal.model.plan import Back
from tfheal.model.playbook import SHIPPED_LADDER, CheckKind
from tfheal.model.record import ActionRecord, Deployed, Expected, Incident, Silence
from tfheal.model.release import InstanceName, Release
from tfheal.model.workspace import HealPolicy

NOW: Final = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)
FULL: Final = 0.95
DISK: Final = 1_000_000_000
CHECKS: Final = [
    {"name": "answers", "kind": "alive", "tcp": 80},
    {"name": "serves", "kind": "ready", "tcp": 80},
    {"name": "data", "kind": "consistent", "tcp": 80},
    {"name": "changes", "kind": "stored", "tcp": 81},
]
Case = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fleet:
    """What the core is told of a fleet."""

    expected: tuple[Expected, ...]
    placed: tuple[InstanceName, ...]
    seen: dict[str, Observation]
    situation: Situation
    silences: dict[str, Silence]
    pauses: tuple[Pause, ...] = ()


def cases(table: str) -> list[Path]:
    """Return the case files of a table."""
    return sorted((Path(__file__).parent / "tables" / table).glob("*.yaml"))


def case_of(path: Path) -> dict[str, Any]:
    """Return a case; it says in a sentence what it shows."""
    case = yaml.safe_load(path.read_text())
    assert case.pop("shows"), path
    return dict(case)


def an_instance(words: str) -> InstanceName:
    """Given `app/component@slice`, return the name."""
    on_slice, _, slice_name = words.partition("@")
    app, _, component = on_slice.partition("/")
    return InstanceName(app, component, slice_name)


def release_of(name: InstanceName, *, kept: bool = True, software: bool = False, **changes: object) -> Release:
    """Return the release of an instance: a unit, a file, a folder (of data, if kept), perhaps software, and three checks."""
    fields: dict[str, object] = {
        "app": name.app,
        "owner": "acme",
        "component": name.component,
        "slice": name.slice,
        "playbook": "shop",
        "version": "1",
        "resources": [
            {"kind": "directory", "path": "/srv/data", "data": kept},
            {"kind": "file", "path": "/etc/shop.conf", "content": "a = 1\n"},
            {"kind": "unit", "name": f"{name.app}-{name.component}.service", "content": "[Service]\n"},
            *([{"kind": "venv", "home": "/opt/shop", "lock": "shop==1\n"}] if software else []),
        ],
        "unit": f"{name.app}-{name.component}.service",
        "start_timeout": 60.0,
        "checks": CHECKS,
        "ladder": SHIPPED_LADDER,
    }
    return Release.model_validate(fields | changes)


def fleet(case: Case) -> Fleet:
    """Given a case, return the fleet; a word that a case may not use is a mistake in the case."""
    left = dict(case)
    place = left.pop("place", {"shop": {"db": ["s1"], "web": ["s2"]}})
    needs = left.pop("needs", {"web": ["db"]})
    ladder = left.pop("ladder", SHIPPED_LADDER)
    said = dict(left.pop("seen", {}))
    names = [
        InstanceName(app, component, one)
        for app, components in place.items()
        for component, slices in components.items()
        for one in slices
    ]
    phases = left.pop("phase", {})
    kept = not left.pop("stateless", False)
    software = left.pop("software", [])
    expected = [
        _expected(
            release_of(
                name, kept=kept, needs=needs.get(name.component, ()), ladder=ladder, software=str(name) in software
            ),
            phases.get(str(name), "deployed"),
        )
        for name in names
        if phases.get(str(name)) != "never"
    ]
    seen = {
        one: _seen(one, said, [item for item in expected if item.release.slice == one]) for one in _slices(names, said)
    }
    uplink = left.pop("uplink", {})
    storm = suspected(seen)
    storm = replace(storm, **{key: tuple(peers) for key, peers in uplink.items()}) if storm else None
    silences = {one: _silence(one, words) for one, words in left.pop("silent", {}).items()}
    pauses = tuple(_pause(words) for words in left.pop("pauses", []))
    rescues = _rescues(left, expected, silences, pauses, seen)
    situation = replace(_situation(left, expected), storm=storm, rescues=rescues)
    assert not left, f"unknown words in the case: {', '.join(left)}"
    assert not said, f"seen of what is not there: {', '.join(said)}"
    return Fleet(tuple(expected), tuple(names), seen, situation, silences, pauses)


def _pause(words: Mapping[str, str]) -> Pause:
    kind: PauseKind = "app" if "app" in words else "slice"
    end = NOW + timedelta(hours=2)
    return Pause("p1", kind, words[kind], NOW, end, "ops@desk", "moving", on=words.get("seen_on"))


def _slices(names: list[InstanceName], said: Mapping[str, object]) -> list[str]:
    return sorted({name.slice for name in names} | {word for word in said if "@" not in word})


def _expected(release: Release, phase: str) -> Expected:
    reached = phase != "first"
    deployed = Deployed(release.instance, release.id, "1", 3, "deployed", NOW - timedelta(days=9))
    return Expected(replace(deployed, phase="deploying" if not reached else phase), release, reached)  # type: ignore[arg-type]


def _seen(name: str, said: dict[str, Any], here: list[Expected]) -> Observation:
    words = said.pop(name, {})
    if isinstance(words, str):
        return Unasked(name, f"it is {words}", words)  # type: ignore[arg-type]
    machine = _machine(dict(words))
    facts = {
        item.release.instance.on_slice: instance_facts(item, dict(said.pop(str(item.release.instance), {})))
        for item in here
    }
    return SliceFacts(name, NOW.isoformat(), machine, {key: value for key, value in facts.items() if value})


def _machine(words: dict[str, Any]) -> Machine:
    used = words.pop("disk", 0.4)
    machine = Machine(
        cpus=Known(2),
        load=Known(0.1),
        memory_total=Known(4 << 30),
        memory_used=Known(1 << 30),
        disk_total=Known(DISK),
        disk_free=Known(round(DISK * (1 - used))) if used != "unknown" else Unknown("it did not say"),
        inodes_free_share=Known(1 - words.pop("inodes", 0.1)),
        age=Known(86_400),
        boot_id=Known("b"),
        failed_units=Known(()),
        security_updates=Known(0),
        clock_offset=Known(words.pop("clock", 0.0)),
        hands_off_since=Known(words.pop("paused", None)),
        identity=Known(None) if words.pop("wiped", False) else Known("s1 abc"),
        pauses=Known(()),
        package_lock=Known(words.pop("packages locked", None)),
    )
    if words.pop("silent", False):
        unknown = Unknown("the machine did not answer in time")
        machine = replace(
            machine, hands_off_since=unknown, identity=unknown, disk_free=unknown, inodes_free_share=unknown
        )
    assert not words, f"unknown words about a slice: {', '.join(words)}"
    return machine


def instance_facts(item: Expected, words: dict[str, Any]) -> InstanceFacts | None:
    """Given what is deployed and how it differs from health, return its facts; None if it was not asked."""
    if words.pop("asked", True) is False:
        return None
    unit = _unit(words)
    drift = dict(line.split(": ", 1) for line in words.pop("drift", []))
    own = str(item.release.unit)
    ids = ["directory:/srv/data", "file:/etc/shop.conf", f"unit:{own}"]
    ids += [one for one in drift if one == f"container:{own.removesuffix('.service')}"]
    resources = tuple(
        ResourceFact(one, "differs", drift.pop(one)) if one in drift else ResourceFact(one, "ok") for one in ids
    )
    facts = InstanceFacts(
        state=_state(item, words.pop("state", {})),
        unit=unit,
        resources=Unknown("no time was left to ask") if words.pop("resources", "") == "unknown" else Known(resources),
        checks=tuple(_check(check.name, check.kind, words.pop(check.kind, "pass")) for check in item.release.checks),
        reflex=tuple(_event(words) for words in words.pop("reflex", [])),
    )
    assert not words, f"unknown words about an instance: {', '.join(words)}"
    assert not drift, f"drift of what is not there: {', '.join(drift)}"
    return facts


def _check(name: str, kind: CheckKind, words: str) -> CheckFact:
    """Return the fact of a check of which a case says the verdict, and maybe what it told."""
    verdict, _, told = words.partition(" ")
    return CheckFact(name, kind, verdict, told or f"it says {kind}", 0.1)  # type: ignore[arg-type]


def _event(words: str) -> ReflexEvent:
    ago, event = words.split(" ago ")
    at = NOW - timedelta(seconds=seconds(ago))
    return ReflexEvent(at.strftime("%Y-%m-%dT%H:%M:%SZ"), event, "answers failed")  # type: ignore[arg-type]


def _unit(words: dict[str, Any]) -> Fact[UnitFact]:
    active, _, sub = words.pop("unit", "active/running").partition("/")
    up = seconds(words.pop("up", "1d")) if active == "active" else None
    fact = UnitFact(active, sub, "success", "enabled", words.pop("restarts", 0), up, words.pop("idle", False))
    return Unknown("systemd did not answer") if active == "unknown" else Known(fact)


def _state(item: Expected, words: str | dict[str, Any]) -> Fact[SliceState | None]:
    if words == "gone":
        return Known(None)
    if words == "garbled":
        return Unknown("the state file on the slice does not parse")
    assert isinstance(words, dict)
    fields: dict[str, Any] = {
        "release": item.release.id,
        "version": "1",
        "generation": 3,
        "writer": "us",
        "at": "2026-01-01T00:00:00Z",
        "phase": "applied",
    }
    return Known(SliceState(**(fields | words)))


def _silence(name: str, words: str) -> Silence:
    ago, _, paused = words.partition(" ")
    return Silence(name, NOW - timedelta(seconds=seconds(ago)), paused == "paused")


def _rescues(
    words: dict[str, Any],
    expected: list[Expected],
    silences: dict[str, Silence],
    pauses: tuple[Pause, ...],
    seen: dict[str, Observation],
) -> dict[str, Rescue]:
    allow, spares = words.get("allow", SHIPPED_LADDER), words.pop("spares", [])
    provisioners, contract = words.pop("provisioners", []), words.pop("contract", "")
    apps = sorted({item.release.app for item in expected})
    specs = {app: _spec(app, allow, spares) for app in apps}
    unfenced = words.pop("unfenced", "")
    held, pending = words.pop("held", apps), words.pop("pending", [])
    pinned = words.pop("pinned", {})
    used = {item.release.slice for item in expected}
    entries = {name: _entry(name, words, provisioners) for name in used | set(spares)}
    for word in ("owners", "sizes", "roles"):
        words.pop(word, None)
    lost = {
        name: Lost(
            entry=entries[name],
            here=tuple(item for item in expected if item.release.slice == name),
            specs=specs,
            held=held,
            paused=name in silences and silences[name].paused,
            pauses=pauses,
            pending=pending,
            pinned=pinned,
            spares=Spares(entries, used, seen),
            unfenced=unfenced,
            returns={an_instance(one): _return(back) for one, back in words.get("returns", {}).items()},
        )
        for name in used
    }
    return {name: rescue(one, lambda: contract) for name, one in lost.items()}


def _spec(app: str, allow: tuple[Any, ...], spares: list[str]) -> AppSpec:
    heal = AppHeal(allow=allow)
    return AppSpec(
        app=app, owner="acme", playbook="shop", version="1", place={"x": ("x",)}, spares=tuple(spares), heal=heal
    )


def _entry(name: str, words: dict[str, Any], provisioners: list[str]) -> SliceEntry:
    size, role = words.get("sizes", {}).get(name), words.get("roles", {}).get(name)
    return SliceEntry(
        owner=words.get("owners", {}).get(name, "acme"),
        address="192.0.2.1",
        size=SliceSize(cpu=size, memory=1 << 30, disk=1 << 30) if size else None,
        labels={"role": role} if role else {},
        provisioner=Provisioner(recreate="make {slice}") if name in provisioners else None,
    )


def _situation(words: dict[str, Any], expected: list[Expected]) -> Situation:
    allow = words.pop("allow", SHIPPED_LADDER)
    ways_back = words.pop("ways_back", {})
    returns = words.pop("returns", {})
    return Situation(
        releases={item.release.instance: item.release for item in expected},
        allow=dict.fromkeys({item.release.app for item in expected}, tuple(allow)),
        incidents=tuple(_incident(dict(one)) for one in words.pop("incidents", [])),
        actions=tuple(_action(number, dict(one)) for number, one in enumerate(words.pop("history", []))),
        policy=HealPolicy(**words.pop("policy", {})),
        now=NOW,
        ways_back={an_instance(name): _back(words) for name, words in ways_back.items()},
        returns={an_instance(name): _return(words) for name, words in returns.items()},
    )


def _back(words: str) -> Back:
    refusal = words.removeprefix("no: ")
    return Back(words) if refusal == words else Back(None, refusal)


def _return(words: str) -> Return:
    refusal = words.removeprefix("no: ")
    return Return(words=words) if refusal == words else Return(why=refusal)


def _ago(words: dict[str, Any], key: str) -> datetime | None:
    return NOW - timedelta(seconds=seconds(words.pop(key))) if key in words else None


def _where(words: str) -> tuple[InstanceName | None, str]:
    name = an_instance(words) if "@" in words else None
    return name, name.slice if name else words


def _incident(words: dict[str, Any]) -> Incident:
    instance, slice_name = _where(words.pop("at"))
    opened = _ago(words, "opened") or NOW
    return Incident(
        id=words.pop("id", "i-1"),
        app=instance.app if instance else "",
        instance=instance,
        slice=slice_name,
        opened=opened,
        last_seen=opened,
        healthy_since=_ago(words, "healthy"),
        closed=_ago(words, "closed"),
        paged=_ago(words, "paged"),
        acked=_ago(words, "acked"),
        **({"state": "open", "rung": "restart"} | words),
    )


def _action(number: int, words: dict[str, Any]) -> ActionRecord:
    instance, slice_name = _where(words.pop("at"))
    started = _ago(words, "ago") or NOW
    fields: dict[str, Any] = {
        "incident": "i-1",
        "outcome": "done",
        "detail": "",
        "ended": started + timedelta(seconds=seconds(words.pop("took", "0s"))),
        "release": None,
    } | words
    return ActionRecord(
        id=f"a{number}",
        run="r",
        app=instance.app if instance else "",
        instance=instance,
        slice=slice_name,
        why="",
        started=started,
        **fields,
    )
