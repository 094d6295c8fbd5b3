"""Slices that are lost: when one counts as lost, and what may be done about it without losing anything else.

A slice is lost when it was silent for long enough, when it shows another host key, or when it came back empty. It is made
anew by its provisioner; or what runs there moves to a spare.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from tfheal.core.heal.incidents import FOR_HUMANS
from tfheal.core.heal.situation import Rescue
from tfheal.model.app import AppSpec
from tfheal.model.findings import Diagnosis, Finding
from tfheal.model.inventory import SliceEntry
from tfheal.model.pause import Pause
from tfheal.model.playbook import Rung
from tfheal.model.record import Expected, Silence
from tfheal.model.release import Release
from tfheal.model.resources import Directory, Postgres

ENTRY: Final[Rung] = "recreate"


@dataclass(frozen=True, slots=True)
class Lost:
    """A lost slice: how it is listed, what was deployed there, the specs of these apps, and which of them this run holds.

    `paused` is that its owner had said hands off before it fell silent; `pauses` are those of people.
    """

    entry: SliceEntry
    here: tuple[Expected, ...]
    specs: Mapping[str, AppSpec]
    held: Collection[str]
    paused: bool = False
    pauses: tuple[Pause, ...] = ()


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
    return Rescue(
        recreate=recreate or contract(),
        rehome=next(_forbidden(lost, "rehome"), "it is not known where to"),
        pause=provisioner.backoff if provisioner else 0.0,
    )


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
        elif holds_data(item.release):
            yield f"{item.release.instance} holds data, which nothing brings back yet"
        elif item.deployed.phase == "removing":
            yield f"{item.release.instance} is being removed"


def holds_data(release: Release) -> bool:
    """Return whether the owner's data is where a release is."""
    kept = (isinstance(one, Postgres) or (isinstance(one, Directory) and one.data) for one in release.resources)
    return bool(release.data) or any(kept)
