"""How a slice is reached, as its inventory entry and ~/.ssh/config say together: fabric resolves it."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fabric import Config

from tfheal.base.errors import UsageError
from tfheal.edge.ssh.client_config import client_config
from tfheal.edge.ssh.mapping import ours
from tfheal.model.inventory import Slice

_JUMP_LIMIT: Final = 8


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One SSH server on the way: where it is, who logs in there and by which keys."""

    name: str  # as pins and messages call it
    host: str
    port: int
    user: str
    keys: tuple[Path, ...]  # none named: the default files, then the agent
    is_slice: bool
    proxy_command: str = ""
    known_hosts: tuple[Path, ...] = ()  # the operator's own, for jump hosts


@dataclass(frozen=True, slots=True)
class Route:
    """The jump hosts in the order in which they are passed, and the slice."""

    jumps: tuple[Endpoint, ...]
    target: Endpoint


@dataclass(frozen=True, slots=True)
class _Found:
    """What was found out about one host: where it is, who logs in there, and whatever else ~/.ssh/config says of it."""

    host: str
    port: int
    user: str
    keys: tuple[Path, ...]
    options: Mapping[str, Any]


class Routes:
    """Resolves slices to routes; ~/.ssh/config is read once."""

    def __init__(self, workspace: Path) -> None:
        """Remember where relative key paths start; nothing is read yet."""
        self._workspace = workspace
        self._lock = threading.Lock()
        self._config: Config | None = None
        self._routes: dict[Slice, Route] = {}

    def of(self, target: Slice) -> Route:
        """Given a slice, return its route; raise UsageError if its settings or ~/.ssh/config make no sense."""
        # One fabric configuration is not safe to share between threads that use it at once: hence the lock.
        with self._lock, ours("resolve", target.name):
            if target not in self._routes:
                self._routes[target] = self._resolved(target)
            return self._routes[target]

    def _resolved(self, target: Slice) -> Route:
        found = self._look_up(target.address, target.user, target.port)
        keys = (self._workspace / Path(target.key).expanduser(),) if target.key else found.keys
        proxy = found.options.get("proxycommand", "")
        jumps = self._jumps(target.proxy_jump or found.options.get("proxyjump", ""), target.name)
        endpoint = Endpoint(
            name=target.name,
            host=found.host,
            port=found.port,
            user=target.user or found.options.get("user", "root"),
            keys=keys,
            is_slice=True,
            proxy_command="" if jumps or proxy == "none" else proxy,
        )
        return Route(jumps, endpoint)

    def _jumps(self, written: str, where: str, depth: int = 0) -> tuple[Endpoint, ...]:
        """Given `user@host:port,…`, return the hops in order; the first one may have a jump of its own."""
        if not written or written == "none":
            return ()
        if depth > _JUMP_LIMIT or written.count(",") >= _JUMP_LIMIT:
            raise UsageError("too many jump hosts, or they go round in circles", where=where, why=written)
        first, *others = [hop.strip() for hop in written.split(",")]
        endpoint, own_jump = self._hop(first, where)
        before = self._jumps(own_jump, where, depth + 1)
        return (*before, endpoint, *(self._hop(hop, where)[0] for hop in others))

    def _hop(self, written: str, where: str) -> tuple[Endpoint, str]:
        user, host, port = _split(written, where)
        found = self._look_up(host, user, port)
        config = found.options
        endpoint = Endpoint(
            name=config.get("hostkeyalias", found.host),
            host=found.host,
            port=found.port,
            user=found.user,
            keys=found.keys,
            is_slice=False,
            proxy_command="" if config.get("proxycommand") == "none" else config.get("proxycommand", ""),
            known_hosts=tuple(Path(path).expanduser() for path in config.get("userknownhostsfile", "").split()),
        )
        return endpoint, config.get("proxyjump", "")

    def _look_up(self, host: str, user: str | None, port: int | None) -> _Found:
        """Given what is written of a host, return what it and fabric's configuration, ~/.ssh/config in it, say together.

        A connection of fabric's own would say the same, and takes twenty times as long to make.
        """
        if self._config is None:
            self._config = Config(ssh_config=client_config())
        config = self._config
        options = config.base_ssh_config.lookup(host)
        return _Found(
            host=options["hostname"],
            port=port or int(options.get("port", config.port)),
            user=user or options.get("user", config.user),
            keys=tuple(Path(name).expanduser() for name in options.get("identityfile", ())),
            options=options,
        )


def _split(written: str, where: str) -> tuple[str | None, str, int | None]:
    """Given `user@host:port`, `user@[::1]:2222` or `::1`, return its parts."""
    user, _, rest = written.removeprefix("ssh://").rpartition("@")
    if rest.startswith("["):
        host, _, after = rest[1:].partition("]")
        port = after.removeprefix(":")
    elif rest.count(":") > 1:
        host, port = rest, ""
    else:
        host, _, port = rest.partition(":")
    if not host or host.startswith("-") or (port and not (port.isascii() and port.isdigit())):
        raise UsageError("a jump host is written user@host:port", where=where, why=written)
    return user or None, host, int(port) if port else None
