"""Who is measured against whom: each contender is told of the hosts in its own words, and asked in its own way."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spent import Command

from tfheal.core.probe import machine
from tfheal.core.probe.script import composed

ROOT: Final = Path(__file__).resolve().parents[2]
TOGETHER: Final = 32  # tfheal's own default; the others get what serves them best
_CURVE: Final = "curve25519-sha256"


@dataclass(frozen=True, slots=True)
class Host:
    """One SSH server as every contender needs it."""

    name: str
    address: str
    port: int
    host_key: str


@dataclass(frozen=True, slots=True)
class Bench:
    """Where it is done: the folder of the run, the peers' programs, the key of all slices, and how many forks Ansible has."""

    folder: Path
    programs: Path
    key: Path
    forks: int = 25

    def of(self, name: str) -> Path:
        """Return a folder of its own for something."""
        made = self.folder / name
        made.mkdir(parents=True, exist_ok=True)
        return made


def hosts(workspace: Path) -> tuple[Host, ...]:
    """Return the slices of a lab's workspace, in the order of their numbers."""
    pins = dict(line.split(" ", 1) for line in (workspace / "known_hosts").read_text().splitlines() if line[:1] == "s")
    listed = tomllib.loads((workspace / "inventory.toml").read_text())["slices"]
    found = (Host(name, each["address"], each.get("port", 22), pins[name]) for name, each in listed.items())
    return tuple(sorted(found, key=lambda host: int(host.name[1:])))


