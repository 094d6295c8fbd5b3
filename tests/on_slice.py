"""Steps on a real slice: run as the product runs them, and killed at every command on the way."""

import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tfheal.core.resources import Step

_SHIM = """#!/bin/sh
# Stands in front of a command: counts down, and at nought kills the whole group of the script that called it.
read -r left </run/kill-at
left=$((left - 1))
echo "$left" >/run/kill-at
if [ "$left" -eq 0 ]; then kill -9 "-$(ps -o pgid= -p $$ | tr -d ' ')"; fi
exec "$(PATH=/usr/sbin:/usr/bin command -v NAME)" "$@"
"""
# Not what runs beside another command in a pipe: two that count at one time would miscount.
_COMMANDS = (
    *("cat", "chmod", "chown", "find", "ln", "mkdir", "mv", "nft", "rm", "rmdir", "sha256sum"),
    *("stat", "sync", "systemctl", "touch", "unshare", "useradd", "usermod"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """How a script ended, and what it said."""

    status: int
    said: str


@dataclass(frozen=True, slots=True)
class OnSlice:
    """One slice, over the OpenSSH client with one shared connection."""

    ssh: tuple[str, ...]

    def sh(self, script: str, *, timeout: float = 60.0, prefix: str = "") -> Answer:
        """Run a script as root, with nothing on the stdin of its commands."""
        ran = subprocess.run(
            [*self.ssh, f"{prefix} timeout {timeout:g} sh"],
            input=f"{{\n{script}\n}} </dev/null\n",
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout + 10,
        )
        return Answer(ran.returncode, ran.stdout + ran.stderr)

    def do(self, script: str) -> str:
        """Run a script that has to work, and return what it said."""
        answer = self.sh(f"set -e\n{script}")
        assert answer.status == 0, answer
        return answer.said

    def end(self) -> None:
        """Close the shared connection."""
        subprocess.run([*self.ssh, "-O", "exit"], capture_output=True, check=False, timeout=10)

    def check(self, step: Step) -> Answer:
        """Ask whether it is as wanted."""
        return self.sh(step.check, timeout=step.check_timeout)

    def apply(self, step: Step) -> Answer:
        """Make it as wanted."""
        return self.sh(step.apply, timeout=step.timeout)

    def remove(self, step: Step) -> Answer:
        """Take it away."""
        assert step.remove is not None
        return self.sh(step.remove, timeout=step.timeout)

    def is_ok(self, step: Step) -> None:
        """Demand that all is as wanted."""
        assert self.check(step) == Answer(0, ""), step.id

    def differs(self, step: Step, detail: str) -> None:
        """Demand that it differs, and that the detail says how."""
        answer = self.check(step)
        assert (answer.status, detail in answer.said) == (1, True), answer

    def done(self, step: Step) -> None:
        """Make it as wanted, and demand that it then is."""
        answer = self.apply(step)
        assert answer.status == 0, answer
        self.is_ok(step)

    def heals(self, step: Step, damage: str, detail: str) -> None:
        """Damage it, demand that the check says how, and that the apply puts it right."""
        self.do(damage)
        self.differs(step, detail)
        self.done(step)

    def refuses(self, step: Step, why: str) -> None:
        """Demand that the apply fails and says why."""
        answer = self.apply(step)
        assert answer.status not in {0, 124}, answer
        assert why in answer.said, answer

    def killed_everywhere(self, step: Step, before: str, intact: str, *, first: int = 1, every: int = 1) -> int:
        """Kill the apply at its first command, its second, … until it gets through; return at which it did.

        `before` sets the scene each time; after each kill `intact` must hold, and a plain apply must finish the work.
        """
        shims = "\n".join(f"sed s/NAME/{name}/ /run/shim >/usr/local/sbin/{name}" for name in _COMMANDS)
        inside = " ".join(f"/usr/local/sbin/{name}" for name in _COMMANDS)
        for count in range(first, 200, every):
            self.do(before)
            self.do(
                f"printf %s {shlex.quote(_SHIM)} >/run/shim\n{shims}\nchmod 755 {inside}\necho {count} >/run/kill-at"
            )
            answer = self.sh(step.apply, timeout=step.timeout, prefix="setsid -w")
            self.sh(f"/usr/bin/rm -f {inside}")
            assert self.sh(intact).status == 0, (count, answer)
            if answer.status == 0:
                self.is_ok(step)
                return count
            self.done(step)
        raise AssertionError(step.id)


def on_slice(address: str, key: Path, known_hosts: Path, alias: str, control: Path) -> OnSlice:
    """Return a slice that is reached with this key and these pinned host keys."""
    options = {
        "UserKnownHostsFile": known_hosts,
        "HostKeyAlias": alias,
        "ControlMaster": "auto",
        "ControlPath": control,
        "ControlPersist": "60",
        "IdentitiesOnly": "yes",
        "LogLevel": "ERROR",
    }
    words = tuple(word for name, value in options.items() for word in ("-o", f"{name}={value}"))
    return OnSlice(("ssh", "-i", str(key), *words, f"root@{address}"))
