"""The port of a package index, which knows of versions that no playbook lists yet."""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol


class Index(Protocol):
    """What an index of packages was seen to have: information, by which nothing is done."""

    def ask(self, packages: Collection[str], now: datetime) -> None:
        """Ask for the versions of packages, each at most once a day, and keep them; what cannot be asked is left as it is known."""
        ...

    def versions(self, package: str) -> tuple[str, ...]:
        """Return the versions of a package that were there when it was last asked for."""
        ...
