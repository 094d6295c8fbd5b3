"""A real OpenSSH server on loopback, thrown away after the test, and servers that misbehave in one way each."""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from build import a_slice

from tfheal.edge.known_hosts import KnownHosts
from tfheal.edge.ssh.transport import SshTransport
from tfheal.model.inventory import Slice
from tfheal.model.ssh import SshSettings

QUICK = SshSettings(
    connect_timeout=5.0, banner_timeout=5.0, auth_timeout=5.0, patience=8.0, silence=4.0, grace=4.0, flood=8 << 20
)
CAP = 1 << 20


def free_port() -> int:
    """Return a port of loopback on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Sshd:
    """One running server, a key that it accepts, and what is needed to reach it."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    transports: list[SshTransport] = field(default_factory=list)

    def slice(self, name: str = "s1", **changes: object) -> Slice:
        """Return a slice that is this server."""
        return a_slice(name, **({"port": self.port, "key": str(self.folder / "client")} | changes))

    def host_key(self, kind: str = "ed25519") -> str:
        """Return the host key of a kind as `TYPE KEY`."""
        return " ".join((self.folder / f"host_{kind}.pub").read_text().split()[:2])

    def pins(self, *names: str, kind: str = "ed25519") -> KnownHosts:
        """Return pinned keys: this server's for each name."""
        folder = self.folder / f"pins-{time.monotonic_ns()}"
        folder.mkdir()
        known = KnownHosts(folder / "known_hosts")
        for name in names:
            known.pin(name, (self.host_key(kind),))
        return known

    def transport(self, settings: SshSettings = QUICK, pins: KnownHosts | None = None) -> SshTransport:
        """Return a transport that trusts this server as `s1`, closed at the end of the test."""
        made = SshTransport(settings, pins or self.pins("s1"), self.folder)
        self.transports.append(made)
        return made

    def log(self) -> str:
        """Return what the server logged."""
        return (self.folder / "log").read_text(errors="replace")


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    """Make a key pair and return the private half."""
    argv = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", path.name, "-f", str(path)]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
    return path


def make_keys(folder: Path) -> Path:
    """Make the host keys of a server and the key of its client, and return their folder."""
    _require()
    for kind in ("ed25519", "ecdsa", "rsa"):
        make_key(folder / f"host_{kind}", kind)
    make_key(folder / "client")
    return folder


@contextlib.contextmanager
def running_sshd(folder: Path, keys: Path, **options: str) -> Iterator[Sshd]:
    """Run a server with these keys and a configuration of its own until the block ends."""
    shutil.copytree(keys, folder, dirs_exist_ok=True)
    port = free_port()
    kinds = options.pop("HostKeys", "ed25519 ecdsa rsa").split()
    settings = {
        "AuthorizedKeysFile": str(folder / "client.pub"),
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "PrintMotd": "no",
        "LogLevel": "VERBOSE",
        "SetEnv": f"HOME={folder}",  # not this machine's own ~/.bashrc, which may do anything
    } | options
    lines = [f"Port {port}", "ListenAddress 127.0.0.1", "ListenAddress ::1"]
    lines += [f"HostKey {folder / f'host_{kind}'}" for kind in kinds]
    lines += [f"{name} {value}" for name, value in settings.items()]
    (folder / "config").write_text("\n".join(lines) + "\n")
    with _separation_folder(), (folder / "log").open("wb") as log:
        argv = [_program(), "-D", "-e", "-f", str(folder / "config")]
        process = subprocess.Popen(argv, stderr=log, stdin=subprocess.DEVNULL)
        server = Sshd(folder, port, process)
        try:
            _wait_until_it_answers(server)
            yield server
        finally:
            for transport in server.transports:
                transport.close()
            _end_with_sessions(process)


def _program() -> str:
    return shutil.which("sshd") or "/usr/sbin/sshd"


def _require() -> None:
    if os.geteuid() != 0:
        pytest.fail("a real sshd that lets root in needs root: run the tests as root")
    missing = [name for name in (_program(), "ssh-keygen", "ssh") if shutil.which(name) is None]
    if missing:
        pytest.fail(f"missing: {', '.join(missing)}; install openssh-server and openssh-client")


@contextlib.contextmanager
def _separation_folder() -> Iterator[None]:
    """Provide the empty folder that sshd insists on; a machine whose own sshd never ran has none.

    Other servers of other tests need it too: who made it takes it away only if nobody else holds it.
    """
    path = Path("/run/sshd")
    made = not path.exists()
    held = _held(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if made:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.rmdir()
        os.close(held)


def _held(path: Path) -> int:
    """Return a descriptor of a folder that is there, and stays as long as that is open."""
    while True:
        path.mkdir(mode=0o755, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            held = os.open(path, os.O_RDONLY)
            fcntl.flock(held, fcntl.LOCK_SH)
            if path.exists() and os.path.samestat(os.fstat(held), path.stat()):
                return held
            os.close(held)


def _wait_until_it_answers(server: Sshd) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end and server.process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 1) as probe:
            if probe.recv(4) == b"SSH-":
                return
        time.sleep(0.02)
    pytest.fail(f"sshd did not start: {server.log()}")


def children(pid: int) -> list[int]:
    """Return the processes below a process, nearest first."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(path.parent.name))
    return found + [grandchild for child in found for grandchild in children(child)]


def _end_with_sessions(process: subprocess.Popen[bytes]) -> None:
    for pid in [*children(process.pid), process.pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def command_lines_with(text: str) -> list[int]:
    """Return the processes that have a text somewhere in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if text.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def wait_until_gone(text: str, seconds: float) -> bool:
    """Return whether no process has that text in its command line within so many seconds."""
    end = time.monotonic() + seconds
    while command_lines_with(text):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@contextlib.contextmanager
def misbehaving(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """Listen on loopback and do to each connection what `behave` does, until the block ends; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                accepted.append(connection)
                threading.Thread(target=_quietly, args=(behave, connection), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            for connection in accepted:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


def _quietly(behave: Callable[[socket.socket], None], connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        behave(connection)
