"""What a database is replayed from: its base, and the changes that are stored where its backups are.

Changes of slices that have no way of their own to their store are sent by each tick, as far as a backup does not hold them up.
"""

from collections.abc import Sequence
from datetime import datetime

from tfheal.base.errors import Refused, TfhealError
from tfheal.core.archiving import is_archived, sends
from tfheal.core.backup import handing, recovery
from tfheal.core.backup.capture import messages
from tfheal.core.backup.job import Job
from tfheal.core.backup.recovery import Recovery
from tfheal.flows.releases import expected
from tfheal.flows.repository import lease_of, replied, run, stored
from tfheal.model.backup import Part
from tfheal.model.ports import Ports
from tfheal.model.record import AWAITING
from tfheal.model.release import Release
from tfheal.model.replayed import Handed
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
    job = Job(
        ports.journal.new_id(), release.app, ports.writer, recovery.list_tasks(part.snapshot, since), longest=_LONGEST
    )
    replies = run(workspace, job, workspace.inventory.slice(release.slice), ports, source)
    return recovery.recovery(part, replied(replies, recovery.SNAPSHOTS, release.slice).out, since, until)


def hand_over(workspace: Workspace, release: Release, ports: Ports) -> Handed:
    """Have the server of a release hand over what it has, if it lives, and send it; raise ActionFailed where that fails.

    Return whether that was all: a server that is gone, or that cannot hand over, is in the way of no restore.
    """
    job = Job(ports.journal.new_id(), release.app, ports.writer, handing.hand_over_tasks(release), longest=_LONGEST)
    replies = run(workspace, job, workspace.inventory.slice(release.slice), ports)
    return handing.handed(messages(replied(replies, handing.HANDED, release.slice).out))


def to_send(workspace: Workspace, ports: Ports) -> tuple[Release, ...]:
    """Return the deployed releases whose changes are stored, and not sent by their slice itself."""
    backed = [app for app, spec in workspace.apps.items() if spec.backup and stored(workspace, app, ports)]
    items = [item for app in backed for item in expected((app,), ports)]
    ready = [item.release for item in items if item.reached and item.deployed.phase not in AWAITING]
    return tuple(release for release in ready if is_archived(release) and not sends(release))


def send(workspace: Workspace, releases: Sequence[Release], run_id: str, ports: Ports) -> dict[str, str]:
    """Given releases whose changes wait, send them, and return why not where that failed; an app in whose backups another works waits."""
    failed = {}
    for release in releases:
        job = Job(ports.journal.new_id(), release.app, ports.writer, recovery.send_tasks(release), longest=_LONGEST)
        try:
            with ports.leases.hold(lease_of(release.app), "send changes", run_id):
                replies = run(workspace, job, workspace.inventory.slice(release.slice), ports)
            replied(replies, recovery.SENT, release.slice)
        except Refused:
            continue
        except TfhealError as error:  # also another host key: the others are not to wait for it
            failed[str(release.instance)] = str(error)
    return failed
