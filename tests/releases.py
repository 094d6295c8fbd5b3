"""Releases of one instance, `notes/web` of acme, with the resources that a test is about."""

from tfheal.core.resources import Step, steps
from tfheal.model.release import Release


def a_release(*resources: dict[str, object], **changes: object) -> Release:
    """Return the release of one instance with these resources."""
    fields: dict[str, object] = {
        "app": "notes",
        "owner": "acme",
        "component": "web",
        "slice": "s1",
        "playbook": "notes",
        "version": "1",
        "resources": resources,
        "unit": "tfheal-notes-web.service",
        "ladder": ["page"],
    }
    return Release.model_validate(fields | changes)


def the_step(resource: dict[str, object], secrets: dict[tuple[str, int], str] | None = None) -> Step:
    """Return the one step of a release with one resource."""
    return steps(a_release(resource), secrets or {})[0]
