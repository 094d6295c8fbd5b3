"""Every error that tfheal raises on purpose. Foreign exceptions become one of these at the edge that met them.

TfhealError                    exit
├── UsageError                 2    a flag, an argument, a question without a terminal
│   └── ConfigError            2    mistakes in files, all of them at once
├── Refused                    6    lease held, paused by the owner, not permitted, wiped slice
├── NeedsHuman                 7    the ladder is at its end, or data is at risk
├── Unreachable                4    the slice could not be asked
│   ├── ConnectFailed               no connection: refused, no route, time-out, a name that does not resolve
│   ├── LoginFailed                 connected, but no key of ours was accepted
│   ├── ConnectionLost              it was there, and went away or fell silent
│   └── NotChecked                  the round ended before its answer came
├── HostKeyMismatch            3    the key is not the pinned one: an incident, never accepted by itself
├── ActionFailed               5    tried, and it did not work
│   ├── RemoteTimeout               outlived its time-out, and was ended
│   └── BadReply                    the answer of a slice does not parse
├── Bug                        1    a mistake of tfheal itself; a report is in a file
└── Interrupted                130  Ctrl-C, or 143 for SIGTERM
"""

from dataclasses import dataclass
from typing import ClassVar

from tfheal.base.exits import Exit


class TfhealError(Exception):
    """An error in four parts: what happened, where, why, and what to do about it."""

    exit: ClassVar[Exit] = Exit.FAILED

    def __init__(self, what: str, *, where: str = "", why: str = "", hint: str = "") -> None:
        """Keep the four parts; all but `what` may be empty, none may hold a secret."""
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        """Return the parts on one line, as a log wants them."""
        place = f"{self.where}: " if self.where else ""
        reason = f": {self.why}" if self.why else ""
        remedy = f" ({self.hint})" if self.hint else ""
        return f"{place}{self.what}{reason}{remedy}"


class UsageError(TfhealError):
    """The command line is wrong; nothing was touched."""

    exit = Exit.USAGE


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in a file: where, which key, what was found, what is allowed, what to do."""

    file: str
    line: int
    column: int
    key: str
    what: str
    hint: str = ""


class ConfigError(UsageError):
    """One or more files hold mistakes; nothing was touched."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        """Keep all mistakes, in the order of files and lines."""
        count = len(mistakes)
        super().__init__(f"{count} mistake{'s' if count != 1 else ''} in the files of the workspace")
        self.mistakes = mistakes


class Refused(TfhealError):
    """It is not permitted now; the message says which rule, since when, and what would lift it."""

    exit = Exit.REFUSED


class NeedsHuman(TfhealError):
    """The ladder is at its end, or data is at risk."""

    exit = Exit.HUMAN


class Unreachable(TfhealError):
    """The slice could not be asked: it is unknown, not down."""

    exit = Exit.UNKNOWN


class ConnectFailed(Unreachable):
    """No connection came about."""


class LoginFailed(Unreachable):
    """Connected, but not let in."""


class ConnectionLost(Unreachable):
    """The connection went away, or fell silent past its deadline."""


class NotChecked(Unreachable):
    """The round had to end before its answer came."""


class HostKeyMismatch(TfhealError):
    """The slice shows another host key than the pinned one."""

    exit = Exit.FINDINGS


class ActionFailed(TfhealError):
    """It was tried and it failed."""

    exit = Exit.FAILED


class RemoteTimeout(ActionFailed):
    """A command outlived its time-out and was ended on the slice."""


class BadReply(ActionFailed):
    """What the slice answered cannot be read."""


class Interrupted(TfhealError):
    """Ended by the operator; what was begun is journaled."""

    exit = Exit.INTERRUPTED


class Bug(TfhealError):
    """A mistake of tfheal itself."""

    exit = Exit.BUG
