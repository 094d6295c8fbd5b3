"""The port to the catalogue of backups: what there is, how it was drilled and read, and what was deleted."""

from typing import Protocol

from tfheal.model.backup import Backup
from tfheal.model.copied import Copied
from tfheal.model.drill import Drill
from tfheal.model.pruning import Pruning
from tfheal.model.verification import Verification


class Catalogue(Protocol):
    """What is known of backups; every method is one transaction."""

    def put(self, backup: Backup) -> None:
        """Add a backup, or replace what is known of the one with its id."""

    def backups(self, app: str | None = None) -> list[Backup]:
        """Return all backups (of one app), oldest first."""

    def put_drill(self, drill: Drill) -> None:
        """Add a drill; the backup that passed it is marked as drilled in the same transaction."""

    def drills(self, app: str) -> list[Drill]:
        """Return the drills of an app, oldest first."""

    def verified(self, verification: Verification) -> None:
        """Add what reading a repository came to."""

    def verifications(self, app: str | None = None) -> list[Verification]:
        """Return what reading the repositories (of one app) came to, oldest first."""

    def put_pruning(self, pruning: Pruning) -> None:
        """Add a run that deletes backups, or replace what is known of the one with its id."""

    def last_pruning(self, app: str) -> Pruning | None:
        """Return the last run that was to delete backups of an app, None if there was none."""

    def put_copied(self, copied: Copied) -> None:
        """Keep how the last copy of an app to its second store ended, in the place of what was known."""

    def copied(self, app: str) -> Copied | None:
        """Return how the last copy of an app to its second store ended, None if there was none."""
