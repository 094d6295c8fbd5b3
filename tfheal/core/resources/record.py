"""What tfheal made is remembered on the slice, so that `remove` leaves alone what was there before."""

from tfheal.core.resources.step import digest
from tfheal.model import paths
from tfheal.model.release import Release
from tfheal.model.resources import Resource, resource_id


def made_record(resource: Resource, release: Release) -> str:
    """Return the file on the slice whose presence says that tfheal made this resource."""
    return f"{paths.state(release.app, release.component)}/made/{digest(resource_id(resource).encode())[:16]}"
