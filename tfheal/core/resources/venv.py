"""A Python environment of exact versions and hashes, in a folder that does not change once it is complete."""

import re
from typing import Final

from tfheal.core.resources.step import Step, packed
from tfheal.core.resources.tree import Tree, tree_id, tree_step
from tfheal.model.release import Release
from tfheal.model.resources import Venv, resource_id

_HASHED: Final = re.compile(
    r"--hash[= ](?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})(?:\s|$)|#\S*sha\d+="
)
_SHOWN: Final = 200  # characters of a requirement in a message
_BUILD: Final = r"""
printf %s "$lock" | base64 -d >"$place/lock.txt"
# Debian leaves ensurepip out of python3, and venv alone does not say what it lacks.
"$python" -I -m venv --without-pip "$place"
"$place/bin/python" -I -c 'import ensurepip' 2>/dev/null || fail "python3-venv is missing: the playbook's packages name it"
quietly() {
    said=$("$place/bin/python" -I -m "$@" 2>&1) && return
    why=$(printf '%s\n' "$said" | sed -n '/^ERROR/,$p' | head -n 8)
    fail "${why:-$said}"
}
quietly ensurepip --default-pip
quietly pip install --quiet --no-input --disable-pip-version-check --no-cache-dir \
    --require-hashes --only-binary :all: -r "$place/lock.txt"
"""


def step(venv: Venv, release: Release) -> Step:
    """Given a rendered environment, return its step; `current` beside `releases/` is switched when all is there."""
    return tree_step(resource_id(venv), tree_of(venv), release)


def tree_of(venv: Venv) -> Tree:
    """Given a rendered environment, return its tree."""
    values = {"lock": packed(venv.lock.encode()), "python": venv.python}
    return Tree(home=venv.home, content=_content(venv), keep=venv.keep, build=_BUILD, values=values)


def release_id(venv: Venv) -> str:
    """Return the name of the release folder: it depends on the lock and on the Python that is asked for."""
    return tree_id(_content(venv))


def unlocked(venv: Venv) -> str:
    """Given a rendered environment, return the first requirement of its lock that no hash stands for, empty if each has one."""
    for line in re.sub(r"\\\s*\n", " ", venv.lock).splitlines():
        wanted = line.partition(" #")[0].strip()
        if wanted and not wanted.startswith(("#", "-")) and not _HASHED.search(wanted):
            return wanted[:_SHOWN]
    return ""


def _content(venv: Venv) -> str:
    return f"{venv.lock}\0{venv.python}"
