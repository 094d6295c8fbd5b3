"""`tfheal backup owner-key`: the owner's key to the repositories of an app, made on the store and handed over once.

We keep the password nowhere: it is made, given to restic on the store, put on the recovery sheet, and gone with this
process. The sheet is encrypted to the owner, when it is known to which key.
"""

from collections.abc import Mapping
from dataclasses import replace

from tfheal.base.errors import Refused, UsageError
from tfheal.core.backup import capture, keys
from tfheal.core.backup.capture import Source
from tfheal.core.backup.job import Job, Task
from tfheal.core.backup.sheet import Chest, Facts, place, sheet
from tfheal.core.stores import keeper, repository, url
from tfheal.flows.releases import by_slice, expected
from tfheal.flows.repository import lease_of, replied, run_on_store
from tfheal.model.backup import STORE
from tfheal.model.ownership import Handover
from tfheal.model.ports import Ports
from tfheal.model.workspace import Workspace

_LONGEST = 120.0  # seconds: each of a handful of calls takes about one


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
        former = {name: _former(workspace, app, name, ports) for name in _sources(workspace, app, ports)}
        wanted = [name for name, found in former.items() if new or not found]
        if not wanted:
            raise Refused("the owner's key was handed over before", where=app, hint="--new makes another one")
        chests = tuple(_made(workspace, app, name, former[name], ports) for name in wanted)
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


def _former(workspace: Workspace, app: str, name: str, ports: Ports) -> tuple[str, ...]:
    """Return the ids of the owner's keys that there are to the repository of a slice."""
    replies = run_on_store(workspace, _job(app, keys.list_tasks(), ports), name, ports)
    if replies["reach"].status or replies["open"].status == capture.NO_REPOSITORY:
        raise Refused("nothing was backed up yet", where=f"{app} on {name}", hint=f"first: tfheal backup run {app}")
    return keys.owners(replied(replies, keys.LIST, keeper(workspace, app).slice).out)


def _made(workspace: Workspace, app: str, name: str, former: tuple[str, ...], ports: Ports) -> Chest:
    password = ports.vault.password().reveal()
    replies = run_on_store(workspace, _job(app, keys.add_tasks(app, former), ports), name, ports, password)
    replied(replies, keys.PROVE, keeper(workspace, app).slice)
    spec = workspace.apps[app].backup
    folder = url(spec.address, app, name) if spec and spec.address else repository(app, name)
    return Chest(name, folder, password, _sources(workspace, app, ports)[name])


def _handed_over(
    workspace: Workspace, app: str, recipient: str | None, chests: tuple[Chest, ...], ports: Ports
) -> Handover:
    spec = workspace.apps[app]
    store = workspace.inventory.slice(keeper(workspace, app).slice)
    facts = Facts(app, spec.owner, ports.writer, ports.clock.now(), store, ports.keys.pinned(store.name), chests)
    if spec.backup and spec.backup.address:
        pins, needs = (
            (spec.backup.host_key or "",),
            (*spec.backup.variables, *(name.upper() for name in spec.backup.secrets)),
        )
        facts = replace(facts, pins=pins if spec.backup.host_key else (), address=spec.backup.address, needs=needs)
    text = sheet(facts)
    places = {one.slice: place(facts, one) for one in chests}
    return Handover(
        app, spec.owner, recipient or "", places, ports.vault.sealed(text, recipient) if recipient else text
    )


def _job(app: str, tasks: tuple[Task, ...], ports: Ports) -> Job:
    return Job(ports.journal.new_id(), app, ports.writer, tasks, longest=_LONGEST)
