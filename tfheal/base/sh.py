"""Shell text is built here and nowhere else, so that quoting is one decision."""

import base64
import binascii
import re
from typing import Final

_SAFE: Final = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")


def quote(text: str) -> str:
    """Given any text without NUL, return it as one word of POSIX sh; raise ValueError on NUL."""
    if "\0" in text:
        msg = "NUL cannot be passed to a shell"
        raise ValueError(msg)
    return text if _SAFE.fullmatch(text) else "'" + text.replace("'", "'\"'\"'") + "'"


def join(*words: str) -> str:
    """Given the words of a command, return them quoted and joined by spaces."""
    return " ".join(quote(word) for word in words)


def decoded(data: bytes) -> str:
    """Given bytes, return the command that writes exactly these to stdout, keeping them off every argv.

    `printf` is a builtin of dash, bash and busybox sh, so its operand is in no process list.
    """
    return f"printf %s {quote(base64.b64encode(data).decode())} | base64 -d"


def unencoded(data: bytes) -> bytes | None:
    """Given base64 from a slice, return the bytes it stands for, None if it is not base64."""
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        return None
