"""Data that an upgrade moves to another server: what needs it is held back meanwhile, and its changes are stored anew from there."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tfheal.core import remedies
from tfheal.core import upgrade as core
from tfheal.core.archiving import is_archived
from tfheal.flows.backup import backup
from tfheal.flows.gateway import drained
from tfheal.flows.releases import secret_values
from tfheal.flows.upgrade_back import Course, acted
from tfheal.flows.versions import deployed_of
from tfheal.model.release import Release


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


def based_anew(course: Course) -> str:
    """Where data moved whose every change is stored, begin anew with a backup; return why it is not good, if so."""
    app = course.upgrade.app
    if not course.moved or not any(is_archived(item.release) for item in deployed_of(app, course.ports)):
        return ""
    (made,) = backup(course.workspace, (app,), course.ports, course.limits)
    if made.backup is not None and made.backup.state == "good":
        return ""
    return f"there is no good backup of it where it is now: {made.refused or 'tfheal backup list tells why'}"
