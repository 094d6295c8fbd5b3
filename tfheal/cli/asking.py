"""Questions to the person at the terminal; without one, the error names the flag that answers."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from tfheal.base.errors import Refused, UsageError

if TYPE_CHECKING:
    from tfheal.model.plan import Plan


def consent(*, yes: bool, otherwise: str = "--yes says yes") -> Callable[[str], bool]:
    """Return who answers a question: --yes, else the person at the terminal; without one, raise UsageError."""

    def ask(question: str) -> bool:
        if yes:
            return True
        if not sys.stdin.isatty():
            raise UsageError("a question has to be asked, and there is no terminal", why=question, hint=otherwise)
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    return ask


def agreed(question: str, *, yes: bool, otherwise: str = "--yes says yes") -> None:
    """Ask a question that must be answered with yes; raise Refused otherwise."""
    if not consent(yes=yes, otherwise=otherwise)(question):
        raise Refused("you said no", hint="nothing was touched")


def consent_to(show: "Callable[[Plan], None]", *, auto: bool) -> "Callable[[Plan], bool]":
    """Return who agrees to a plan: --auto, else the person at the terminal, who is shown it first."""

    def agree(plan: "Plan") -> bool:
        if auto:
            return True
        if not sys.stdin.isatty():
            raise UsageError("heal has to ask, and there is no terminal", hint="--auto never asks, --plan only shows")
        show(plan)
        return consent(yes=False)("do this?")

    return agree
