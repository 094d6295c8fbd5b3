"""Upgrades in the journal's file, and the version of an app in its spec."""

import re
from pathlib import Path

from tfheal.base import untrusted
from tfheal.base.errors import UsageError
from tfheal.edge.disk import replace_file
from tfheal.edge.journal import SqliteJournal
from tfheal.edge.rows import moment, written
from tfheal.model.upgrade import Upgrade


class JournalUpgrades:
    """The port of upgrades over the journal."""

    def __init__(self, journal: SqliteJournal) -> None:
        """Keep them in that journal."""
        self._database = journal.database

    def put(self, upgrade: Upgrade) -> None:
        """Add an upgrade, or replace what is known of the one with its id."""
        with self._database.atomic():
            self._database.change(
                "put_upgrade",
                id=upgrade.id,
                app=upgrade.app,
                old=upgrade.old,
                new=upgrade.new,
                state=upgrade.state,
                started=written(upgrade.started),
                backup=upgrade.backup,
                detail=untrusted.text(upgrade.detail),
            )

    def last(self, app: str) -> Upgrade | None:
        """Return the last upgrade of an app, None if there was none."""
        for row in self._database.rows("last_upgrade", app=app):
            words = {key: row[key] for key in ("id", "app", "old", "new", "state", "backup", "detail")}
            return Upgrade(started=moment(row["started"]), **words)
        return None


class SpecFiles:
    """The app specs of a workspace, changed in place."""

    def __init__(self, root: Path) -> None:
        """Change the specs in `apps/` of that folder."""
        self._folder = root / "apps"

    def put_version(self, app: str, version: str) -> None:
        """Write the version of an app into its spec; raise UsageError where that line is not to be found."""
        path = self._folder / f"{app}.yaml"
        text = path.read_text(encoding="utf-8")
        pattern = re.compile(r"^(version:[ \t]*)(\"[^\"\n]*\"|'[^'\n]*'|[^\s#]+)([ \t]*(?:#.*)?)$", re.MULTILINE)
        changed, count = pattern.subn(lambda found: f'{found[1]}"{version}"{found[3]}', text)
        if count != 1:
            hint = f'write version: "{version}" into it: that is what is deployed now'
            raise UsageError("the line of its version is not to be found", where=str(path), hint=hint)
        if (found := pattern.search(text)) and found[2].strip("\"'") != version:
            replace_file(path, changed.encode())
