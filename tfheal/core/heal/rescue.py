"""Slices that are lost: when one counts as lost, and what may be done about it without losing anything else.

A slice is lost when it was silent for long enough, when it shows another host key, or when it came back empty. It is made
anew by its provisioner; or what runs there moves to a spare.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from tfheal.core.heal.incidents import FOR_HUMANS
from tfheal.core.heal.situation import Rescue, Return
from tfheal.model.app import AppSpec
from tfheal.model.facts import Known, Observation, SliceFacts
from tfheal.model.findings import Diagnosis, Finding
from tfheal.model.inventory import SliceEntry, SliceSize
from tfheal.model.pause import Pause
from tfheal.model.playbook import Rung
from tfheal.model.record import Expected, Silence
from tfheal.model.release import InstanceName, Release
from tfheal.model.resources import Directory, Postgres

ENTRY: Final[Rung] = "recreate"
ROLE: Final = "role"  # the label that says what a slice is for; a spare has none, `spare`, or that of whom it replaces
SPARE: Final = "spare"


@dataclass(frozen=True, slots=True)
class Spares:
    """What is known of the slices that could take another one's place: how they are listed, what is used, what was seen."""

    entries: Mapping[str, SliceEntry]
    used: Collection[str] = ()
    seen: Mapping[str, Observation] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lost:
    """A lost slice: how it is listed, what was deployed there, the specs of these apps, and which of them this run holds.

    `paused` is that its owner had said hands off before it fell silent; `pauses` are those of people; `pending` names the
    apps that ask for more than is deployed, `pinned` the components that a person placed. `returns` says what would come
    back of the data that is there, `unfenced` why the old machine may still write; empty: it cannot.
    """

    entry: SliceEntry
    here: tuple[Expected, ...]
    specs: Mapping[str, AppSpec]
    held: Collection[str]
    paused: bool = False
    pauses: tuple[Pause, ...] = ()
    pending: Collection[str] = ()
    pinned: Mapping[str, Collection[str]] = field(default_factory=dict)
    spares: Spares = field(default_factory=lambda: Spares({}))
    returns: Mapping[InstanceName, Return] = field(default_factory=dict)
    unfenced: str = ""


def lost(diagnosis: Diagnosis, silences: Mapping[str, Silence], gone_after: float, now: datetime) -> Diagnosis:
    """Given a diagnosis, who is silent since when, and after how many seconds that counts, return it with lost slices.

    Their findings enter the ladder; those of slices on which nothing is deployed do not.
    """
    used = {name.slice for name, health in diagnosis.instances.items() if health != "absent"}
    findings = tuple(
        replace(finding, entry=ENTRY, detail=f"{finding.detail}{words}")
        if finding.slice in used
        and not finding.paused
        and (words := _lost(finding, silences, gone_after, now)) is not None
        else finding
        for finding in diagnosis.findings
    )
    return replace(diagnosis, findings=findings)


def _lost(finding: Finding, silences: Mapping[str, Silence], gone_after: float, now: datetime) -> str | None:
    """Return what to add to a finding of a lost slice; None if it is none."""
    if finding.cause in FOR_HUMANS:
        return ""
    silence = silences.get(finding.slice)
    if finding.cause != "slice-unreachable" or silence is None or now - silence.since < timedelta(seconds=gone_after):
        return None
    return f"; silent for {int((now - silence.since).total_seconds())} s"


def rescue(lost: Lost, contract: Callable[[], str]) -> Rescue:
    """Given a lost slice, return what may be done about it, and what stands against the rest.

    `contract` tells why its provisioner is not to be asked now; it is called only where nothing else forbids it.
    """
    provisioner = lost.entry.provisioner
    recreate = next(_forbidden(lost, "recreate"), "")
    if not recreate and provisioner is None:
        recreate = "inventory.toml names no provisioner for it"
    moves = {app: _spare(lost, app) for app in sorted({item.release.app for item in lost.here})}
    rehome = next(_forbidden(lost, "rehome"), "") or next(_stays(lost), "")
    homeless = [f"no spare of {app} fits{unfit}" for app, (spare, unfit) in moves.items() if not spare]
    return Rescue(
        recreate=recreate or contract(),
        rehome=rehome or next(iter(homeless), ""),
        pause=provisioner.backoff if provisioner else 0.0,
        moves={app: spare for app, (spare, _) in moves.items()},
        loses="; ".join(f"{name}: {back.words}" for name, back in lost.returns.items() if back.words),
    )


