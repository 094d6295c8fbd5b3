"""How releases stand, kept in the journal: noted at every look, asked when a way back is needed."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from tfheal.base.errors import ActionFailed
from tfheal.base.moments import rfc3339
from tfheal.core.deploy import state_of
from tfheal.core.standing import kept_software, observed, way_back
from tfheal.flows.look import Look
from tfheal.model.facts import Known, Observation, SliceFacts
from tfheal.model.findings import Diagnosis
from tfheal.model.plan import Back
from tfheal.model.ports import Ports
from tfheal.model.record import Deployed, Expected, Standing
from tfheal.model.release import InstanceName, Release
from tfheal.model.workspace import Workspace

ANEW: Final = "deploy --again tries it again"  # what a held release is told with where one may deploy


def note(workspace: Workspace, found: Look, diagnosis: Diagnosis, ports: Ports) -> None:
    """Given what was found and its judgement, record how the deployed releases stand now, and when their data was right."""
    ports.journal.note_consistent({name: at for item in found.meant for name, at in _right(item, found)})
    now, stood = ports.clock.now(), _by_instance(ports)
    changed = []
    for item in found.meant:
        folder = workspace.playbooks.get(item.release.playbook)
        if folder is None or item.deployed.phase != "deployed":
            continue
        before = _standing(item.deployed, stood)
        health = diagnosis.instances[item.release.instance]
        after = observed(before, health, _runs_for(item, found), folder.playbook.upgrade.soak, now)
        if after != before:
            changed.append(after)
    if changed:
        ports.journal.put_standings(changed)


def ways_back(workspace: Workspace, meant: Iterable[Expected], ports: Ports) -> dict[InstanceName, Back]:
    """Given what is deployed, return the release that each instance can go back to, or why there is none."""
    found, stood = {}, _by_instance(ports)
    for item in meant:
        instance, folder = item.release.instance, workspace.playbooks.get(item.release.playbook)
        standings = stood.get(instance, [])
        if folder is not None:
            found[instance] = way_back(
                item.deployed, item.release, standings, _releases(standings, ports), folder.playbook
            )
    return found


def kept(instance: InstanceName, ports: Ports) -> tuple[tuple[str, ...], ...]:
    """Given an instance, return the software on its slice that stays as a way back, release by release."""
    standings = of(instance, ports)
    return kept_software(standings, _releases(standings, ports))


def hold(deployed: Deployed, why: str, ports: Ports) -> None:
    """Given what is deployed and is gone back from, hold its release: no plain deploy puts it there again."""
    before = _standing(deployed, {deployed.instance: of(deployed.instance, ports)})
    ports.journal.put_standings([replace(before, good=None, healthy_since=None, held=ports.clock.now(), why=why)])


def lift(instance: InstanceName, release: str, ports: Ports) -> None:
    """Given a release that is deployed after all, hold it no longer."""
    held = [one for one in of(instance, ports) if one.release == release and one.held]
    if held:
        ports.journal.put_standings([replace(one, held=None, why="") for one in held])


def last_held(deployed: Deployed, ports: Ports) -> str | None:
    """Given what is being deployed, return the other release that was held last, if any: its slice is to know of that."""
    found = [(one.held, one.release) for one in of(deployed.instance, ports) if one.held]
    return max([one for one in found if one[1] != deployed.release], default=(None, None))[1]


def held(release: Release, seen: Observation | None, ports: Ports) -> str:
    """Given a release and what was seen of its slice, return why it is held, by our record or the slice's; nothing if not."""
    mine = next((one for one in of(release.instance, ports) if one.release == release.id and one.held), None)
    state = state_of(seen, release)
    if mine is None and (state is None or release.id not in state.held):
        return ""
    when = f" at {rfc3339(mine.held)} ({mine.why})" if mine and mine.held else ""
    return f"release {release.id} (version {release.version}) was rolled back{when}"


def of(instance: InstanceName, ports: Ports) -> list[Standing]:
    """Given an instance, return how its releases stand."""
    return [one for one in ports.journal.standings(instance.app) if one.instance == instance]


def _by_instance(ports: Ports) -> dict[InstanceName, list[Standing]]:
    found: dict[InstanceName, list[Standing]] = {}
    for one in ports.journal.standings():
        found.setdefault(one.instance, []).append(one)
    return found


def _standing(deployed: Deployed, stood: Mapping[InstanceName, list[Standing]]) -> Standing:
    """Return how what is deployed stands; what it proved in an earlier placement, it proved with other neighbours."""
    fresh = Standing(deployed.instance, deployed.release, deployed.generation)
    found = next((one for one in stood.get(deployed.instance, ()) if one.release == deployed.release), fresh)
    same = found.generation == deployed.generation
    return found if same else replace(found, generation=deployed.generation, healthy_since=None, good=None)


def _releases(standings: Iterable[Standing], ports: Ports) -> Mapping[str, Release]:
    found: dict[str, Release] = {}
    for one in standings:
        with suppress(ActionFailed):  # kept by another version of tfheal, which leaves no way back to it
            release = ports.journal.release(one.release) if one.good else None
            found |= {one.release: release} if release else {}
    return found


def _right(item: Expected, found: Look) -> Iterator[tuple[InstanceName, datetime]]:
    """Yield an instance with when it was about to be asked, by the clock of its slice, if all that is asked of its data passed."""
    seen = found.seen.get(item.release.slice)
    facts = seen.instances.get(item.release.instance.on_slice) if isinstance(seen, SliceFacts) else None
    asked = [check.verdict for check in facts.checks if check.kind == "consistent"] if facts else []
    if isinstance(seen, SliceFacts) and asked and set(asked) == {"pass"}:
        offset = seen.machine.clock_offset
        ahead = timedelta(seconds=offset.value if isinstance(offset, Known) else 0.0)
        yield item.release.instance, datetime.fromisoformat(seen.sent or seen.at) + ahead


def _runs_for(item: Expected, found: Look) -> float | None:
    seen = found.seen.get(item.release.slice)
    facts = seen.instances.get(item.release.instance.on_slice) if isinstance(seen, SliceFacts) else None
    return facts.unit.value.active_for if facts and isinstance(facts.unit, Known) else None
