"""Before data is migrated its service is stopped, and what was written since the backup of before is taken too: a way back loses nothing."""

from dataclasses import replace

from tfheal.core import remedies
from tfheal.core import upgrade as core
from tfheal.flows.backup import backup
from tfheal.flows.releases import secret_values
from tfheal.flows.upgrade_back import Course, acted
from tfheal.model.record import Expected


def stilled(course: Course, item: Expected) -> str:
    """Given an instance whose data is to be migrated, stop it and back the app up; return why not, if so: then it runs again.

    Killed in between it is found stopped, and healing starts it; the next run stops it anew, and takes what was written till then.
    """
    if not course.upgrade.backup:
        return ""
    course.ports.reporter.say(f"{item.release.instance}  is stopped, and what was written until then is backed up")
    done = acted(course, item, (core.stopped(item.release),), held=True)
    why = "" if done.outcome == "done" else done.detail
    if not (why := why or _backed_up(course)):
        return ""
    acted(course, item, remedies.restart(item.release, secret_values(item.release, course.ports)), held=False)
    return f"there is no backup of it at rest: {why}"


def _backed_up(course: Course) -> str:
    """Make the backup that the upgrade goes back to, and return why it is not good, if so."""
    (made,) = backup(course.workspace, (course.upgrade.app,), course.ports, course.limits)
    if made.backup is None or made.backup.state != "good":
        return made.refused or (
            f"it is {made.backup.state}: {made.backup.detail}" if made.backup else "it was not made"
        )
    course.upgrade = replace(course.upgrade, backup=made.backup.id)
    course.ports.upgrades.put(course.upgrade)
    return ""
