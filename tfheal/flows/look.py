"""Looking at apps: what the journal says was deployed, and what slices say of apps that this journal never saw.

A clone of a workspace, or one that lost its journal, goes on from what is written on the slices: where the release there
is the very one that the workspace asks for now, it is taken into the journal. So is one that a colleague deployed since.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from tfheal.core.deploy import state_of
from tfheal.core.diagnose import diagnosed
from tfheal.flows.fleet import Limits
from tfheal.flows.observe import asked, observed
from tfheal.flows.pauses import standing
from tfheal.flows.releases import expected, placed, wanted
from tfheal.model.facts import Observation, Unasked
from tfheal.model.findings import Diagnosis, Finding, Health
from tfheal.model.ports import Ports
from tfheal.model.record import Deployed, Expected, Phase
from tfheal.model.release import InstanceName, Release
from tfheal.model.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Look:
    """What is meant, what was seen, and releases on slices that this workspace does not have."""

    meant: tuple[Expected, ...]
    seen: Mapping[str, Observation]
    foreign: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """Which apps to look at, which slices besides theirs, and if only some slices matter, which."""

    apps: tuple[str, ...]
    slices: Collection[str] = ()
    only: Collection[str] | None = None


def look(workspace: Workspace, scope: Scope, ports: Ports, limits: Limits) -> Look:
    """Given a scope, ask its slices, one round trip each, and return what is meant and what was seen."""
    meant = expected(scope.apps, ports)
    known = {item.release.instance: item for item in meant}
    now = {release.instance: release for app in scope.apps for release in wanted(workspace, app, ports)}
    unknown = [release for name, release in now.items() if name not in known]
    questions = asked((item.release for item in meant), ports)
    for name, items in asked(unknown, ports, planning=True).items():
        questions[name] = questions.get(name, ()) + items
    due = {*scope.slices, *questions}
    names = [name for name in workspace.inventory.slices if name in due and (scope.only is None or name in scope.only)]
    seen = observed([workspace.inventory.slice(name) for name in names], questions, ports, limits)
    _note_silence(seen, ports)
    if {name for name, item in known.items() if _taken_over(item, now.get(name), seen, ports)}:
        return look(workspace, scope, ports, limits)  # what was asked was about the release before
    adopted = tuple(item for release in unknown if (item := _adopted(release, seen.get(release.slice), ports)))
    foreign = tuple(found for release in unknown if (found := _foreign(release, seen.get(release.slice))))
    return Look(meant + adopted, seen, foreign)


def _note_silence(seen: Mapping[str, Observation], ports: Ports) -> None:
    """Record which slices are silent; what the round did not get to ask says nothing."""
    silent = {name for name, one in seen.items() if isinstance(one, Unasked) and one.cause == "unreachable"}
    untold = {
        name
        for name, one in seen.items()
        if isinstance(one, Unasked) and one.cause in {"deadline", "not-checked", "no-pin"}
    }
    ports.journal.note_silence(silent, seen.keys() - silent - untold, ports.clock.now())


def judged(workspace: Workspace, apps: tuple[str, ...], found: Look, ports: Ports) -> Diagnosis:
    """Given what was found, return the judgement; what another workspace deployed is unknown to this one."""
    full = workspace.provider.heal.disk_full_share
    pauses = standing(found.seen, ports)
    diagnosis = diagnosed(found.meant, placed(workspace, apps), found.seen, full, pauses)
    strangers: dict[InstanceName, Health] = {
        finding.instance: "unknown" for finding in found.foreign if finding.instance
    }
    apps_health: dict[str, Health] = {
        name.app: "unknown" for name in strangers if diagnosis.apps.get(name.app) in {"absent", "healthy"}
    }
    return replace(
        diagnosis,
        findings=diagnosis.findings + found.foreign,
        instances=diagnosis.instances | strangers,
        apps=diagnosis.apps | apps_health,
    )


def _taken_over(item: Expected, now: Release | None, seen: Mapping[str, Observation], ports: Ports) -> bool:
    """Return whether a colleague deployed since what this workspace asks for now; then it is taken into the journal."""
    state = state_of(seen.get(item.release.slice), item.release)
    if state is None or now is None or item.deployed.phase != "deployed":
        return False
    other = state.release not in {item.deployed.release, item.release.id}
    if state.generation < item.deployed.generation or not (other or state.generation > item.deployed.generation):
        return False
    return _adopted(now, seen.get(now.slice), ports) is not None


def _adopted(release: Release, seen: Observation | None, ports: Ports) -> Expected | None:
    state = state_of(seen, release)
    if state is None or state.release != release.id:
        return None
    now = ports.clock.now()
    phase: Phase = "deployed" if state.phase == "applied" else "deploying"
    deployed = Deployed(release.instance, release.id, release.version, state.generation, phase, now)
    ports.journal.save_release(release, now)
    ports.journal.set_deployed(deployed)
    return Expected(deployed, release)


def _foreign(release: Release, seen: Observation | None) -> Finding | None:
    state = state_of(seen, release)
    if state is None or state.release == release.id:
        return None
    detail = (
        f"release {state.release} (version {state.version}) is there, put by {state.writer}; "
        f"this workspace asks for {release.id} and has no record of the other: tfheal deploy {release.app} --plan"
    )
    return Finding("foreign-release", "warning", release.slice, detail, release.instance)
