"""The owner's own way to the backups: the key that is handed over, and whether ours was taken away."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tfheal.base.exits import Exit


@dataclass(frozen=True, slots=True)
class Handover:
    """The owner's key to the repositories of an app, by slice, on a recovery sheet; sealed if its `recipient` is known.

    To the repositories that `failed` there is none, or one that was not tried: it is on the sheet all the same.
    """

    app: str
    owner: str
    recipient: str
    repositories: Mapping[str, str]
    sheet: str
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def exit(self) -> Exit:
        """Return the exit code: what was made is handed over, also where not all was."""
        return Exit.FAILED if self.failed else Exit.OK


@dataclass(frozen=True, slots=True)
class Revoked:
    """Whether we still get in: the versions `tried` by slice, the slices whose repositories are `opening`, and the guide.

    None opens: every password was wrong, and all are deleted.
    """

    app: str
    tried: Mapping[str, int]
    opening: tuple[str, ...] = ()
    guide: str = ""

    @property
    def exit(self) -> Exit:
        """Return the exit code: that we still get in is a finding."""
        return Exit.FINDINGS if self.opening else Exit.OK