def ssh(bench: Bench, host: Host, script: str, sent: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    """Run a script on a host with the bare client, and return how that went."""
    said = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", f"KexAlgorithms={_CURVE}", "LogLevel=ERROR")
    options = (word for option in said for word in ("-o", option))
    argv = ("ssh", "-F", "none", "-i", str(bench.key), *options, f"root@{host.address}", script)
    return subprocess.run(argv, input=sent, capture_output=True, check=False, timeout=600)


def tfheal(bench: Bench, which: Sequence[Host]) -> Command:
    """Return `tfheal status` over some hosts, in a workspace of nothing else."""
    folder = workspace(bench.of(f"tfheal-{len(which)}"), which, bench.key)
    return program(folder, "status", "--json")


def program(folder: Path, *words: str, well: frozenset[int] = frozenset({0})) -> Command:
    """Return a command line of tfheal in a workspace."""
    return Command((sys.executable, "-m", "tfheal", *words), folder, {"PYTHONPATH": str(ROOT)}, well)


def workspace(folder: Path, which: Sequence[Host], key: Path, settings: str = "") -> Path:
    """Write a workspace that holds some hosts and no app."""
    entries = [
        f'[slices.{host.name}]\nowner = "all"\naddress = "{host.address}"\nport = {host.port}\nkey = "{key}"\n'
        for host in which
    ]
    (folder / "tfheal.toml").write_text(settings)
    (folder / "inventory.toml").write_text("\n".join(["[owners.all]\n", *entries]))
    (folder / "known_hosts").write_text("".join(f"{host.name} {host.host_key}\n" for host in which))
    return folder


def lean(bench: Bench, which: Sequence[Host]) -> Command:
    """Return the lean loop over some hosts, with the script that tfheal sends."""
    folder = bench.of(f"lean-{len(which)}")
    (folder / "script").write_text(_probe())
    asked = {
        "key": str(bench.key),
        "script": str(folder / "script"),
        "together": TOGETHER,
        "hosts": [
            {"name": host.name, "address": host.address, "port": host.port, "host_key": host.host_key} for host in which
        ],
    }
    (folder / "hosts.json").write_text(json.dumps(asked))
    return Command((sys.executable, str(Path(__file__).with_name("lean.py")), "hosts.json"), folder, {})


def pyinfra(bench: Bench, which: Sequence[Host]) -> Command:
    """Return pyinfra, running one command on some hosts."""
    return _pyinfra(bench, which, "true")


def pyinfra_probe(bench: Bench, which: Sequence[Host]) -> Command:
    """Return pyinfra, running the script that tfheal sends."""
    return _pyinfra(bench, which, _probe())


def _pyinfra(bench: Bench, which: Sequence[Host], script: str) -> Command:
    folder = pyinfra_inventory(bench, which, bench.of(f"pyinfra-{len(which)}"))
    words = (str(bench.programs / "pyinfra"), "-y", "--parallel", str(TOGETHER), "inventory.py", "exec", "--", script)
    return Command(words, folder, {})


def _probe() -> str:
    return composed((machine.QUESTION, machine.UPDATES), "0123456789abcdef" * 2, 40.0)


def pyinfra_inventory(bench: Bench, which: Sequence[Host], folder: Path) -> Path:
    """Write pyinfra's inventory into a folder, and return the folder."""
    _pins_by_address(folder, which)
    listed = [(host.name, {"ssh_hostname": host.address, "ssh_port": host.port}) for host in which]
    common = {
        "ssh_user": "root",
        "ssh_key": str(bench.key),
        "ssh_known_hosts_file": str(folder / "known_hosts"),
        "ssh_strict_host_key_checking": "yes",
        "ssh_allow_agent": False,
        "ssh_look_for_keys": False,
    }
    (folder / "inventory.py").write_text(f"slices = ({listed!r}, {common!r})\n")
    return folder


def raw(bench: Bench, which: Sequence[Host]) -> Command:
    """Return Ansible, running one command on some hosts without Python there."""
    return _ansible(bench, which, "raw", "-a", "true")


def ping(bench: Bench, which: Sequence[Host]) -> Command:
    """Return Ansible, running its smallest module on some hosts."""
    return _ansible(bench, which, "ping")


def _ansible(bench: Bench, which: Sequence[Host], module: str, *words: str) -> Command:
    folder = ansible_inventory(bench, which, bench.of(f"ansible-{len(which)}"))
    argv = (str(bench.programs / "ansible"), "all", "-o", "-m", module, *words)
    return Command(argv, folder, ansible_environment(bench, folder))


def ansible_inventory(bench: Bench, which: Sequence[Host], folder: Path) -> Path:
    """Write Ansible's inventory and configuration into a folder, tuned as its manual says, and return the folder.

    The key exchange is the one that all others use: OpenSSH's own default may be a post-quantum one that costs more.
    """
    _pins_by_address(folder, which)
    sockets = bench.of("sockets")
    lines = [f"{host.name} ansible_host={host.address} ansible_port={host.port}" for host in which]
    common = f"ansible_user=root ansible_ssh_private_key_file={bench.key} ansible_python_interpreter=/usr/bin/python3"
    lines += ["[all:vars]", *common.split()]
    (folder / "hosts").write_text("\n".join(lines) + "\n")
    options = f"-F none -o ControlMaster=auto -o ControlPersist=60s -o KexAlgorithms={_CURVE}"
    options += f" -o UserKnownHostsFile={folder / 'known_hosts'} -o IdentitiesOnly=yes"
    (folder / "ansible.cfg").write_text(
        f"[defaults]\ninventory = hosts\nforks = {bench.forks}\ngathering = explicit\nretry_files_enabled = False\n"
        f"[ssh_connection]\npipelining = True\nssh_args = {options}\ncontrol_path_dir = {sockets}\n"
    )
    return folder


def ansible_environment(bench: Bench, folder: Path) -> dict[str, str]:
    """Return what Ansible finds in its environment."""
    path = f"{bench.programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"ANSIBLE_CONFIG": str(folder / "ansible.cfg"), "ANSIBLE_HOME": str(bench.of("home")), "PATH": path}


def _pins_by_address(folder: Path, which: Sequence[Host]) -> None:
    (folder / "known_hosts").write_text("".join(f"{host.address} {host.host_key}\n" for host in which))


CONTENDERS: Final[dict[str, Callable[[Bench, Sequence[Host]], Command]]] = {
    "lean loop": lean,
    "tfheal status": tfheal,
    "pyinfra exec": pyinfra,
    "pyinfra exec, the same script": pyinfra_probe,
    "ansible raw": raw,
    "ansible ping": ping,
}
