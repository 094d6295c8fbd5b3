"""`tfheal backup owner-key`: the owner's key to the repositories of an app, made on the store and handed over once.

We keep the password nowhere: it is made, given to restic on the store, put on the recovery sheet, and gone with this
process. The sheet is encrypted to the owner, when it is known to which key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tfheal.base.errors import Refused, UsageError
from tfheal.core.backup import capture, keys
from tfheal.core.backup.capture import Source
from tfheal.core.backup.job import Job, Task, TaskReply
from tfheal.core.backup.sheet import Chest, Facts, place, sheet
from tfheal.core.stores import keeper, repository, url
from tfheal.flows.releases import by_slice, expected
from tfheal.flows.repository import lease_of, replied, run_on_copy, run_on_store
from tfheal.model.backup import STORE
from tfheal.model.ownership import Handover
from tfheal.model.ports import Ports
from tfheal.model.workspace import Workspace

_LONGEST = 120.0  # seconds: each of a handful of calls takes about one


@dataclass(frozen=True, slots=True)
class _Place:
    """The repository of a slice, or the copy of it on the second store."""

    slice: str
    copy: bool


def owner_key(workspace: Workspace, app: str, ports: Ports, *, new: bool = False) -> Handover:
    """Given an app, make the owner's key to each repository that has none (with `new`: to all), and return the sheet.

    Raise Refused if all were handed over before, or if there is nothing to open yet.
    """
    if app not in workspace.apps:
        raise UsageError(f"there is no app {app}", hint=f"the apps are {', '.join(workspace.apps) or 'none yet'}")
    spec = workspace.apps[app]
    recipient = workspace.inventory.owners[spec.owner].recipient
    if recipient:
        ports.vault.sealed("", recipient)  # a recipient of no use is told before anything is made
    record = ports.journal.begin_run(f"backup owner-key {app}", ports.clock.now()).id
    with ports.leases.hold(lease_of(app), "backup owner-key", record):
        former = _former(workspace, app, ports)
        wanted = [place for place, found in former.items() if new or not found]
        if not wanted:
            raise Refused("the owner's key was handed over before", where=app, hint="--new makes another one")
        chests = {place: _made(workspace, app, place, former[place], ports) for place in wanted}
    made = _handed_over(workspace, app, recipient, chests, ports)
    ports.journal.end_run(record, 0, ports.clock.now())
    return made


def _sources(workspace: Workspace, app: str, ports: Ports) -> Mapping[str, tuple[Source, ...]]:
    """Return what is taken on each slice of an app; raise UsageError or Refused if there is no backup of it."""
    if workspace.apps[app].backup is None:
        raise UsageError(f"{app} has no backups", hint=f"write into apps/{app}.yaml: backup: {{to: SLICE}}")
    releases = by_slice(one.release for one in expected((app,), ports) if one.release.component != STORE)
    found = {name: taken for name, ours in releases.items() if (taken := capture.sources(ours))}
    if not found:
        raise Refused("it is not deployed", where=app, hint=f"tfheal deploy {app}")
    return found


def _former(workspace: Workspace, app: str, ports: Ports) -> dict[_Place, tuple[str, ...]]:
    """Return the ids of the owner's keys that there are to each repository and each copy; raise Refused where none is yet.

    A copy that is not made yet is told of, and has its key by the next `owner-key`.
    """
    spec = workspace.apps[app].backup
    found = {}
    for name in _sources(workspace, app, ports):
        for copy in (False, True) if spec and spec.copy_to else (False,):
            place = _Place(name, copy)
            replies = _run(workspace, _job(app, keys.list_tasks(), ports), place, ports)
            if replies["reach"].status or replies["open"].status == capture.NO_REPOSITORY:
                if not copy:
                    hint = f"first: tfheal backup run {app}"
                    raise Refused("nothing was backed up yet", where=f"{app} on {name}", hint=hint)
                ports.reporter.say(f"{app}: nothing of {name} is copied yet; say `backup owner-key {app}` again then")
                continue
            found[place] = keys.owners(replied(replies, keys.LIST, _store(workspace, app, copy=copy)).out)
    return found


def _made(workspace: Workspace, app: str, place: _Place, former: tuple[str, ...], ports: Ports) -> Chest:
    password = ports.vault.password().reveal()
    replies = _run(workspace, _job(app, keys.add_tasks(app, former), ports), place, ports, password)
    replied(replies, keys.PROVE, _store(workspace, app, copy=place.copy))
    spec, name = workspace.apps[app].backup, place.slice
    folder = url(spec.address, app, name) if spec and spec.address else repository(app, name)
    return Chest(name, folder, password, _sources(workspace, app, ports)[name])


def _run(workspace: Workspace, job: Job, place: _Place, ports: Ports, owner: str = "") -> Mapping[str, TaskReply]:
    return (run_on_copy if place.copy else run_on_store)(workspace, job, place.slice, ports, owner)


def _store(workspace: Workspace, app: str, *, copy: bool) -> str:
    spec = workspace.apps[app].backup
    return spec.copy_to if copy and spec and spec.copy_to else keeper(workspace, app).slice


def _handed_over(
    workspace: Workspace, app: str, recipient: str | None, chests: Mapping[_Place, Chest], ports: Ports
) -> Handover:
    """Return the sheet of each store, one after the other, sealed if the owner's recipient is known."""
    sheets = [
        _facts(workspace, app, ours, ports, copy=copy)
        for copy in (False, True)
        if (ours := tuple(chest for place, chest in chests.items() if place.copy is copy))
    ]
    text = "\n".join(sheet(facts) for facts in sheets)
    places = {
        f"{one.slice}@{facts.store.name}" if facts.copies else one.slice: place(facts, one)
        for facts in sheets
        for one in facts.chests
    }
    sealed = ports.vault.sealed(text, recipient) if recipient else text
    return Handover(app, workspace.apps[app].owner, recipient or "", places, sealed)


def _facts(workspace: Workspace, app: str, chests: tuple[Chest, ...], ports: Ports, *, copy: bool) -> Facts:
    spec = workspace.apps[app]
    store = workspace.inventory.slice(_store(workspace, app, copy=copy))
    pins = ports.keys.pinned(store.name)
    facts = Facts(app, spec.owner, ports.writer, ports.clock.now(), store, pins, chests, copies=copy)
    if spec.backup is None or not spec.backup.address:
        return facts
    key = (spec.backup.host_key,) if spec.backup.host_key else ()
    needs = (*spec.backup.variables, *(name.upper() for name in spec.backup.secrets))
    return replace(facts, pins=key, address=spec.backup.address, needs=needs)


def _job(app: str, tasks: tuple[Task, ...], ports: Ports) -> Job:
    return Job(ports.journal.new_id(), app, ports.writer, tasks, longest=_LONGEST)
