"""Data that an upgrade moves to another server: what needs it is held back meanwhile, and its changes are stored anew from there.

Where people reach what is held back, the gateways tell them meanwhile that it is being worked on.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tfheal.base.errors import TfhealError
from tfheal.core import remedies
from tfheal.core import upgrade as core
from tfheal.core.archiving import is_archived
from tfheal.flows.backup import backup
from tfheal.flows.gateway import drained
from tfheal.flows.maintenance import close, reopen
from tfheal.flows.releases import secret_values
from tfheal.flows.upgrade_back import WORK, Course, acted
from tfheal.flows.versions import deployed_of
from tfheal.model.release import Release

_LATE = (
    4.0  # times as long as is expected that it may take before a timer of the gateways has them lead to the app again
)


@contextmanager
def held_back(course: Course, release: Release) -> Iterator[None]:
    """While the data of an instance moves, have what needs it out of the traffic and stopped; then it runs again.

    Killed in between it is found stopped, and healing starts it, or the next run.
    """
    if release.instance not in course.moved:
        yield
        return
    ports = course.ports
    needy = core.needing(release.component, course.after)
    waiting = [
        item for item in deployed_of(release.app, ports) if item.release.component in needy and item.release.unit
    ]
    with ExitStack() as out:
        if course.workspace.folder(release.app).playbook.routed in {release.component, *needy}:
            out.enter_context(_closed(course))
        for item in waiting:
            out.enter_context(
                drained(course.workspace, item.release.instance, course.out(item.release, must=False), ports)
            )
            ports.reporter.say(f"{item.release.instance}  is stopped while the data of {release.instance} moves")
            acted(course, item, (core.stopped(item.release),), held=True)
        try:
            yield
        finally:
            for item in waiting:
                done = acted(
                    course, item, remedies.restart(item.release, secret_values(item.release, ports)), held=False
                )
                if done.outcome != "done":
                    ports.reporter.say(f"{item.release.instance}  does not run again yet: {done.detail}")


@contextmanager
def _closed(course: Course) -> Iterator[None]:
    """Have the gateways of the app, if it has any, answer in its place while the context lasts; one that cannot be told is no reason to stop."""
    ports, app = course.ports, course.upgrade.app
    try:
        closed = close(course.workspace, app, course.owner, _LATE * course.moving + WORK, ports) is not None
    except TfhealError as error:
        ports.reporter.say(f"{app}  is not closed at its gateways: {error}")
        closed = False
    since = ports.clock.monotonic()
    if closed:
        ports.reporter.say(f"{app}  is closed: people read that it is being worked on")
    try:
        yield
    finally:
        if closed:
            open_again(course)
            course.away = (course.away or 0.0) + ports.clock.monotonic() - since


def open_again(course: Course) -> None:
    """Open what a run that was killed left closed: while data moved, or just before it let people in again."""
    if answered := reopen(course.workspace, course.upgrade.app, course.owner, course.ports):
        told = f"is open again; its gateways told people {answered} times to come back"
        course.ports.reporter.say(f"{course.upgrade.app}  {told}")


def based_anew(course: Course) -> str:
    """Where data moved whose every change is stored, begin anew with a backup; return why it is not good, if so."""
    app = course.upgrade.app
    if not course.moved or not any(is_archived(item.release) for item in deployed_of(app, course.ports)):
        return ""
    (made,) = backup(course.workspace, (app,), course.ports, course.limits)
    if made.backup is not None and made.backup.state == "good":
        return ""
    return f"there is no good backup of it where it is now: {made.refused or 'tfheal backup list tells why'}"
