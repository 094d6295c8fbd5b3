"""What a store knew of the backups of an app that we did not, and what is there that nobody knows."""

from dataclasses import dataclass

from tfheal.base.exits import Exit


@dataclass(frozen=True, slots=True)
class Unknown:
    """A snapshot in the repository of a slice that no catalogue knows; its time and paths are what it says of itself."""

    slice: str
    snapshot: str
    time: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rescanned:
    """What the store of an app knew that we did not, how many backups are known now, and what nobody knows.

    `carried` are those of another store that were found here again, as copies under new ids.
    """

    app: str
    learned: int = 0
    known: int = 0
    carried: int = 0
    unknown: tuple[Unknown, ...] = ()
    failed: str = ""
    failure: Exit = Exit.OK

    @property
    def exit(self) -> Exit:
        """Return the exit code: a snapshot that nobody knows is a finding."""
        return Exit.FINDINGS if self.unknown else self.failure
