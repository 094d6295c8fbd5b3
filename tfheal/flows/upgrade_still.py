"""Before data is changed for good what works on it is stopped, and what was written since the backup of before is taken too: a way back loses nothing."""

from collections.abc import Sequence
from dataclasses import replace

from tfheal.base.untrusted import brief
from tfheal.core import awaiting
from tfheal.core import upgrade as core
from tfheal.core.resources import steps
from tfheal.flows import standing
from tfheal.flows.backup import backup
from tfheal.flows.releases import secret_values
from tfheal.flows.upgrade_back import Course, acted
from tfheal.model.record import Expected
from tfheal.model.release import Release


def at_rest(course: Course, items: Sequence[Expected]) -> str:
    """Given all that works on data that may have to come back, stop it and back the app up; return why not, if so: then it runs again.

    The slice itself starts it no more. Killed in between it is found stopped, and healing starts it; the next run stops it anew, and takes what was written till then.
    """
    why = ""
    for item in reversed(items):
        course.ports.reporter.say(f"{item.release.instance}  is stopped")
        done = acted(course, item, awaiting.stopped(item.release), held=True)
        why = why or ("" if done.outcome == "done" else f"{item.release.instance}: {done.detail}")
    if not (why := why or (_backed_up(course) if course.upgrade.backup else "")):
        return ""
    for item in items:
        acted(course, item, steps(item.release, secret_values(item.release, course.ports)), held=False)
    return f"there is no backup of it at rest: {why}"


def _backed_up(course: Course) -> str:
    """Make the backup that the upgrade goes back to, and return why it is not good, if so."""
    course.ports.reporter.say(f"{course.upgrade.app}  what was written until then is backed up")
    (made,) = backup(course.workspace, (course.upgrade.app,), course.ports, course.limits)
    if made.backup is None or made.backup.state != "good":
        return made.refused or (
            f"it is {made.backup.state}: {made.backup.detail}" if made.backup else "it was not made"
        )
    course.upgrade = replace(course.upgrade, backup=made.backup.id)
    course.ports.upgrades.put(course.upgrade)
    return ""


def put_beside(course: Course, item: Expected, release: Release) -> str:
    """Build the software of a new release beside what runs, if it has any: nobody waits for it later. Return what failed, if anything.

    A version whose software cannot be had, or is not what was locked, is held.
    """
    made = core.beside(release)
    if not made or (item.release.id, item.deployed.phase) == (release.id, "deployed"):
        return ""
    done = acted(course, replace(item, release=release), made, held=True)
    if done.outcome == "done":
        return ""
    course.outcomes[release.instance] = f"{done.outcome}: {done.detail}"
    course.blamed = core.is_to_blame(done.outcome, done.report)
    if course.blamed:
        meant = replace(item.deployed, release=release.id, version=release.version)
        standing.hold(meant, brief(done.detail)[:300], course.ports)
    return f"{release.instance}: {done.detail}"
