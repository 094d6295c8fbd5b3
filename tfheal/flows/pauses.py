"""`tfheal pause` and `tfheal resume`: into the journal first, then onto the slices; what fails there is mended by rounds."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from tfheal.base.errors import Refused, TfhealError, UsageError
from tfheal.core import pauses, pausing
from tfheal.flows.fleet import Limits, ask_all
from tfheal.model.facts import Known, Observation, SliceFacts
from tfheal.model.inventory import Slice
from tfheal.model.pause import Pause, Paused, PauseKind, Place
from tfheal.model.ports import Exec, Ports
from tfheal.model.workspace import Workspace

LONGEST = timedelta(days=90)  # what is to be left alone for longer is not deployed by us


@dataclass(frozen=True, slots=True)
class PauseOrder:
    """Who pauses, for how many seconds, and why."""

    who: str
    seconds: float
    why: str


def pause(workspace: Workspace, target: str, order: PauseOrder, ports: Ports, limits: Limits) -> Paused:
    """Given an app or a slice, let nothing be done to it for a while; raise UsageError for one that there is not."""
    kind, name = _meant(workspace, target, ports)
    length = timedelta(seconds=order.seconds)
    if not timedelta(seconds=1) <= length <= LONGEST:
        raise UsageError("a pause has an end", why=f"at least a second, and at most {LONGEST.days} days from now")
    now = ports.clock.now().replace(microsecond=0)
    made = Pause(ports.journal.new_id(), kind, name, now, now + length, order.who, " ".join(order.why.split()))
    ports.pauses.keep(made, ports.clock.now())
    return Paused(made, 1, _everywhere(workspace, made, pausing.kept([made], ports.marker()), ports, limits))


def resume(workspace: Workspace, target: str, who: str, ports: Ports, limits: Limits) -> Paused:
    """Given an app or a slice, end its pause, whoever made it; on slices out of reach the next round ends it."""
    kind, name = _meant(workspace, target, ports)
    now = ports.clock.now()
    stood = ports.pauses.lift(kind, name, now)
    over = Pause("", kind, name, None, now, who, "", lifted=now)
    return Paused(over, stood, _everywhere(workspace, over, pausing.lifted(over), ports, limits))


def standing(seen: Mapping[str, Observation], ports: Ports) -> tuple[Pause, ...]:
    """Given what was seen, return the pauses that hold now."""
    now = ports.clock.now()
    return pauses.standing(ports.pauses.known(now), seen, now)


def check(app: str, slice_name: str, ports: Ports, seen: Mapping[str, Observation] | None = None) -> None:
    """Before an action: raise Refused if the app or the slice is paused by what this workspace knows, or by what was seen."""
    for one in standing(seen or {}, ports):
        if one.concerns(app, slice_name):
            raise Refused(f"{app} on {slice_name} is paused", why=one.terms)


def settle(workspace: Workspace, seen: Mapping[str, Observation], ports: Ports, limits: Limits) -> None:
    """Given what was seen, write the files of pauses that slices lack and remove those that are over, where that is needed."""
    now = ports.clock.now()
    known = {one.id: one for one in ports.pauses.known(now)}
    places = {one.id: frozenset(_slices(workspace, one, ports)) for one in known.values()}
    bodies: dict[str, str] = {}
    for name, facts in seen.items():
        if not isinstance(facts, SliceFacts) or _is_closed(facts):
            continue
        there = {pauses.file_of(one): one for one in pauses.told_of({name: facts})}
        ours = {pauses.file_of(one): one for one in known.values() if name in places[one.id]}
        lacking = [one for file, one in ours.items() if one.holds(now) and _is_free(there.get(file), known, one, now)]
        ended = [one for one in there.values() if one.id in known and not known[one.id].holds(now)]
        if lacking or ended or any(not one.holds(now) for one in there.values()):
            bodies[name] = pausing.swept(ended) + (pausing.kept(lacking, ports.marker()) if lacking else "")
    ask_all(
        [workspace.inventory.slice(name) for name in bodies],
        lambda target: _trip(target, bodies[target.name], (), ports),
        limits,
    )


def _is_closed(facts: SliceFacts) -> bool:
    """Return whether nothing is to be written there: the owner said stop, or nobody knows what is there."""
    return facts.machine.hands_off_since != Known(None) or not isinstance(facts.machine.pauses, Known)


def _is_free(there: Pause | None, known: Mapping[str, Pause], ours: Pause, now: datetime) -> bool:
    """Return whether our file is to be written: nothing of ours is there, and no pause of a colleague that holds."""
    if there is None or (there.id in known and there.id != ours.id):
        return True
    return there.id != ours.id and not there.holds(now)


def _slices(workspace: Workspace, one: Pause, ports: Ports) -> list[str]:
    if one.kind == "slice":
        return [one.name]
    spec = workspace.apps.get(one.name)
    places = {name for names in spec.place.values() for name in names} if spec else set()
    places |= {item.instance.slice for item in ports.journal.deployed(one.name)}
    return [name for name in workspace.inventory.slices if name in places]


def _everywhere(workspace: Workspace, one: Pause, body: str, ports: Ports, limits: Limits) -> tuple[Place, ...]:
    names = _slices(workspace, one, ports)
    here = ports.journal.deployed()
    apps = {name: sorted({item.instance.app for item in here if item.instance.slice == name}) for name in names}
    if one.kind == "app":
        apps = {name: [one.name] for name in names}
    replies = ask_all(
        [workspace.inventory.slice(name) for name in names],
        lambda target: _trip(target, body, apps[target.name] if one.lifted is None else (), ports),
        limits,
    )
    return tuple(
        _unreached(name, reply) if isinstance(reply, TfhealError) else reply for name, reply in replies.items()
    )


def _trip(target: Slice, body: str, apps: Iterable[str], ports: Ports) -> Place:
    marker = ports.marker()
    script = pausing.composed(body, apps, marker)
    reply = ports.transport.run(target, Exec(script, timeout=pausing.TIMEOUT, cap=pausing.CAP))
    word, detail = pausing.told(reply.stdout, marker, ports.hidden([target.name])[target.name])
    if word == "done" and detail:
        detail = f"begun before and still at work: {detail}"
    return Place(target.name, word, detail)


def _unreached(name: str, error: TfhealError) -> Place:
    return Place(name, "unreached", f"{error.what}: {error.why}" if error.why else error.what)


def _meant(workspace: Workspace, target: str, ports: Ports) -> tuple[PauseKind, str]:
    apps = {*workspace.apps, *(item.instance.app for item in ports.journal.deployed())}
    if target in apps:
        return "app", target
    name = target.removeprefix("slice:")
    if name in workspace.inventory.slices:
        return "slice", name
    words = sorted({*apps, *workspace.inventory.slices})
    near = difflib.get_close_matches(name, words, n=1)
    raise UsageError(
        f"there is no app and no slice {target}",
        why=f"there are {', '.join(words)}" if words else "there are none",
        hint=f"did you mean {near[0]}?" if near else "",
    )
