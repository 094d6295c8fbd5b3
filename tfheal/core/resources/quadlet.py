"""A container becomes a Quadlet unit: hardened by default, on the slice's own network, restarted by systemd within limits.

What runs in it has no capabilities, cannot gain any, and finds its image read-only, with an empty `/tmp`. As with a
service, no value can begin a new line, and `%` is systemd's only where the playbook itself wrote the line.
"""

import re
from collections.abc import Iterator
from typing import Final

from tfheal.base.errors import UsageError
from tfheal.core.resources.service import BACKOFF, UNIT_LIMITS, Line, assignment, escaped, section
from tfheal.core.resources.step import slice_path
from tfheal.model.release import SECRET_TOKEN, Release
from tfheal.model.resources import Container

_INSIDE: Final = re.compile(r"/[A-Za-z0-9._/-]*(:ro)?")
_OUTSIDE: Final = re.compile(r"/[A-Za-z0-9._@+/-]*")
_USER: Final = re.compile(r"[a-z0-9_][a-z0-9_-]{0,31}")
_LEAVE_TIME: Final = 15.0  # seconds for Podman itself, once the container has had its own


def quadlet_text(container: Container, image: str, release: Release) -> str:
    """Given a rendered container, its image and its release, return the text of its unit.

    Raise UsageError for a value that a unit cannot hold, and for a secret, which everybody could read there.
    """
    what = f"{release.app}/{release.component} ({release.playbook} {release.version}), kept by tfheal"
    network = (("Wants", "network-online.target"), ("After", "network-online.target"))
    sections: dict[str, tuple[Line, ...]] = {
        "Unit": (("Description", escaped(what)), *network, *UNIT_LIMITS),
        "Container": tuple(_container(container, image)),
        "Service": tuple(_service(container, release)),
        "Install": (("WantedBy", "multi-user.target"),),
    }
    text = "\n".join(section(name, lines) for name, lines in sections.items())
    if SECRET_TOKEN.search(text):
        hint = "put it into a file of mode 0600, and that into `volumes`"
        raise UsageError(f"the unit of {container.name} would show a secret to everybody", hint=hint)
    return text


def _container(container: Container, image: str) -> Iterator[Line]:
    yield "ContainerName", container.name
    yield "Image", image
    yield "Pull", "never"
    yield "Network", "host"
    if container.exec is not None:
        yield "Exec", container.exec
    yield from (("Environment", assignment(name, value)) for name, value in container.environment.items())
    yield from (("Volume", _volume(inside, outside)) for inside, outside in container.volumes.items())
    if container.user is not None:
        if not _USER.fullmatch(container.user):
            raise UsageError(f"{container.user!r} is not a user of an image", hint="a number, or a name")
        yield "User", container.user
    yield "ReadOnly", "true"
    yield "NoNewPrivileges", "true"
    yield "DropCapability", "all"
    if container.ports_below_1024:
        yield "AddCapability", "CAP_NET_BIND_SERVICE"
    yield "StopTimeout", f"{container.stop_timeout:.0f}"


def _service(container: Container, release: Release) -> Iterator[Line]:
    if release.reflex is None or release.reflex.asks:
        yield "Restart", "always"
        yield from BACKOFF
    else:
        yield "Restart", "no"
    yield "TimeoutStartSec", f"{container.start_timeout:g}"
    yield "TimeoutStopSec", f"{container.stop_timeout + _LEAVE_TIME:g}"
    if container.memory is not None:
        yield "MemoryMax", str(container.memory)
    if container.tasks is not None:
        yield "TasksMax", str(container.tasks)


def _volume(inside: str, outside: str) -> str:
    place = slice_path(outside)
    if not _OUTSIDE.fullmatch(place) or not _INSIDE.fullmatch(inside):
        hint = "/IN/THE/CONTAINER or, to only read, /IN/THE/CONTAINER:ro, and a path on the slice"
        raise UsageError(f"{inside}: {outside} is not a volume", hint=hint)
    return f"{place}:{inside}"
