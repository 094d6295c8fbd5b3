"""Logging in by key: files are parsed once, the agent is asked only where no file will do."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import paramiko
from paramiko.ssh_exception import AuthenticationException, BadAuthenticationType, PartialAuthentication

from tfheal.base import untrusted
from tfheal.base.errors import LoginFailed
from tfheal.edge.ssh.mapping import ours
from tfheal.edge.ssh.route import Endpoint

_DEFAULT_FILES: Final = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")
_MOST_KEYS: Final = 5  # sshd hangs up after the sixth


@dataclass(frozen=True, slots=True)
class Identity:
    """A private key file: its key, or why there is none."""

    path: Path
    key: paramiko.PKey | None = None
    public: str = ""  # the public half, where a .pub file says it
    trouble: str = ""


@dataclass(slots=True)
class _Attempts:
    """What was offered to one server, for the message if none of it was taken."""

    offered: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


class Identities:
    """The operator's keys, each parsed once."""

    def __init__(self) -> None:
        """Read nothing yet."""
        self._lock = threading.Lock()
        self._parsed: dict[Path, Identity] = {}

    def log_in(self, transport: paramiko.Transport, endpoint: Endpoint, timeout: float) -> None:
        """Given a connection whose host key was checked, log in; raise LoginFailed that says what was offered."""
        attempts = _Attempts()
        with ours("login", endpoint.name):
            for label, key in self._candidates(endpoint, attempts):
                attempts.offered.append(label)
                if _accepted(transport, endpoint, key, timeout):
                    return
        raise _refused(endpoint, attempts)

    def _candidates(self, endpoint: Endpoint, attempts: _Attempts) -> Iterator[tuple[str, paramiko.PKey]]:
        paths = endpoint.keys or tuple(Path(name).expanduser() for name in _DEFAULT_FILES)
        identities = [self._identity(path) for path in paths]
        count = 0
        for identity in identities:
            if identity.key is not None and count < _MOST_KEYS:
                count += 1
                yield str(identity.path), identity.key
        # A file that somebody named and that is not there is worth a word; a default that is not there is not.
        attempts.troubles += [one.trouble for one in identities if one.trouble and (endpoint.keys or one.path.exists())]
        if endpoint.keys and not any(one.trouble for one in identities):
            return  # the named keys were offered; the agent holds nothing more that the operator meant
        wanted = {one.public for one in identities if one.public and one.key is None} if endpoint.keys else set()
        for key in _agent_keys():
            if count < _MOST_KEYS and (not wanted or key.get_base64() in wanted):
                count += 1
                yield f"agent key {untrusted.line(key.comment or key.get_name(), 80)}", key

    def _identity(self, path: Path) -> Identity:
        with self._lock:
            if path not in self._parsed:
                self._parsed[path] = _parsed(path)
            return self._parsed[path]


def _parsed(path: Path) -> Identity:
    try:
        return Identity(path, key=paramiko.PKey.from_path(path))
    except OSError as error:
        return Identity(path, trouble=f"{path}: {error.strerror}")
    except (TypeError, paramiko.PasswordRequiredException):  # TypeError is how the crypto library asks for one
        trouble = f"{path} has a passphrase and the agent does not hold it (ssh-add {path})"
        return Identity(path, public=_public_half(path), trouble=trouble)
    except Exception as error:  # noqa: BLE001 - whatever a damaged key makes the parsers say, it is no key
        return Identity(path, trouble=f"{path} is not a private key that can be read ({type(error).__name__})")


def _public_half(path: Path) -> str:
    try:
        fields = path.with_name(path.name + ".pub").read_text().split()
    except (OSError, UnicodeDecodeError):
        return ""
    return fields[1] if len(fields) > 1 else ""


def _agent_keys() -> Iterator[paramiko.AgentKey]:
    """Yield the keys of the agent, if one is there, and let go of it at the end."""
    try:
        agent = paramiko.Agent()
    except (OSError, paramiko.SSHException):
        return
    try:
        yield from agent.get_keys()
    finally:
        agent.close()


def _accepted(transport: paramiko.Transport, endpoint: Endpoint, key: paramiko.PKey, timeout: float) -> bool:
    done = threading.Event()
    transport.auth_publickey(endpoint.user, key, event=done)
    if not done.wait(timeout):
        raise TimeoutError(f"nothing came for {timeout:g} s")
    if transport.is_authenticated():
        return True
    error = transport.get_exception()
    if not transport.is_active():
        raise error or EOFError("the server closed the connection")
    if isinstance(error, (BadAuthenticationType, PartialAuthentication)):
        allowed = ", ".join(untrusted.line(kind, 40) for kind in getattr(error, "allowed_types", ())[:5])
        raise LoginFailed("it wants more than a key", where=endpoint.name, why=f"it asks for {allowed}") from error
    if error is None or isinstance(error, AuthenticationException):
        return False
    raise error


def _refused(endpoint: Endpoint, attempts: _Attempts) -> LoginFailed:
    offered = f"offered {', '.join(attempts.offered)}" if attempts.offered else "there was no key to offer"
    why = "; ".join([offered, *attempts.troubles])
    hint = f"put the public key into ~/.ssh/authorized_keys of {endpoint.user} there, or name another one with `key`"
    return LoginFailed(f"no key of ours lets {endpoint.user} in", where=endpoint.name, why=why, hint=hint)
