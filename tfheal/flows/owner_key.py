"""`tfheal backup owner-key`: the owner's key to the repositories of an app, made on the store and handed over once.

We keep the password nowhere: it is made, given to restic on the store, put on the recovery sheet, and gone with this
process. The sheet is encrypted to the owner, when it is known to which key. So whatever was made is handed over, however it
went with the others; also what was perhaps made and could not be tried.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tfheal.base.errors import ConnectFailed, HostKeyMismatch, LoginFailed, Refused, TfhealError, UsageError
from tfheal.core.backup import capture, keys
from tfheal.core.backup.capture import Source
from tfheal.core.backup.job import Job, Task, TaskReply
from tfheal.core.backup.sheet import Chest, Facts, place, sheet
from tfheal.core.stores import held, keeper, repository, url
from tfheal.flows.releases import by_slice, expected
from tfheal.flows.repository import lease_of, replied, run_on_copy, run_on_store
from tfheal.model.backup import FOLDERS, GONE, STORE, Backup
from tfheal.model.ownership import Handover
from tfheal.model.ports import Ports
from tfheal.model.workspace import Workspace

_LONGEST = 120.0  # seconds: each of a handful of calls takes about one
_NOT_BEGUN = (Refused, ConnectFailed, LoginFailed, HostKeyMismatch)


@dataclass(frozen=True, slots=True)
class _Place:
    """The repository of a slice, or the copy of it on the second store."""

    slice: str
    copy: bool

    def name(self, second: str) -> str:
        """Given the second store, return how it is called in a message."""
        return f"{self.slice}@{second}" if self.copy else self.slice


@dataclass(frozen=True, slots=True)
class _Made:
    """A key that is, or may be, there; and what went wrong with it, if anything did."""

    chest: Chest
    error: TfhealError | None = None


def owner_key(workspace: Workspace, app: str, ports: Ports, *, new: bool = False) -> Handover:
    """Given an app, make the owner's key to each repository that has none (with `new`: to all), and return the sheet.

    Those of slices that it left are among them. Raise Refused if all were handed over before, or if there is nothing to open
    yet; and the error of the first where none could be made.
    """
    if app not in workspace.apps:
        raise UsageError(f"there is no app {app}", hint=f"the apps are {', '.join(workspace.apps) or 'none yet'}")
    spec = workspace.apps[app]
    recipient = workspace.inventory.owners[spec.owner].recipient
    if recipient:
        ports.vault.sealed("", recipient)  # a recipient of no use is told before anything is made
    record = ports.journal.begin_run(f"backup owner-key {app}", ports.clock.now()).id
    with ports.leases.hold(lease_of(app), "backup owner-key", record):
        former, failed = _former(workspace, app, ports)
        made: dict[_Place, _Made] = {}
        for place in [place for place, found in former.items() if new or not found]:
            try:
                made[place] = _made(workspace, app, place, former[place], ports)
            except TfhealError as error:
                failed[place] = error
    if not made:
        raise next(
            iter(failed.values()),
            Refused("the owner's key was handed over before", where=app, hint="--new makes another one"),
        )
    failed |= {place: one.error for place, one in made.items() if one.error}
    chests = {place: one.chest for place, one in made.items()}
    told = {place.name(spec.backup.copy_to or "" if spec.backup else ""): str(why) for place, why in failed.items()}
    handover = replace(_handed_over(workspace, app, recipient, chests, ports), failed=told)
    ports.journal.end_run(record, int(handover.exit), ports.clock.now())
    return handover


def _sources(workspace: Workspace, app: str, ports: Ports) -> Mapping[str, tuple[Source, ...]]:
    """Return what is taken on each slice of an app, and what was on those that it left; raise as `_taken`.

    Where the store is no slice, only a slice itself gets at its repository.
    """
    here, spec = _taken(workspace, app, ports), workspace.apps[app].backup
    names = () if spec is None or spec.address else held(ports.vault.names(app))
    backups = ports.catalogue.backups(app)
    return here | {name: _taken_before(name, backups, here) for name in names if name not in here}


def _taken(workspace: Workspace, app: str, ports: Ports) -> dict[str, tuple[Source, ...]]:
    """Return what is taken on each slice of an app; raise UsageError or Refused if there is no backup of it."""
    if workspace.apps[app].backup is None:
        raise UsageError(f"{app} has no backups", hint=f"write into apps/{app}.yaml: backup: {{to: SLICE}}")
    releases = by_slice(one.release for one in expected((app,), ports) if one.release.component != STORE)
    found = {name: taken for name, ours in releases.items() if (taken := capture.sources(ours))}
    if not found:
        raise Refused("it is not deployed", where=app, hint=f"tfheal deploy {app}")
    return found


def _taken_before(name: str, backups: Iterable[Backup], here: Mapping[str, tuple[Source, ...]]) -> tuple[Source, ...]:
    """Return what was taken on a slice that the app left, by the newest backups of it: as what is taken now, but of its folders."""
    now = {source.what: source for sources in here.values() for source in sources}
    kept = [part for one in backups if one.state not in GONE for part in one.parts]
    newest = {part.what: part for part in kept if part.slice == name and part.snapshot}
    return tuple(
        replace(now.get(what, Source(what)), folders=part.paths if what == FOLDERS else ())
        for what, part in newest.items()
        if what != FOLDERS or part.paths
    )


def _former(
    workspace: Workspace, app: str, ports: Ports
) -> tuple[dict[_Place, tuple[str, ...]], dict[_Place, TfhealError]]:
    """Return the ids of the owner's keys that there are to each repository and each copy, and where that cannot be told.

    Raise Refused where nothing was backed up yet. A copy that is not made yet has its key by the next `owner-key`.
    """
    spec, here = workspace.apps[app].backup, _taken(workspace, app, ports)
    found: dict[_Place, tuple[str, ...]] = {}
    failed: dict[_Place, TfhealError] = {}
    for name in _sources(workspace, app, ports):
        for copy in (False, True) if spec and spec.copy_to else (False,):
            place = _Place(name, copy)
            try:
                there = _owners(workspace, app, place, ports)
            except TfhealError as error:
                failed[place] = error
                continue
            if there is not None:
                found[place] = there
            elif name in here and not copy:
                hint = f"first: tfheal backup run {app}"
                raise Refused("nothing was backed up yet", where=f"{app} on {name}", hint=hint)
            elif name in here:
                ports.reporter.say(f"{app}: nothing of {name} is copied yet; say `backup owner-key {app}` again then")
    return found, failed


def _owners(workspace: Workspace, app: str, place: _Place, ports: Ports) -> tuple[str, ...] | None:
    """Return the ids of the owner's keys to a repository, None if there is no repository."""
    replies = _run(workspace, _job(app, keys.list_tasks(), ports), place, ports)
    if replies["reach"].status or replies["open"].status == capture.NO_REPOSITORY:
        return None
    return keys.owners(replied(replies, keys.LIST, _store(workspace, app, copy=place.copy)).out)


def _made(workspace: Workspace, app: str, place: _Place, former: tuple[str, ...], ports: Ports) -> _Made:
    """Make a key, and remove the former ones; raise the error where it is known that none was made."""
    password = ports.vault.password().reveal()
    spec, name = workspace.apps[app].backup, place.slice
    folder = url(spec.address, app, name) if spec and spec.address else repository(app, name)
    chest = Chest(name, folder, password, _sources(workspace, app, ports)[name])
    opened = True
    try:
        replies = _run(workspace, _job(app, keys.add_tasks(app, former), ports), place, ports, password)
        opened = replies["open"].status == 0
        replied(replies, keys.PROVE, _store(workspace, app, copy=place.copy))
    except TfhealError as error:
        if isinstance(error, _NOT_BEGUN) or not opened:
            raise
        return _Made(chest, error)
    return _Made(chest)


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
