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
    """Return the last step of a release with one resource, which is its own."""
    return steps(a_release(resource), secrets or {})[-1]


def a_state(release: str = "0123456789abcdef", version: str = "1.2") -> str:
    """Return what a healthy instance answers of its state: what was applied last, and what systemd says of its unit."""
    return f"""\
state release {release}
state version {version}
state generation 3
state writer Provider on desk
state at 2026-01-01T00:00:00Z
state phase applied
up 1000.00
ActiveState=active
SubState=running
Result=success
UnitFileState=enabled
NRestarts=2
ActiveEnterTimestampMonotonic=990000000
MainPID=7
ControlPID=0
"""
