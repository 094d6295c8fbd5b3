"""A service becomes a systemd unit that is hardened by default and restarts itself within limits.

Values come from app specs, so none may begin a new line, and where systemd would read `%` as its own they are escaped.
The command lines and `directives` are the playbook's: there `%d` and its kin mean what they mean to systemd.
"""

import re
from collections.abc import Iterator
from typing import Final

from tfheal.base.errors import UsageError
from tfheal.model.playbook import Service

# How often systemd restarts before it gives up: after 1, 2, 4 and 8 s (every second before systemd 254).
UNIT_LIMITS: Final = (("StartLimitIntervalSec", "120"), ("StartLimitBurst", "4"))
BACKOFF: Final = (("RestartSec", "1"), ("RestartSteps", "3"), ("RestartMaxDelaySec", "8"))
_HARDENING: Final = (
    ("UMask", "0027"),
    ("NoNewPrivileges", "yes"),
    ("PrivateTmp", "yes"),
    ("PrivateDevices", "yes"),
    ("ProtectSystem", "strict"),
    ("ProtectHome", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectControlGroups", "yes"),
    ("ProtectClock", "yes"),
    ("ProtectHostname", "yes"),
    ("ProtectProc", "invisible"),
    ("RestrictSUIDSGID", "yes"),
    ("RestrictNamespaces", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6"),
    ("LockPersonality", "yes"),
    ("RemoveIPC", "yes"),
    ("KeyringMode", "private"),
    ("SystemCallArchitectures", "native"),
    ("SystemCallFilter", "@system-service"),
    ("SystemCallErrorNumber", "EPERM"),
)
_KEY: Final = re.compile(r"[A-Z][A-Za-z0-9]*")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_CREDENTIALS: Final = "%d/"

Line = tuple[str, str]


def unit_text(service: Service, *, description: str, reflex: bool = True) -> str:
    """Given a rendered service, return the text of its unit; without `reflex` systemd does not restart it.

    Raise UsageError for a value that a unit cannot hold.
    """
    sections = {
        "Unit": (
            ("Description", escaped(description)),
            ("Wants", "network-online.target"),
            ("After", "network-online.target"),
            *UNIT_LIMITS,
        ),
        "Service": tuple(_overridden(_service(service, reflex=reflex), service.directives)),
        "Install": (("WantedBy", "multi-user.target"),),
    }
    return "\n".join(section(name, lines) for name, lines in sections.items())


def section(name: str, lines: tuple[Line, ...]) -> str:
    """Given the name of a section and its lines, return its text; raise UsageError for a value that is not one line."""
    return f"[{name}]\n" + "".join(f"{key}={_one_line(key, value)}\n" for key, value in lines)


def _service(service: Service, *, reflex: bool) -> Iterator[Line]:
    if not _USER.fullmatch(service.user):
        raise UsageError(f"{service.user!r} is not the name of a user")
    yield "Type", service.type
    yield "User", service.user
    yield from (("ExecStartPre", command) for command in service.pre)
    yield "ExecStart", service.exec
    if service.reload is not None:
        yield "ExecReload", service.reload
    yield from (("Environment", assignment(name, value)) for name, value in service.environment.items())
    yield from (("LoadCredential", f"{name}:{escaped(path)}") for name, path in service.credentials.items())
    yield from _lifecycle(service, reflex=reflex)
    yield from _limits(service)
    yield from _HARDENING
    yield from (("ReadWritePaths", _quoted(path)) for path in service.writable)


def _lifecycle(service: Service, *, reflex: bool) -> Iterator[Line]:
    yield "TimeoutStartSec", f"{service.start_timeout:g}"
    yield "TimeoutStopSec", f"{service.stop_timeout:g}"
    if not reflex:
        yield "Restart", "no"
        return
    yield "Restart", "on-failure" if service.type == "oneshot" else "always"
    yield from BACKOFF


def _limits(service: Service) -> Iterator[Line]:
    if service.memory is not None:
        yield "MemoryMax", str(service.memory)
    if service.tasks is not None:
        yield "TasksMax", str(service.tasks)
    capabilities = "CAP_NET_BIND_SERVICE" if service.ports_below_1024 else ""
    yield "CapabilityBoundingSet", capabilities
    if capabilities:
        yield "AmbientCapabilities", capabilities


def _overridden(lines: Iterator[Line], directives: dict[str, str]) -> Iterator[Line]:
    for key in directives:
        if not _KEY.fullmatch(key):
            raise UsageError(f"{key!r} is not a directive of systemd")
    yield from (line for line in lines if line[0] not in directives)
    yield from directives.items()


def assignment(name: str, value: str) -> str:
    """Given a variable and its value, return them as systemd reads them; raise UsageError for what is no name of one."""
    if not _VARIABLE.fullmatch(name):
        raise UsageError(f"{name!r} is not a name for an environment variable")
    # A value that begins with %d/ is a file among the credentials: the one specifier that is of use here.
    prefix = _CREDENTIALS if value.startswith(_CREDENTIALS) else ""
    return (
        _quoted(f"{name}={value}").replace(f"{name}=%%d/", f"{name}=%d/", 1) if prefix else _quoted(f"{name}={value}")
    )


def _quoted(value: str) -> str:
    inner = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped(inner)}"'


def escaped(value: str) -> str:
    """Given a value, return it with what systemd would take for its own specifiers escaped."""
    return value.replace("%", "%%")


def _one_line(key: str, value: str) -> str:
    if any(not character.isprintable() for character in value) or value.endswith("\\"):
        raise UsageError(
            f"{key}= cannot hold this value", why="it has a line break, a control character or an open end"
        )
    return value
