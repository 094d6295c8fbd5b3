"""A lab for tests: made by the product itself, as a user makes one, and reached as a user reaches it."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LABS = Path("/var/lib/tfheal-lab")
GROUPS = Path("/sys/fs/cgroup")
_OURS = re.compile(r"pytest-(\d+)-(\d+)(-\w+)?")


@dataclass(frozen=True, slots=True)
class RunningLab:
    """One lab, its workspace, and the slices s1, s2, … in it; `around` is put before every command."""

    name: str
    workspace: Path
    around: tuple[str, ...] = ()

    @property
    def key(self) -> Path:
        """Return the private key that the slices let in."""
        return self.workspace / f".tfheal/lab/{self.name}/id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """Return the pinned host keys, by the names of the slices."""
        return self.workspace / "known_hosts"

    def run(self, *words: str, check: int | None = 0, timeout: float = 300.0) -> subprocess.CompletedProcess[str]:
        """Run `tfheal` in the workspace, and demand its exit code, unless `check` is None."""
        ran = subprocess.run(
            self.command(*words), cwd=self.workspace, capture_output=True, text=True, check=False, timeout=timeout
        )
        assert check in {None, ran.returncode}, f"exit {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        return ran

    def command(self, *words: str) -> list[str]:
        """Return the command line that runs `tfheal`."""
        place = f"TFHEAL_WORKSPACE={self.workspace}"  # whoever enters another mount namespace stands at its root
        return [*self.around, "env", place, sys.executable, "-m", "tfheal", *words]

    def do(self, verb: str, *words: str, check: int | None = 0) -> dict[str, Any]:
        """Run `tfheal lab VERB` on this lab, and return its document."""
        named = () if verb in {"list", "faults"} else ("--name", self.name)
        return dict(json.loads(self.run("lab", verb, *words, *named, "--json", check=check).stdout))

    def slices(self) -> dict[str, dict[str, Any]]:
        """Return the slices as `lab list` has them, by name."""
        labs = {lab["lab"]: lab for lab in self.do("list")["labs"]}
        return {each["slice"]: each for each in labs[self.name]["slices"]} if self.name in labs else {}

    def on(self, name: str, script: str, *, check: int | None = 0) -> str:
        """Run a script of sh on a slice over SSH, and return what it wrote to stdout; demand its status, if any."""
        ran = subprocess.run(
            [*self.around, *self.ssh(name), "--", script],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300.0,
        )
        assert check in {None, ran.returncode}, f"status {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    def address(self, name: str) -> str:
        """Return the address of a slice, as the inventory has it."""
        return str(tomllib.loads((self.workspace / "inventory.toml").read_text())["slices"][name]["address"])

    def ssh(self, name: str) -> tuple[str, ...]:
        """Return the command line that goes to a slice, by its pinned key alone."""
        known = (f"UserKnownHostsFile={self.known_hosts}", f"HostKeyAlias={name}", "StrictHostKeyChecking=yes")
        options = (*known, "ConnectTimeout=5", "LogLevel=ERROR")
        flags = (word for option in options for word in ("-o", option))
        return ("ssh", "-F", "/dev/null", "-i", str(self.key), *flags, f"root@{self.address(name)}")


def new_workspace(folder: Path) -> Path:
    """Make the least workspace in a folder, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("tfheal.toml", "inventory.toml"):
        (folder / name).touch()
    return folder


def name_of_ours(suffix: str = "") -> str:
    """Return the name of a lab that is this test run's, and that a later run knows as left behind."""
    return f"pytest-{os.getpid()}-{_start_of(os.getpid())}{f'-{suffix}' if suffix else ''}"


def clear_left_behind(scratch: Path) -> None:
    """Take down the labs of test runs that were killed."""
    for name in set(_labs()):
        ours = _OURS.fullmatch(name)
        if ours and _start_of(int(ours[1])) != ours[2]:
            RunningLab(name, new_workspace(scratch / name)).run("lab", "down", "--name", name)


def _labs() -> Iterator[str]:
    for folder in (LABS, *GROUPS.glob("tfheal-lab"), *GROUPS.glob("*/tfheal-lab")):
        if folder.is_dir():
            yield from (path.name for path in folder.iterdir() if path.is_dir())


def _start_of(process: int) -> str:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
