"""An instance on a machine that was made anew: what is done there until the owner's data has come back.

Its release is put there as ever, and then its service is held back: stopped, and disabled so that neither a boot nor the
reflex of the slice starts it, since nobody is to be served without data, or to write where the data is to come. Databases
run on, as it is into their server that dumps are restored. The mark on the slice goes when the data is in its place.
"""

from typing import Final

from tfheal.base import sh
from tfheal.core.resources.directory import data_paths
from tfheal.core.resources.migrate import MIGRATE
from tfheal.core.resources.step import Step
from tfheal.model import paths
from tfheal.model.release import Release
from tfheal.model.resources import Postgres, Unit

THERE: Final = "no data is there yet"  # the first step: it fails where the data is
_CLUSTERS: Final = "/var/lib/postgresql"


def mark(release: Release) -> str:
    """Return the file on the slice that says that an instance waits for its data."""
    return f"{paths.state(release.app, release.component)}/{paths.AWAITS}"


def held_back(release: Release, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Given a release and the steps that put it there, return them with those around them that have it wait for its data.

    What is not there yet is not migrated: that is done once it is.
    """
    return (_marked(release), *(one for one in steps if one.id != MIGRATE), *stopped(release))


def quiet(release: Release) -> Release:
    """Given a release, return it with its units put there and neither started nor enabled; nothing is stored of it either."""
    still = {"enabled": False, "running": False}
    resources = tuple(
        one.model_copy(update=still)
        if isinstance(one, Unit)
        else one.model_copy(update={"archive_command": None})
        if isinstance(one, Postgres)
        else one
        for one in release.resources
    )
    return release.model_copy(update={"resources": resources, "reflex": None, "migrate": None})


def _marked(release: Release) -> Step:
    """Return the step that marks a machine without data; of one that still has it nothing is made anew."""
    clusters = any(isinstance(one, Postgres) for one in release.resources)
    places = (*sorted(data_paths(release)), *((_CLUSTERS,) if clusters else ()))
    kept = sh.quote(mark(release))
    found = "".join(
        f"[ ! -e {sh.quote(path)} ] || {{ echo {sh.quote(f'{path} is there')}; exit 1; }}\n" for path in places
    )
    return Step(THERE, f"[ -e {kept} ]", f"{found}: >{kept}", None, timeout=30)


def stopped(release: Release) -> tuple[Step, ...]:
    """Given a release, return the step that stops its service, which then stays stopped; a database runs on."""
    if release.unit is None or release.unit.startswith("postgresql"):
        return ()
    unit = sh.quote(release.unit)
    # A unit that is generated, as a container's, cannot be disabled, and is only stopped.
    apply = f"systemctl --quiet disable -- {unit} 2>/dev/null\nsystemctl stop -- {unit}"
    running = f"! systemctl is-active --quiet -- {unit} || exit 1"
    check = f'{running}\n[ "$(systemctl is-enabled -- {unit} 2>/dev/null)" != enabled ]'
    return (Step("held back", check, apply, None, timeout=release.stop_timeout + 30),)
