"""The catalogue beside the repositories: kept there after each change, and read back by `tfheal backup rescan`.

What the store knows is taken over before anything is written there: a colleague's backups, and our own after a loss of
`.tfheal/`, are never written over by whoever knows less.
"""

from tfheal.base.errors import Refused, TfhealError, UsageError
from tfheal.base.exits import winning
from tfheal.core.backup import capture, copying, ledger, prune
from tfheal.core.backup.job import Job
from tfheal.core.stores import held, keeper, sources
from tfheal.flows.repository import lease_of, replied, run_on_store, stored
from tfheal.model.backup import STORE
from tfheal.model.ports import Exec, Ports
from tfheal.model.rescanned import Rescanned, Unknown
from tfheal.model.workspace import Workspace

_TIMEOUT = 60.0  # seconds of one trip
_LONGEST = 300.0


def keep(workspace: Workspace, app: str, ports: Ports) -> None:
    """Given an app whose catalogue changed, keep it on its store too; what fails there is said, and mended by the next.

    A store that is no slice of ours keeps repositories and nothing else.
    """
    _mark(workspace, app, ports)
    if STORE not in workspace.apps[app].place:
        return
    try:
        aside = ""
        try:
            learn(workspace, app, ports)
        except UsageError as error:  # of another key, or not ours: not ours to destroy
            aside = f"unread-{ports.journal.new_id()}"
            ports.reporter.say(f"{app}: what was on the store is kept as catalogue.age.{aside}: {error}")
        sealed = ports.vault.closed(ledger.text(ports.catalogue.backups(app)))
        marker = ports.marker()
        _trip(workspace, app, ledger.keep_script(app, sealed, marker, aside), marker, ports)
        for second in workspace.apps[app].place[STORE][1:]:  # nobody else writes there: nothing to take over
            _trip(workspace, app, ledger.keep_script(app, sealed, marker), marker, ports, second)
    except TfhealError as error:
        ports.reporter.say(f"{app}: the catalogue is not on the store yet: {error}")


def learn(workspace: Workspace, app: str, ports: Ports) -> int:
    """Given an app, take over what its store knows and we do not; return of how many backups, none where that is no slice."""
    if STORE not in workspace.apps[app].place:
        return 0
    marker = ports.marker()
    sealed = _trip(workspace, app, ledger.read_script(app, marker), marker, ports)
    theirs = ledger.backups(ports.vault.opened(sealed)) if sealed else ()
    if any(backup.app != app for backup in theirs):
        raise Refused("the catalogue on the store is of another app", where=app)
    found = ledger.news(ports.catalogue.backups(app), theirs)
    for backup in found:
        ports.catalogue.put(backup)
    return sum(backup.state != "erased" for backup in found)


def rescan(workspace: Workspace, apps: tuple[str, ...], ports: Ports) -> tuple[Rescanned, ...]:
    """Given apps that want backups, take over what their stores know of them, and find the snapshots that nobody knows."""
    record = ports.journal.begin_run("backup rescan " + " ".join(apps), ports.clock.now()).id
    results = []
    for app in apps:
        try:
            with ports.leases.hold(lease_of(app), "backup rescan", record):
                results.append(_rescanned(workspace, app, ports))
        except TfhealError as error:
            results.append(Rescanned(app, failed=str(error), failure=error.exit))
    ports.journal.end_run(record, int(winning(result.exit for result in results)), ports.clock.now())
    return tuple(results)


def _mark(workspace: Workspace, app: str, ports: Ports) -> None:
    """Given an app, note since when no rule keeps its backups: from then on they stay for the grace."""
    if spec := workspace.apps[app].backup:
        for backup in prune.marked(stored(workspace, app, ports), spec.keep, ports.clock.now()):
            ports.catalogue.put(backup)


def _rescanned(workspace: Workspace, app: str, ports: Ports) -> Rescanned:
    spec = workspace.apps[app]
    learned = learn(workspace, app, ports)
    known = [backup for backup in ports.catalogue.backups(app) if backup.state != "erased"]
    found: list[Unknown] = []
    carried: set[str] = set()
    here = spec.backup.to if spec.backup else ""
    other = {one.id for one in known if one.store != here}
    # Only a slice itself gets at its repository where the store is none, so what the app left there is out of reach.
    left = held(ports.vault.names(app)) if STORE in spec.place else ()
    for name in dict.fromkeys((*sources(spec, workspace.folder(app).playbook), *left)):
        job = Job(ports.journal.new_id(), app, ports.writer, ledger.snapshot_tasks(), longest=_LONGEST)
        replies = run_on_store(workspace, job, name, ports)
        if replies["open"].status != capture.NO_REPOSITORY:
            out = replied(replies, ledger.SNAPSHOTS, keeper(workspace, app).slice).out
            elsewhere = [one for one in ports.catalogue.backups(app) if one.id in other]
            for backup in copying.found_again(name, out, elsewhere, here):
                ports.catalogue.put(backup)
                carried.add(backup.id)
            found += ledger.unknown(name, out, ports.catalogue.backups(app))
    return Rescanned(app, learned, len(known), len(carried), tuple(found))


def _trip(workspace: Workspace, app: str, script: str, marker: str, ports: Ports, name: str = "") -> str:
    store = workspace.inventory.slice(name or workspace.apps[app].place[STORE][0])
    reply = ports.transport.run(store, Exec(script, timeout=_TIMEOUT, cap=ledger.CAP))
    return ledger.answered(reply.stdout, marker)
