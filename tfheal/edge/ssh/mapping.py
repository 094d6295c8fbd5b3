"""Every exception of paramiko, fabric and the socket layer becomes one of ours, at one place."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

import paramiko
from paramiko import ssh_exception
from paramiko.pkey import UnknownKeyType

from tfheal.base import untrusted
from tfheal.base.errors import (
    ConnectFailed,
    ConnectionLost,
    HostKeyMismatch,
    LoginFailed,
    TfhealError,
    Unreachable,
    UsageError,
)

Stage = Literal["resolve", "connect", "login", "talk"]
_WHY_CAP: Final = 300
# What means the same at every stage.
_BY_KIND: Final[tuple[tuple[tuple[type[BaseException], ...], type[TfhealError], str], ...]] = (
    ((ssh_exception.BadHostKeyException,), HostKeyMismatch, "the host key is not the pinned one"),
    ((ssh_exception.ConfigParseError,), UsageError, "~/.ssh/config cannot be read"),
    ((ssh_exception.AuthenticationException, UnknownKeyType), LoginFailed, "not let in"),
    ((socket.gaierror, ssh_exception.CouldNotCanonicalize), ConnectFailed, "its name does not resolve"),
    (
        (ssh_exception.IncompatiblePeer, ssh_exception.MessageOrderError),
        ConnectFailed,
        "its SSH server and ours do not agree",
    ),
    ((ssh_exception.ProxyCommandFailure,), ConnectFailed, "the ProxyCommand failed"),
)


@contextmanager
def ours(stage: Stage, where: str) -> Iterator[None]:
    """Given a stage and the place, let only our own errors out of the block."""
    try:
        yield
    except TfhealError:
        raise
    except Exception as error:
        raise mapped(error, stage, where) from error


def mapped(error: BaseException, stage: Stage, where: str) -> TfhealError:
    """Given any foreign exception, return the one of ours that says the same."""
    if isinstance(error, TfhealError):
        return error
    for kinds, ours_is, what in _BY_KIND:
        if isinstance(error, kinds):
            return ours_is(what, where=where, why=_words(error))
    return _by_stage(error, stage, where)


def _by_stage(error: BaseException, stage: Stage, where: str) -> TfhealError:
    match stage:
        case "resolve":
            return UsageError("how it is reached cannot be made out", where=where, why=_words(error))
        case "connect" if isinstance(error, ssh_exception.ChannelException):
            return ConnectFailed("the jump host does not reach it", where=where, why=_words(error))
        case "connect":
            return ConnectFailed("no connection", where=where, why=_words(error), hint=_connect_hint(error))
        case "login":
            return _unfinished_login(error, where)
        case "talk" if isinstance(error, ssh_exception.ChannelException):
            return ConnectFailed("it opens no channel", where=where, why=_words(error))
        case "talk":
            return ConnectionLost("the connection was lost", where=where, why=_words(error))


def _unfinished_login(error: BaseException, where: str) -> Unreachable:
    if isinstance(error, TimeoutError):
        return ConnectFailed("no answer while logging in", where=where, why=_words(error))
    hint = "its sshd log says why"
    return LoginFailed("it hung up while we logged in", where=where, why=_words(error), hint=hint)


def _connect_hint(error: BaseException) -> str:
    root = error.__context__ if isinstance(error, paramiko.SSHException) and error.__context__ else error
    match root:
        case ConnectionRefusedError():
            return "is sshd running there, and is the port right?"
        case TimeoutError():
            return "is it up, and does this machine reach its network?"
        case EOFError() | ConnectionResetError():
            return "something accepts connections there, but hangs up before it says that it is SSH"
        case _:
            return ""


def _words(error: BaseException) -> str:
    """Return what the error says, on one line; parts of it come from the other side."""
    said = untrusted.line(str(error), _WHY_CAP)
    if isinstance(error, OSError) and error.strerror:
        said = untrusted.line(str(error.strerror), _WHY_CAP)
    return said or type(error).__name__
