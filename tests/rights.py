"""Whom files refuse: root's own rights over them are laid down for a while, so that modes count for a test as for users."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_VERSION: Final = 0x20080522  # of the kernel's structures: capabilities(7)
_OVER_FILES: Final = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
_WORDS: Final = 6  # twice effective, permitted, inheritable


@contextmanager
def no_rights_over_files() -> Iterator[None]:
    """Have this thread refused what a file's mode refuses its owner; for who is not root that is so already."""
    before = _capabilities()
    _set((before[0] & ~_OVER_FILES, *before[1:]))
    try:
        yield
    finally:
        _set(before)


def _capabilities() -> tuple[int, ...]:
    words = (ctypes.c_uint32 * _WORDS)()
    _call("capget", words)
    return tuple(words)


def _set(words: tuple[int, ...]) -> None:
    _call("capset", (ctypes.c_uint32 * _WORDS)(*words))


def _call(name: str, words: ctypes.Array[ctypes.c_uint32]) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library[name]((ctypes.c_uint32 * 2)(_VERSION, 0), words) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), name)
