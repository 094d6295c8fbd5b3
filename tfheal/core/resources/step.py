"""A step is one resource compiled to shell: how to ask whether it is as wanted, how to make it so, how to take it away.

The bodies in this folder are constant POSIX sh. What differs from one resource to the next comes in front of them as
quoted assignments, so no value is ever part of the code, and the bodies can be read and linted as they stand.
"""

import base64
import hashlib
import posixpath
from dataclasses import dataclass
from typing import Final, Literal

from tfheal.base import sh
from tfheal.base.errors import UsageError

Effect = Literal["restart", "reload", "nothing"]

# sudo and sshd differ in what they put on the path, and the order of sort and comm must not depend on the locale.
_OPENING: Final = """\
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
export PATH LC_ALL
umask 022
"""
_CHECK_OPENING: Final = """\
problems=
problem() { problems="$problems$*
"; }
verdict() { [ -n "$problems" ] || exit 0; printf %s "$problems"; exit 1; }
differs() { printf '%s\\n' "$*"; exit 1; }
unknown() { printf '%s\\n' "$*"; exit 2; }
"""
_APPLY_OPENING: Final = """\
exec 2>&1
set -eu
fail() { printf '%s\\n' "$*"; exit 1; }
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One resource as shell.

    `check` exits 0 if all is as wanted, 1 if it differs (what it prints is the detail), and anything else if that
    cannot be known (it prints why). `apply` exits 0 when done, prints why not otherwise, and may be killed at any point
    and run again. `remove` takes away what `apply` made. A `diff` is the path and the wanted text of a file without
    secrets; its check then prints what is there as base64 in a line `current:…`.
    """

    id: str
    check: str
    apply: str
    remove: str | None
    timeout: float
    check_timeout: float = 10.0
    effect: Effect = "nothing"
    holds_data: bool = False
    diff: tuple[str, str] | None = None


def check_script(body: str, **values: str) -> str:
    """Given the constant body of a check and the values it works on, return the whole text."""
    return _OPENING + _CHECK_OPENING + _assigned(values) + body


def apply_script(body: str, **values: str) -> str:
    """Given the constant body of an apply or remove and the values it works on, return the whole text."""
    return _OPENING + _APPLY_OPENING + _assigned(values) + body


def packed(data: bytes) -> str:
    """Given bytes, return them as base64, which is how content travels in a script."""
    return base64.b64encode(data).decode()


def digest(data: bytes) -> str:
    """Given bytes, return their SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def plain_script(body: str, **values: str) -> str:
    """Given the constant body of what runs by itself and the values it works on, return the whole text; it judges each failure itself."""
    return _OPENING + _assigned(values) + body


def yes(*, said: bool) -> str:
    """Given a boolean, return the word that the bodies compare with."""
    return "yes" if said else "no"


def slice_path(path: str) -> str:
    """Given an absolute path as rendered, return its plain form; raise UsageError for one that can mislead."""
    plain = "/" + posixpath.normpath(path).lstrip("/")
    if not path.startswith("/") or ".." in path.split("/") or plain == "/" or not path.isprintable():
        raise UsageError(
            f"{path!r} is not a path for a resource", hint="an absolute path without .. and control characters"
        )
    return plain


def octal(mode: str) -> str:
    """Given a mode as `0640`, return it as stat prints it: `640`."""
    return f"{int(mode, 8):o}"


def _assigned(values: dict[str, str]) -> str:
    return "".join(f"{name}={sh.quote(value)}\n" for name, value in values.items())
