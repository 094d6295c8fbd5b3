"""What slices did by themselves is taken into the journal, each deed once, however often it is read and by whom."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from tfheal.model.facts import Observation, ReflexEvent, SliceFacts
from tfheal.model.ports import Ports
from tfheal.model.record import ActionRecord, Expected
from tfheal.model.release import InstanceName

_DAY: Final = timedelta(days=1)
# A slice that lies about what it did shall not crowd out what was done elsewhere: an honest one stays far below.
_MOST_IN_A_DAY: Final = 200


def note_reflex(meant: Iterable[Expected], seen: Mapping[str, Observation], ports: Ports) -> None:
    """Given what is meant and what was seen, record what slices did for their instances within the last day."""
    for item in meant:
        facts = seen.get(item.release.slice)
        told = facts.instances.get(item.release.instance.on_slice) if isinstance(facts, SliceFacts) else None
        if told and told.reflex:
            _note(item.release.instance, told.reflex, ports)


def _note(instance: InstanceName, events: Iterable[ReflexEvent], ports: Ports) -> None:
    now = ports.clock.now()
    ours = [one for one in ports.journal.actions(instance.app, since=now - _DAY) if one.instance == instance]
    known = {one.id for one in ours if one.verb == "reflex"}
    recent = {_id(instance, event): event for event in events if now - datetime.fromisoformat(event.at) < _DAY}
    new = {name: event for name, event in recent.items() if name not in known}
    if not new or len(known) + len(new) > _MOST_IN_A_DAY:
        return
    run = ports.journal.begin_run("reflex", now).id
    ports.journal.note(_action(name, run, instance, event, now) for name, event in new.items())
    ports.journal.end_run(run, 0, now)


def _id(instance: InstanceName, event: ReflexEvent) -> str:
    return f"r-{hashlib.sha256(f'{instance} {event.at} {event.event}'.encode()).hexdigest()[:12]}"


def _action(name: str, run: str, instance: InstanceName, event: ReflexEvent, now: datetime) -> ActionRecord:
    at = min(datetime.fromisoformat(event.at), now)  # its clock may be ahead of ours
    return ActionRecord(
        id=name,
        run=run,
        verb="reflex",
        app=instance.app,
        instance=instance,
        slice=instance.slice,
        incident=None,
        why=f"{event.event}: {event.why}",
        release=None,
        started=at,
        ended=at,
        outcome="failed" if event.event == "gave-up" else "done",
        detail="by the slice itself",
    )
