"""What was published of apps, kept in the journal."""

from tfheal.edge.journal import SqliteJournal
from tfheal.model.publication import Publication


class JournalPublications:
    """The publications port over the journal."""

    def __init__(self, journal: SqliteJournal) -> None:
        """Keep them in that journal."""
        self._database = journal.database

    def of(self, app: str) -> tuple[Publication, ...]:
        """Return what was published of an app."""
        return tuple(
            Publication(row["app"], row["way"], row["host"], tuple(row["addresses"].split()), bool(row["done"]))
            for row in self._database.rows("published", app=app)
        )

    def put(self, publication: Publication) -> None:
        """Record what is published from now on; without addresses it is forgotten."""
        named = {"app": publication.app, "way": publication.way, "host": publication.host}
        with self._database.atomic():
            if publication.addresses:
                self._database.change(
                    "put_published", **named, addresses=" ".join(publication.addresses), done=int(publication.done)
                )
            else:
                self._database.change("drop_published", **named)
