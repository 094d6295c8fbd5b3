"""The catalogue of backups, kept in the journal's file: it alone says which snapshots are ours, and which are good."""

import json
from dataclasses import asdict

from tfheal.base import untrusted
from tfheal.edge.database import Row
from tfheal.edge.journal import SqliteJournal
from tfheal.edge.rows import moment, moment_or_none, written, written_or_none
from tfheal.model.backup import Backup, Part
from tfheal.model.copied import Copied
from tfheal.model.drill import Drill, DrillStep
from tfheal.model.pruning import Pruning
from tfheal.model.verification import Verification


class JournalCatalogue:
    """The catalogue port over the journal."""

    def __init__(self, journal: SqliteJournal) -> None:
        """Keep the catalogue in that journal."""
        self._database = journal.database

    def put(self, backup: Backup) -> None:
        """Add a backup, or replace what is known of the one with its id."""
        with self._database.atomic():
            self._database.change(
                "put_backup",
                id=backup.id,
                app=backup.app,
                store=backup.store,
                started=written(backup.started),
                received=written_or_none(backup.received),
                state=backup.state,
                held=int(backup.held),
                drilled=written_or_none(backup.drilled),
                detail=untrusted.text(backup.detail),
                let_go=written_or_none(backup.let_go),
                said=written_or_none(backup.said),
                damaged=written_or_none(backup.damaged),
            )
            self._database.change("drop_backup_parts", backup=backup.id)
            for position, part in enumerate(backup.parts):
                self._database.change("put_backup_part", backup=backup.id, position=position, **_columns(part))

    def backups(self, app: str | None = None) -> list[Backup]:
        """Return all backups (of one app), oldest first."""
        parts: dict[str, list[Part]] = {}
        for row in self._database.rows("backup_parts", app=app):
            parts.setdefault(row["backup"], []).append(_part(row))
        return [_backup(row, tuple(parts.get(row["id"], ()))) for row in self._database.rows("backups", app=app)]

    def put_drill(self, drill: Drill) -> None:
        """Add a drill; the backup that passed it, or was found damaged by it, is marked so in the same transaction."""
        with self._database.atomic():
            self._database.change(
                "put_drill",
                id=drill.id,
                app=drill.app,
                backup=drill.backup,
                at=written(drill.at),
                state=drill.state,
                seconds=drill.seconds,
                steps=json.dumps([asdict(step) for step in drill.steps]),
                detail=untrusted.text(drill.detail),
            )
            if drill.state == "passed":
                self._database.change("mark_drilled", backup=drill.backup, at=written(drill.at))
            if drill.state == "damaged":
                self._database.change("mark_damaged", backup=drill.backup, at=written(drill.at))

    def drills(self, app: str) -> list[Drill]:
        """Return the drills of an app, oldest first."""
        return [_drill(row) for row in self._database.rows("drills", app=app)]

    def verified(self, verification: Verification) -> None:
        """Add what reading a repository came to."""
        with self._database.atomic():
            self._database.change(
                "put_verification",
                app=verification.app,
                slice=verification.slice,
                at=written(verification.at),
                share=verification.share,
                sound=int(verification.sound),
                paged=int(verification.paged),
                unknown=verification.unknown,
                detail=untrusted.text(verification.detail),
                touched=json.dumps(verification.touched),
            )

    def verifications(self, app: str | None = None) -> list[Verification]:
        """Return what reading the repositories (of one app) came to, oldest first."""
        return [_verification(row) for row in self._database.rows("verifications", app=app)]

    def put_pruning(self, pruning: Pruning) -> None:
        """Add a run that deletes backups, or replace what is known of the one with its id."""
        with self._database.atomic():
            self._database.change(
                "put_pruning",
                id=pruning.id,
                app=pruning.app,
                at=written(pruning.at),
                state=pruning.state,
                backups=json.dumps(pruning.backups),
                freed=pruning.freed,
                detail=untrusted.text(pruning.detail),
            )

    def last_pruning(self, app: str) -> Pruning | None:
        """Return the last run that was to delete backups of an app, None if there was none."""
        rows = self._database.rows("last_pruning", app=app)
        return next((_pruning(row) for row in rows), None)

    def put_copied(self, copied: Copied) -> None:
        """Keep how the last copy of an app to its second store ended, in the place of what was known."""
        with self._database.atomic():
            self._database.change(
                "put_copied",
                app=copied.app,
                store=copied.store,
                at=written(copied.at),
                reached=written_or_none(copied.reached),
                detail=untrusted.text(copied.detail),
            )

    def copied(self, app: str) -> Copied | None:
        """Return how the last copy of an app to its second store ended, None if there was none."""
        rows = self._database.rows("copied", app=app)
        return next((_copied(row) for row in rows), None)


def _drill(row: Row) -> Drill:
    steps = tuple(DrillStep(**step) for step in json.loads(row["steps"]))
    return Drill(
        id=row["id"],
        app=row["app"],
        backup=row["backup"],
        at=moment(row["at"]),
        state=row["state"],
        seconds=row["seconds"],
        steps=steps,
        detail=row["detail"],
    )


def _verification(row: Row) -> Verification:
    return Verification(
        app=row["app"],
        slice=row["slice"],
        at=moment(row["at"]),
        share=row["share"],
        sound=bool(row["sound"]),
        paged=bool(row["paged"]),
        unknown=row["unknown"],
        detail=row["detail"],
        touched=tuple(json.loads(row["touched"])),
    )


def _pruning(row: Row) -> Pruning:
    return Pruning(
        id=row["id"],
        app=row["app"],
        at=moment(row["at"]),
        state=row["state"],
        backups=tuple(json.loads(row["backups"])),
        freed=row["freed"],
        detail=row["detail"],
    )


def _copied(row: Row) -> Copied:
    return Copied(
        app=row["app"],
        store=row["store"],
        at=moment(row["at"]),
        reached=moment_or_none(row["reached"]),
        detail=row["detail"],
    )


def _columns(part: Part) -> dict[str, str | int]:
    return {
        "slice": part.slice,
        "what": part.what,
        "state": part.state,
        "snapshot": part.snapshot,
        "bytes": part.bytes,
        "files": part.files,
        "added": part.added,
        "detail": untrusted.text(part.detail),
        "paths": json.dumps(part.paths),
    }


def _part(row: Row) -> Part:
    return Part(
        slice=row["slice"],
        what=row["what"],
        state=row["state"],
        snapshot=row["snapshot"],
        bytes=row["bytes"],
        files=row["files"],
        added=row["added"],
        detail=row["detail"],
        paths=tuple(json.loads(row["paths"])),
    )


def _backup(row: Row, parts: tuple[Part, ...]) -> Backup:
    return Backup(
        id=row["id"],
        app=row["app"],
        store=row["store"],
        started=moment(row["started"]),
        state=row["state"],
        parts=parts,
        received=moment_or_none(row["received"]),
        held=bool(row["held"]),
        drilled=moment_or_none(row["drilled"]),
        detail=row["detail"],
        let_go=moment_or_none(row["let_go"]),
        said=moment_or_none(row["said"]),
        damaged=moment_or_none(row["damaged"]),
    )