def _stays(lost: Lost) -> Iterator[str]:
    """Yield why what is on a lost slice may not be somewhere else."""
    for item in lost.here:
        release = item.release
        if release.component in lost.pinned.get(release.app, ()):
            yield f"a person placed {release.app}/{release.component}"
        elif release.app in lost.pending:
            yield f"{release.app} asks for something newer than what is deployed (tfheal deploy {release.app})"


def _spare(lost: Lost, app: str) -> tuple[str, str]:
    """Return the first spare of an app that fits, or none and why each of them does not."""
    reasons = []
    for name in lost.specs[app].spares if app in lost.specs else ():
        if not (why := unfit(lost.entry, name, lost.spares)):
            return name, ""
        reasons.append(f"{name} {why}")
    return "", f": {'; '.join(reasons)}" if reasons else ": it has none"


def unfit(old: SliceEntry, name: str, spares: Spares) -> str:
    """Given how a slice is listed, and the name of another one, return why this cannot take its place; empty: it can."""
    entry, seen = spares.entries[name], spares.seen.get(name)
    role = entry.labels.get(ROLE, SPARE)
    if entry.owner != old.owner:
        return "belongs to another owner"
    if name in spares.used:
        return "is in use"
    if role not in {SPARE, old.labels.get(ROLE, role)}:
        return f"has the role {role}"
    if old.size and (
        entry.size is None or any(has < had for has, had in zip(_size(entry.size), _size(old.size), strict=True))
    ):
        return "is smaller" if entry.size else "is of unknown size"
    if not isinstance(seen, SliceFacts):
        return "does not answer"
    hands_off = seen.machine.hands_off_since
    return "" if isinstance(hands_off, Known) and hands_off.value is None else "may be under its owner's hands off"


def _size(size: SliceSize) -> tuple[int, int, int]:
    return size.cpu, size.memory, size.disk


def _forbidden(lost: Lost, rung: Rung) -> Iterator[str]:
    if not lost.here:
        yield "nothing is deployed there"
    if lost.paused:
        yield "its owner had said hands off"
    for item in lost.here:
        app = item.release.app
        yield from (f"{app} is {one.words}" for one in lost.pauses if one.concerns(app, item.release.slice))
        if app not in lost.held:
            yield f"{app} is on it too, and no part of this run"
        elif rung not in lost.specs[app].heal.allow:
            yield f"not in heal: allow: of {app}"
        elif rung not in item.release.ladder:
            yield f"not in the ladder of {item.release.component}"
        elif item.deployed.phase == "removing":
            yield f"{item.release.instance} is being removed"
        elif holds_data(item.release) and (why := _irrecoverable(lost, item.release, rung)):
            yield f"{item.release.instance} holds data, {why}"


def _irrecoverable(lost: Lost, release: Release, rung: Rung) -> str:
    """Return why the data of a release would not come back; nothing if a restore brings it."""
    if rung == "rehome" and lost.unfenced:
        return f"and {lost.unfenced}"
    if "restore" not in lost.specs[release.app].heal.allow:
        return f"and restore is not in heal: allow: of {release.app}"
    if "restore" not in release.ladder:
        return f"and restore is not in the ladder of {release.component}"
    back = lost.returns.get(release.instance)
    return (back.why and f"which cannot come back: {back.why}") if back else "and nothing is known of its backups"


def holds_data(release: Release) -> bool:
    """Return whether the owner's data is where a release is."""
    kept = (isinstance(one, Postgres) or (isinstance(one, Directory) and one.data) for one in release.resources)
    return bool(release.data) or bool(release.dumps) or any(kept)
