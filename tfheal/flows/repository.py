"""Running a job of restic on a slice: the way to its repository is put together here, and its progress is told."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from tfheal.base.errors import ActionFailed, Refused
from tfheal.core.backup import capture, progress
from tfheal.core.backup import job as jobs
from tfheal.core.backup.capture import messages
from tfheal.core.backup.job import Job, TaskReply
from tfheal.core.stores import copy_key_name, key_name, password_name, repository, url
from tfheal.flows.pauses import check
from tfheal.flows.serving import served
from tfheal.model import paths
from tfheal.model.backup import STORE, AppBackup, Backup, Repository
from tfheal.model.inventory import Slice
from tfheal.model.ports import Exec, Ports
from tfheal.model.workspace import Workspace

_SHORTEST = 8  # characters of a secret; what is shorter, a user name say, goes under `variables`
_SLACK = 120.0  # seconds that a trip may last longer than its job


def stored(workspace: Workspace, app: str, ports: Ports) -> list[Backup]:
    """Given an app, return its backups that lie where its spec says now, oldest first: those of another store are not there."""
    spec = workspace.apps[app].backup
    return [backup for backup in ports.catalogue.backups(app) if spec is None or backup.store == spec.to]


def lease_of(app: str) -> str:
    """Return the lease that a backup of an app holds; no app has a slash in its name."""
    return f"{app}/backup"


def run(workspace: Workspace, job: Job, target: Slice, ports: Ports, source: str = "") -> Mapping[str, TaskReply]:
    """Given a job and its slice, start it there, follow it, and return what its tasks said; raise Refused with the reason.

    Its repository is its own, or that of the slice `source` whose data it takes over.
    """
    source, spec = source or target.name, workspace.apps[job.app].backup
    if spec is None or not spec.via:
        return _begun(job, target, _repository(workspace, job.app, source, ports), ports)
    store, password = workspace.inventory.slice(spec.to), _password(job.app, source, ports)
    with served(job.app, source, target, store, password, ports) as (way, ended):
        return _begun(job, target, way, ports, ended)


def run_on_store(
    workspace: Workspace, job: Job, source: str, ports: Ports, owner: str = "", version: int | None = None
) -> Mapping[str, TaskReply]:
    """Given a job for the repository of a slice, run it on the store itself, which no slice can lie about.

    Where the store is no slice of ours, the slice itself runs it, and its word is all that there is.
    `owner` is the password of a key that the job makes for the owner; `version` is which of our passwords opens it, else
    the newest. Raise Refused with the reason.
    """
    spec = workspace.apps[job.app].backup
    if spec is None:
        raise _none(job.app, source)
    password = _password(job.app, source, ports, version)
    if spec.address:  # nothing of ours runs there
        there = workspace.inventory.slice(source)
        way = replace(_repository(workspace, job.app, source, ports), password=password, owner=owner)
        return _begun(job, there, way, ports)
    near = _near(job.app, source, password, owner)
    return _begun(job, workspace.inventory.slice(spec.to), near, ports)


def run_to_copy(workspace: Workspace, job: Job, source: str, ports: Ports) -> Mapping[str, TaskReply]:
    """Given a job that copies the repository of a slice, run it on the first store, with a way to the second."""
    spec = workspace.apps[job.app].backup
    if spec is None or spec.copy_to is None or not ports.vault.latest(job.app, copy_key_name(source)):
        raise Refused("it has no second repository", where=f"{job.app} on {source}", hint=f"tfheal deploy {job.app}")
    second = workspace.inventory.slice(spec.copy_to)
    way = Repository(
        address=second.address,
        port=second.port or 22,
        user=paths.user(job.app, STORE),
        host_keys=ports.keys.pinned(second.name),
        key=_newest(job.app, copy_key_name(source), ports),
        password=_newest(job.app, password_name(source), ports),
        source=repository(job.app, source),
    )
    return _begun(job, workspace.inventory.slice(spec.to), way, ports)


def run_on_copy(
    workspace: Workspace, job: Job, source: str, ports: Ports, owner: str = "", version: int | None = None
) -> Mapping[str, TaskReply]:
    """Given a job for the copy of the repository of a slice, run it on the second store itself; the rest as in `run_on_store`."""
    spec = workspace.apps[job.app].backup
    if spec is None or spec.copy_to is None:
        raise Refused("it has no second repository", where=f"{job.app} on {source}")
    near = _near(job.app, source, _password(job.app, source, ports, version), owner)
    return _begun(job, workspace.inventory.slice(spec.copy_to), near, ports)


def follow(job: Job, target: Slice, ports: Ports) -> Mapping[str, TaskReply]:
    """Given a job that another run started there, follow it to its end; raise Refused if nothing is known of it."""
    marker = ports.marker()
    return _followed(jobs.followed(job, marker), job, target, marker, ports)


def replied(replies: Mapping[str, TaskReply], name: str, where: str) -> TaskReply:
    """Given what tasks said, return the word of one that did well; raise the error of the one that did not."""
    for task, reply in replies.items():
        if reply.status != 0:
            unreached = task == "reach"
            what = "the store cannot be reached" if unreached else "what was to be done there failed"
            raise ActionFailed(what, where=where, why=capture.why_failed(reply))
    return replies[name]


def _begun(
    job: Job, target: Slice, way: Repository, ports: Ports, ended: Callable[[], bool] | None = None
) -> Mapping[str, TaskReply]:
    """Start a job and follow it; one whose way leads through us is ended when we are gone, or the way has `ended`."""
    check(job.app, target.name, ports)
    marker = ports.marker()
    return _followed(jobs.started(job, way, marker), job, target, marker, ports, ended)


def _followed(
    script: str, job: Job, target: Slice, marker: str, ports: Ports, ended: Callable[[], bool] | None = None
) -> Mapping[str, TaskReply]:
    hidden = ports.hidden([target.name])[target.name]
    order = Exec(
        script,
        timeout=job.longest + _SLACK,
        cap=jobs.REPLY_CAP,
        on_line=_teller(job, target.name, marker, ports),
        beats=ended is not None,
        over=ended,
    )
    try:
        reply = ports.transport.run(target, order)
    finally:
        ports.reporter.step(f"{job.app}@{target.name}", "done", progress.WHOLE, progress.WHOLE)
    return jobs.replies(reply.stdout, job, marker, hidden)


def _repository(workspace: Workspace, app: str, source: str, ports: Ports) -> Repository:
    spec = workspace.apps[app].backup
    if spec is None or not ports.vault.latest(app, key_name(source)):
        raise _none(app, source)
    if spec.address:
        return _elsewhere(spec, app, source, ports)
    store = workspace.inventory.slice(spec.to)
    return Repository(
        address=store.address,
        port=store.port or 22,
        user=paths.user(app, STORE),
        host_keys=ports.keys.pinned(store.name),
        key=_newest(app, key_name(source), ports),
        password=_newest(app, password_name(source), ports),
    )


def _near(app: str, source: str, password: str, owner: str = "") -> Repository:
    """Return the way to a repository on the very store that has it."""
    return Repository("", 22, paths.user(app, STORE), (), "", password, repository(app, source), owner)


def _elsewhere(spec: AppBackup, app: str, slice_name: str, ports: Ports) -> Repository:
    secrets = tuple((name.upper(), _given(app, name, ports)) for name in spec.secrets)
    return Repository(
        address="",
        port=22,
        user="",
        host_keys=(spec.host_key,) if spec.host_key else (),
        key=_newest(app, key_name(slice_name), ports),
        password=_newest(app, password_name(slice_name), ports),
        folder=spec.address if spec.address.startswith("/") else "",
        url=url(spec.address, app, slice_name),
        variables=(*spec.variables.items(), *secrets),
    )


def _given(app: str, name: str, ports: Ports) -> str:
    """Return a secret that a person gave; raise Refused if there is none, or one that cannot be used."""
    value = _newest(app, name, ports) if ports.vault.latest(app, name) else ""
    if len(value) < _SHORTEST or "\n" in value:
        what = f"the secret {name} {'cannot be used' if value else 'was not given yet'}"
        why = f"it is a line of {_SHORTEST} characters or more: a shorter one would be masked in all that restic says"
        raise Refused(what, where=app, why=why if value else "", hint=f"tfheal secret set {app} {name}")
    return value


def _password(app: str, source: str, ports: Ports, version: int | None = None) -> str:
    """Return what opens the repository of a slice; raise Refused if it has none."""
    name = password_name(source)
    newest = ports.vault.latest(app, name)
    if not newest:
        raise _none(app, source)
    return ports.vault.get(app, name, version or newest).reveal()


def _none(app: str, source: str) -> Refused:
    return Refused("it has no repository there", where=f"{app} on {source}", hint=f"tfheal deploy {app}")


def _newest(app: str, name: str, ports: Ports) -> str:
    return ports.vault.get(app, name, ports.vault.latest(app, name)).reveal()


def _teller(job: Job, slice_name: str, marker: str, ports: Ports) -> Callable[[bytes], None]:
    where = f"{job.app}@{slice_name}"

    def tell(line: bytes) -> None:
        told = jobs.progress(line, job, marker)
        if told is None:
            return
        task, word = told
        for found in messages(word.decode("utf-8", "replace")):
            if far := progress.told(task.name, found):
                ports.reporter.step(where, *far, progress.WHOLE)

    return tell
