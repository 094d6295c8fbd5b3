"""The pauses that this workspace knows, kept in its journal."""

from datetime import datetime

from tfheal.base import untrusted
from tfheal.edge.database import Row
from tfheal.edge.journal import SqliteJournal
from tfheal.edge.rows import moment, written
from tfheal.model.pause import Pause, PauseKind


class JournalPauses:
    """The pauses port over the journal; a pause past its end is forgotten by asking for those that are not."""

    def __init__(self, journal: SqliteJournal) -> None:
        """Keep pauses in that journal."""
        self._database = journal.database

    def keep(self, pause: Pause, now: datetime) -> None:
        """Record a pause that has an end; the one before of the same app or slice is lifted with it."""
        with self._database.atomic():
            self._database.change("lift_pauses", kind=pause.kind, name=pause.name, lifted=written(now))
            self._database.change(
                "put_pause",
                id=pause.id,
                kind=pause.kind,
                name=pause.name,
                since=written(pause.since or now),
                until=written(pause.until or now),
                who=untrusted.line(pause.who),
                why=untrusted.line(pause.why),
            )

    def lift(self, kind: PauseKind, name: str, now: datetime) -> int:
        """Record that the pause of an app or a slice is over; return how many stood."""
        with self._database.atomic():
            return self._database.change("lift_pauses", kind=kind, name=name, lifted=written(now))

    def known(self, now: datetime) -> tuple[Pause, ...]:
        """Return the pauses whose end is yet to come, those that were lifted too."""
        return tuple(_pause(row) for row in self._database.rows("pauses", now=written(now)))


def _pause(row: Row) -> Pause:
    return Pause(
        id=row["id"],
        kind=row["kind"],
        name=row["name"],
        since=moment(row["since"]),
        until=moment(row["until"]),
        who=row["who"],
        why=row["why"],
        lifted=moment(row["lifted"]) if row["lifted"] else None,
    )
