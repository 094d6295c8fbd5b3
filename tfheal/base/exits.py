"""Exit codes are a contract with scripts: what each means, and which wins when several apply."""

from collections.abc import Iterable
from enum import IntEnum
from typing import Final


class Exit(IntEnum):
    """Every code that a command may end with."""

    OK = 0
    BUG = 1
    USAGE = 2
    FINDINGS = 3
    UNKNOWN = 4
    FAILED = 5
    REFUSED = 6
    HUMAN = 7
    INTERRUPTED = 130
    TERMINATED = 143


PRECEDENCE: Final = (
    Exit.INTERRUPTED,
    Exit.TERMINATED,
    Exit.BUG,
    Exit.USAGE,
    Exit.FAILED,
    Exit.HUMAN,
    Exit.REFUSED,
    Exit.FINDINGS,
    Exit.UNKNOWN,
    Exit.OK,
)


def winning(exits: Iterable[Exit]) -> Exit:
    """Given the codes that apply, return the one that wins; none at all is OK."""
    return min(exits, key=PRECEDENCE.index, default=Exit.OK)
