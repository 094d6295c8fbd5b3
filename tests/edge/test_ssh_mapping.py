"""No exception of a library leaves the transport: each class is counted, at each stage."""

import errno
import inspect
import socket
import struct
from typing import get_args

import invoke.exceptions
import paramiko
import pytest
from cryptography.exceptions import InvalidSignature
from paramiko import ssh_exception

from tfheal.base.errors import ConnectFailed, ConnectionLost, HostKeyMismatch, LoginFailed, TfhealError, UsageError
from tfheal.edge.ssh import mapping

_KEY = paramiko.ECDSAKey.generate()
_MADE = {
    ssh_exception.BadAuthenticationType: ssh_exception.BadAuthenticationType("no", ["password"]),
    ssh_exception.PartialAuthentication: ssh_exception.PartialAuthentication(["password"]),
    ssh_exception.ChannelException: ssh_exception.ChannelException(2, "Connect failed"),
    ssh_exception.BadHostKeyException: ssh_exception.BadHostKeyException("s1", _KEY, _KEY),
    ssh_exception.ProxyCommandFailure: ssh_exception.ProxyCommandFailure("nc", "broken"),
    ssh_exception.NoValidConnectionsError: ssh_exception.NoValidConnectionsError(
        {("127.0.0.1", 22): ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")}
    ),
}
_PARAMIKO = [
    _MADE[kind] if kind in _MADE else kind("words")
    for _, kind in inspect.getmembers(ssh_exception, inspect.isclass)
    if issubclass(kind, Exception) and kind.__module__ == ssh_exception.__name__
]
_OTHERS = [
    paramiko.pkey.UnknownKeyType(key_type="x", key_bytes=b""),
    socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
    TimeoutError("timed out"),
    ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
    ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
    OSError(errno.EHOSTUNREACH, "No route to host"),
    EOFError(),
    ValueError("not a key"),
    UnicodeError("label too long"),
    KeyError("x"),
    IndexError("x"),
    struct.error("short"),
    InvalidSignature(),
    AssertionError(),
    invoke.exceptions.UnknownFileType("/etc/fabric.xml"),
]


@pytest.mark.parametrize("stage", get_args(mapping.Stage))
@pytest.mark.parametrize("error", [*_PARAMIKO, *_OTHERS], ids=lambda error: type(error).__name__)
def test_every_foreign_exception_becomes_one_of_ours(error: Exception, stage: mapping.Stage) -> None:
    """Whatever a library raises, wherever, is one of our errors, with the place and a reason on one line."""
    with pytest.raises(TfhealError) as caught, mapping.ours(stage, "s1"):
        raise error
    assert (caught.value.where, caught.value.__cause__) == ("s1", error)
    assert caught.value.why
    assert str(caught.value).isprintable()


def test_every_class_of_the_library_was_counted() -> None:
    """The walk over the library's exceptions finds them all; a new one is met here first."""
    assert {type(error).__name__ for error in _PARAMIKO} == {
        "SSHException",
        "AuthenticationException",
        "PasswordRequiredException",
        "BadAuthenticationType",
        "PartialAuthentication",
        "UnableToAuthenticate",
        "ChannelException",
        "BadHostKeyException",
        "IncompatiblePeer",
        "ProxyCommandFailure",
        "NoValidConnectionsError",
        "CouldNotCanonicalize",
        "ConfigParseError",
        "MessageOrderError",
    }


@pytest.mark.parametrize(
    ("error", "stage", "expected"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "connect", ConnectFailed),
        (EOFError(), "talk", ConnectionLost),
        (EOFError(), "login", LoginFailed),
        (TimeoutError(), "login", ConnectFailed),
        (ssh_exception.AuthenticationException("no"), "login", LoginFailed),
        (ssh_exception.IncompatiblePeer("no kex"), "connect", ConnectFailed),
        (ssh_exception.ConfigParseError("bad"), "resolve", UsageError),
        (ValueError("port"), "resolve", UsageError),
        (_MADE[ssh_exception.BadHostKeyException], "connect", HostKeyMismatch),
        (_MADE[ssh_exception.ChannelException], "talk", ConnectFailed),
    ],
)
def test_what_an_exception_becomes(error: Exception, stage: mapping.Stage, expected: type[TfhealError]) -> None:
    """The same exception means what the stage makes of it."""
    assert type(mapping.mapped(error, stage, "s1")) is expected


def test_our_own_errors_and_interrupts_pass() -> None:
    """What is ours already is not wrapped again, and Ctrl-C is nobody's error."""
    own = LoginFailed("no", where="s1")
    with pytest.raises(LoginFailed) as caught, mapping.ours("talk", "s2"):
        raise own
    assert caught.value is own
    with pytest.raises(KeyboardInterrupt), mapping.ours("talk", "s2"):
        raise KeyboardInterrupt
