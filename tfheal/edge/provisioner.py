"""Runs the commands by which slices are made anew: on this machine, without a shell, and not for ever."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tfheal.base import untrusted
from tfheal.edge import local
from tfheal.model.ports import Said

_OURSELVES: Final = "tfheal"
_KEPT: Final = 65_536


class LocalProvisioners:
    """The provisioners port over programs of this machine."""

    def __init__(self, root: Path) -> None:
        """Find relative programs from the root of the workspace, which is also told to them."""
        self._root = root

    def run(self, argv: Sequence[str], timeout: float) -> Said:
        """Run a command without a shell and return what it said; raise ActionFailed if it cannot start or takes too long."""
        program, *words = argv
        # Our own name means this very program, also where it is not on the path (cron).
        found = [sys.executable, "-m", _OURSELVES] if program == _OURSELVES else [self._found(program)]
        reply = local.run([*found, *words], timeout=timeout, environment={"TFHEAL_WORKSPACE": str(self._root)})
        return Said(untrusted.text(reply.stdout + b"\n" + reply.stderr, _KEPT).strip(), reply.status)

    def _found(self, program: str) -> str:
        return str(self._root / program) if "/" in program else program
