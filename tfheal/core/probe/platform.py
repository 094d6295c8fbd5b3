"""What kind of machine a slice is: asked once, when it is added, to refuse what cannot be managed and say why."""

import re
from typing import Final

from tfheal.base import untrusted
from tfheal.base.errors import BadReply
from tfheal.core.probe.script import Answer, Question
from tfheal.model.slices import Platform

OLDEST_SYSTEMD: Final = 252
_FAMILY: Final = frozenset({"debian", "ubuntu"})
_TESTED: Final = frozenset({("debian", "13"), ("ubuntu", "24.04")})
_MACHINES: Final = frozenset({"x86_64", "aarch64"})
_WORD_CAP: Final = 120

# os-release is read and not sourced: it is the owner's file.
_SCRIPT: Final = """\
echo "uid $(id -u)"
read -r init </proc/1/comm; echo "init $init"
systemctl --version 2>/dev/null | { read -r _ version _; echo "systemd $version"; }
echo "machine $(uname -m)"
while IFS= read -r line; do
  case $line in ID=*|ID_LIKE=*|VERSION_ID=*|PRETTY_NAME=*) echo "release $line";; esac
done </etc/os-release
"""
QUESTION: Final = Question("platform", _SCRIPT, timeout=10.0, cap=8_192)


def platform(answer: Answer | None) -> Platform:
    """Given the answer, return the platform; raise BadReply if there is none."""
    if answer is None or answer.timed_out:
        raise BadReply("it did not say what it is", why="the question outlived its time-out")
    said: dict[str, str] = {}
    for line in untrusted.text(answer.output, QUESTION.cap).split("\n"):
        word, _, rest = line.partition(" ")
        if word == "release":
            word, _, rest = rest.partition("=")
        said.setdefault(word, untrusted.line(rest.strip().strip("\"'"), _WORD_CAP))
    version = re.match(r"\d{1,5}", said.get("systemd", ""))
    return Platform(
        uid=said.get("uid", ""),
        init=said.get("init", ""),
        systemd=int(version[0]) if version else 0,
        machine=said.get("machine", ""),
        system=said.get("ID", ""),
        like=said.get("ID_LIKE", ""),
        version=said.get("VERSION_ID", ""),
        title=said.get("PRETTY_NAME", "") or said.get("ID", "") or "an unknown system",
    )


def obstacle(found: Platform) -> tuple[str, str] | None:
    """Given a platform, return why it cannot be managed and what would help, or None if it can."""
    if found.uid != "0":
        return "commands do not run as root there", "log in as root, or permit sudo without a password"
    if found.init == "zinit" or "zinit" in found.init:
        return "its init is zinit, not systemd", "deploy a full virtual machine (an image with its own kernel) instead"
    if found.init != "systemd":
        return f"its init is {found.init or 'unknown'}, not systemd", "deploy a Debian or Ubuntu machine with systemd"
    if found.systemd < OLDEST_SYSTEMD:
        had = f"systemd {found.systemd}" if found.systemd else "a systemd that does not tell its version"
        return f"it has {had}; {OLDEST_SYSTEMD} or newer is needed", "upgrade it to Debian 12, Ubuntu 24.04 or newer"
    if not _FAMILY & {found.system, *found.like.split()}:
        return f"it runs {found.title}; Debian or Ubuntu is needed", "deploy a Debian or Ubuntu machine"
    return None


def reservations(found: Platform) -> tuple[str, ...]:
    """Given a platform that can be managed, return what has not been tried about it."""
    untried = []
    if (found.system, found.version) not in _TESTED:
        untried.append(f"{found.title} is untried; Debian 13 is tested, Ubuntu 24.04 intended")
    if found.machine not in _MACHINES:
        untried.append(f"{found.machine or 'an unknown'} processor is untried")
    return tuple(untried)
