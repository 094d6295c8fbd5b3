"""The text of a hardened unit: whole, and against every value that tries to break out of its line."""

import pytest

from tfheal.base.errors import UsageError
from tfheal.core.resources.service import unit_text
from tfheal.model.playbook import Service


def text_of(*, reflex: bool = True, **fields: object) -> str:
    """Return the unit of a service with these fields."""
    whole = {"exec": "/bin/serve", "user": "tf-notes-web"} | fields
    return unit_text(Service.model_validate(whole), description="notes/web of acme", reflex=reflex)


def lines_of(key: str, *, reflex: bool = True, **fields: object) -> list[str]:
    """Return the values of one directive, in order."""
    lines = text_of(reflex=reflex, **fields).splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]


def test_the_whole_unit() -> None:
    """What a plain service becomes, line by line."""
    assert text_of(writable=["/srv/x"], memory="512M", tasks=64) == EXPECTED


@pytest.mark.parametrize(
    ("fields", "key", "values"),
    [
        ({}, "Restart", ["always"]),
        ({"type": "oneshot"}, "Restart", ["on-failure"]),
        ({"pre": ["/bin/a", "-/bin/b"]}, "ExecStartPre", ["/bin/a", "-/bin/b"]),
        ({"reload": "/bin/kill -HUP $MAINPID"}, "ExecReload", ["/bin/kill -HUP $MAINPID"]),
        ({"ports_below_1024": True}, "AmbientCapabilities", ["CAP_NET_BIND_SERVICE"]),
        ({"ports_below_1024": True}, "CapabilityBoundingSet", ["CAP_NET_BIND_SERVICE"]),
        ({}, "CapabilityBoundingSet", [""]),
        ({"credentials": {"admin": "/etc/a%b"}}, "LoadCredential", ["admin:/etc/a%%b"]),
        ({"environment": {"A": "plain"}}, "Environment", ['"A=plain"']),
        ({"environment": {"A": 'q"uo\\te'}}, "Environment", ['"A=q\\"uo\\\\te"']),
        ({"environment": {"A": "two\nlines"}}, "Environment", ['"A=two\\nlines"']),
        ({"environment": {"A": "100%h $HOME"}}, "Environment", ['"A=100%%h $HOME"']),
        ({"environment": {"A": "%d/admin%"}}, "Environment", ['"A=%d/admin%%"']),
        ({"writable": ["/srv/a b", "/srv/50%"]}, "ReadWritePaths", ['"/srv/a b"', '"/srv/50%%"']),
        ({"directives": {"ProtectHome": "read-only"}}, "ProtectHome", ["read-only"]),
        ({"directives": {"SystemCallFilter": ""}}, "SystemCallFilter", [""]),
        ({"directives": {"WatchdogSec": "30"}}, "WatchdogSec", ["30"]),
        ({"stop_timeout": "1m", "start_timeout": "90s"}, "TimeoutStopSec", ["60"]),
        ({"start_timeout": "1500ms"}, "TimeoutStartSec", ["1.5"]),
    ],
)
def test_a_field_becomes_its_directive(fields: dict[str, object], key: str, values: list[str]) -> None:
    """Each field has its line, quoted as systemd reads it."""
    assert lines_of(key, **fields) == values


def test_without_reflex_systemd_does_not_restart() -> None:
    """The owner or provider can leave healing to tfheal alone."""
    assert lines_of("Restart", reflex=False) == ["no"]
    assert lines_of("RestartSec", reflex=False) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"exec": "/bin/a\nUser=root"},
        {"exec": "/bin/a \\"},
        {"pre": ["/bin/a\r"]},
        {"reload": "a\x00b"},
        {"user": "root\nX=1"},
        {"user": "a b"},
        {"environment": {"A B": "x"}},
        {"environment": {"A=B": "x"}},
        {"environment": {"A": "\x1b"}},
        {"credentials": {"admin": "/a\nExecStart=/bin/evil"}},
        {"writable": ["/a\x07"]},
        {"directives": {"User\nX": "root"}},
        {"directives": {"exec start": "x"}},
        {"directives": {"X": "a\n[Install]"}},
        {"directives": {"X": "\u2028"}},
    ],
)
def test_no_value_begins_a_line_of_its_own(fields: dict[str, object]) -> None:
    """What cannot be written on one line of a unit is refused."""
    with pytest.raises(UsageError):
        text_of(**fields)


EXPECTED = """\
[Unit]
Description=notes/web of acme
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=120
StartLimitBurst=4

[Service]
Type=exec
User=tf-notes-web
ExecStart=/bin/serve
TimeoutStartSec=60
TimeoutStopSec=30
Restart=always
RestartSec=1
RestartSteps=3
RestartMaxDelaySec=8
MemoryMax=536870912
TasksMax=64
CapabilityBoundingSet=
UMask=0027
NoNewPrivileges=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=strict
ProtectHome=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
ReadWritePaths="/srv/x"

[Install]
WantedBy=multi-user.target
"""
