"""Owners hear of planned work on what is theirs, before it begins and after it; a notice that is not taken stops nothing."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from tfheal.base.errors import Refused, TfhealError
from tfheal.base.moments import rfc3339
from tfheal.model.notices import Stage, Work
from tfheal.model.ports import Ports
from tfheal.model.record import ActionRecord
from tfheal.model.release import InstanceName
from tfheal.model.upgrade import Upgrade, Upgraded
from tfheal.model.workspace import Workspace


def of_upgrade(plan: Upgraded) -> Work:
    """Given the plan of an upgrade, return what its owner is told of it."""
    one, slices = plan.upgrade, tuple(dict.fromkeys(name.slice for name in plan.order))
    away = "; ".join(f"{component}: {words}" for component, words in plan.interruption.items())
    return Work("upgrade", (one.app,), slices, f"from version {one.old} to {one.new}", away)


def of_rollback(last: Upgrade, instances: Iterable[InstanceName]) -> Work:
    """Given an upgrade that a person takes back and its instances, return what its owner is told of that."""
    slices = tuple(dict.fromkeys(name.slice for name in instances))
    return Work("rollback", (last.app,), slices, f"from version {last.new} back to {last.old}", "")


@dataclass(frozen=True, slots=True)
class _End:
    """How the work ended, in a word, and why."""

    outcome: str = "unknown"
    detail: str = "it did not come to its end"


@contextmanager
def told(workspace: Workspace, work: Work, run: str, ports: Ports) -> Iterator[Callable[[str, str], None]]:
    """Given work that begins, tell its owners before it and after it; give what notes how it ended: a word, and why."""
    ends = [_End()]

    def ended(outcome: str, detail: str) -> None:
        ends.append(_End(outcome, detail))

    _everybody(workspace, work, "before", None, (run, ports))
    try:
        yield ended
    except TfhealError as error:
        ended("refused" if isinstance(error, Refused) else "failed", str(error))
        raise
    finally:
        _everybody(workspace, work, "after", ends[-1], (run, ports))


def _everybody(workspace: Workspace, work: Work, stage: Stage, end: _End | None, by: tuple[str, Ports]) -> None:
    """Tell each owner of whom a contact is known, if the provider said how."""
    run, ports = by
    if ports.notices is None:
        return
    owners = {
        name: tuple(one for one in work.slices if _owner(workspace, one) == name) for name in _owners(workspace, work)
    }
    for owner, slices in owners.items():
        contact = workspace.inventory.owners[owner].contact
        apps = tuple(app for app in work.apps if workspace.apps[app].owner == owner)
        theirs = replace(work, apps=apps, slices=slices)
        message: dict[str, object] = {
            "schema": "tfheal/notice/1",
            "at": rfc3339(ports.clock.now()),
            "to": contact,
            "owner": owner,
            "provider": workspace.provider.name,
            "work": work.what,
            "stage": stage,
            "apps": list(theirs.apps),
            "slices": list(theirs.slices),
            "detail": work.detail,
            "interruption": work.interruption,
            "outcome": end.outcome if end else None,
            "why": end.detail if end else None,
        }
        if contact:
            _sent(message, theirs, stage, run, ports)


def _owners(workspace: Workspace, work: Work) -> dict[str, None]:
    found = [workspace.apps[app].owner for app in work.apps] + [_owner(workspace, name) for name in work.slices]
    return dict.fromkeys(name for name in found if name in workspace.inventory.owners)


def _owner(workspace: Workspace, slice_name: str) -> str:
    return workspace.inventory.slices[slice_name].owner


def _sent(message: dict[str, object], work: Work, stage: Stage, run: str, ports: Ports) -> None:
    """Send one notice, with the intent in the journal before it and the outcome after it."""
    assert ports.notices is not None  # noqa: S101 (without it nobody is told)
    records = [
        ActionRecord(
            id=ports.journal.new_id(),
            run=run,
            verb="notice",
            app=app,
            instance=None,
            slice=next(iter(work.slices), ""),
            incident=None,
            why=f"{stage} the {work.what}, to {message['to']}"[:500],
            release=None,
            started=ports.clock.now(),
        )
        for app in work.apps or ("",)
    ]
    for record in records:
        ports.journal.intend(record)
    failed = ""
    try:
        ports.notices.tell(message)
    except TfhealError as error:
        failed = str(error)
        ports.reporter.say(f"{message['owner']} was not told {stage} the {work.what}: {error}")
    for record in records:
        ports.journal.conclude(record.id, "failed" if failed else "done", failed, ports.clock.now())
