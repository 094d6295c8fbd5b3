"""What a database is replayed from: its base, and the changes that are stored where its backups are."""

from datetime import datetime

from tfheal.core.backup import recovery
from tfheal.core.backup.job import Job
from tfheal.core.backup.recovery import Recovery
from tfheal.flows.repository import replied, run
from tfheal.model.backup import Part
from tfheal.model.ports import Ports
from tfheal.model.release import Release
from tfheal.model.workspace import Workspace

_LONGEST = 3_600.0  # seconds


def recovery_of(
    workspace: Workspace,
    release: Release,
    base: tuple[Part, datetime],
    until: datetime | None,
    ports: Ports,
    source: str = "",
) -> Recovery:
    """Given a release and a base of it with its time, return what its databases are replayed from `until` then, or to the end.

    They are in the repository of the slice `source` if it is not the release's own. Raise Refused or ActionFailed where they
    cannot be listed.
    """
    part, since = base
    job = Job(ports.journal.new_id(), release.app, ports.writer, recovery.list_tasks(part.snapshot), longest=_LONGEST)
    replies = run(workspace, job, workspace.inventory.slice(release.slice), ports, source)
    return recovery.recovery(part, replied(replies, recovery.SNAPSHOTS, release.slice).out, since, until)


def hand_over(workspace: Workspace, release: Release, ports: Ports) -> None:
    """Have the server of a release hand over what it has, if it lives, and send it; raise ActionFailed where that fails."""
    job = Job(ports.journal.new_id(), release.app, ports.writer, recovery.hand_over_tasks(release), longest=_LONGEST)
    replied(run(workspace, job, workspace.inventory.slice(release.slice), ports), recovery.HANDED, release.slice)
