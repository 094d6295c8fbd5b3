"""Which host key a server must show: pinned in the workspace for slices, in the operator's known_hosts for jump hosts."""

import threading
from pathlib import Path
from typing import Final

import paramiko

from tfheal.base.errors import Refused, TfhealError
from tfheal.edge.ssh.mapping import ours
from tfheal.edge.ssh.route import Endpoint
from tfheal.model.ports import HostKeys

SSH_PORT: Final = 22
# The algorithms of each kind of key, kinds in the order of our preference.
KINDS: Final = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "rsa-sha2-256"),
)
EVERY_KIND: Final = tuple(name for kind in KINDS for name in kind)
_ALGORITHMS: Final = {name: (name,) for kind in KINDS[:2] for name in kind} | {"ssh-rsa": KINDS[2]}


class Trust:
    """Knows the keys that an endpoint may show."""

    def __init__(self, pins: HostKeys) -> None:
        """Take the pins of the workspace; the operator's files are read when a jump host first needs them."""
        self._pins = pins
        self._lock = threading.Lock()
        self._read: dict[Path, paramiko.HostKeys] = {}

    def expected(self, endpoint: Endpoint) -> tuple[str, ...]:
        """Given an endpoint, return its keys as `TYPE KEY`; raise Refused if none is pinned."""
        pinned = self._pins.pinned(endpoint.name)
        if not pinned and not endpoint.is_slice:
            with ours("resolve", endpoint.name):
                pinned = self._of_operator(endpoint)
        if pinned:
            return pinned
        raise _refusal(endpoint)

    def _of_operator(self, endpoint: Endpoint) -> tuple[str, ...]:
        files = endpoint.known_hosts or (Path("~/.ssh/known_hosts").expanduser(), Path("/etc/ssh/ssh_known_hosts"))
        name = endpoint.name if endpoint.port == SSH_PORT else f"[{endpoint.name}]:{endpoint.port}"
        keys: list[str] = []
        for path in files:
            for kind, key in (self._file(path).lookup(name) or {}).items():
                keys.append(f"{kind} {key.get_base64()}")
        return tuple(keys)

    def _file(self, path: Path) -> paramiko.HostKeys:
        with self._lock:
            if path not in self._read:
                self._read[path] = paramiko.HostKeys(str(path) if path.is_file() else None)
            return self._read[path]


def algorithms(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Given pinned keys, return the algorithms to ask for, so that the server shows a key of a pinned kind."""
    found = (_ALGORITHMS.get(key.split(" ", 1)[0], ()) for key in keys)
    return tuple(dict.fromkeys(name for names in found for name in names))


def _refusal(endpoint: Endpoint) -> TfhealError:
    if endpoint.is_slice:
        hint = f"compare its fingerprint with the owner's, then `tfheal slice trust {endpoint.name}`"
        return Refused("no host key is pinned", where=endpoint.name, hint=hint)
    port = "" if endpoint.port == SSH_PORT else f" -p {endpoint.port}"
    hint = f"log in once with `ssh{port} {endpoint.user}@{endpoint.host}` and compare the fingerprint it shows"
    return Refused("the host key of this jump host is not in known_hosts", where=endpoint.name, hint=hint)
