"""Upgrades in the journal's file, and the version of an app in its spec."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from tfheal.base import untrusted
from tfheal.base.errors import ActionFailed, UsageError
from tfheal.edge.disk import read_text, replace_file
from tfheal.edge.journal import SqliteJournal
from tfheal.edge.rows import moment, moment_or_none, written, written_or_none
from tfheal.model.upgrade import Rollout, Upgrade


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
                strategy=upgrade.strategy,
                served=int(upgrade.served),
                usual_requests=upgrade.usual[0],
                usual_failed=upgrade.usual[1],
            )

    def last(self, app: str) -> Upgrade | None:
        """Return the last upgrade of an app, None if there was none."""
        for row in self._database.rows("last_upgrade", app=app):
            words = {key: row[key] for key in ("id", "app", "old", "new", "state", "backup", "detail", "strategy")}
            usual = (row["usual_requests"], row["usual_failed"])
            return Upgrade(started=moment(row["started"]), served=bool(row["served"]), usual=usual, **words)
        return None

    def took(self, command: str) -> float | None:
        """Return for how many seconds the last run of a command went that came to a good end, None if none did."""
        for row in self._database.rows("last_took", command=command):
            return (moment(row["ended"]) - moment(row["started"])).total_seconds()
        return None

    def put_rollout(self, rollout: Rollout) -> None:
        """Add an upgrade of many apps, or replace what is known of the one with its id."""
        with self._database.atomic():
            self._database.change(
                "put_rollout",
                id=rollout.id,
                playbook=rollout.playbook,
                version=rollout.version,
                state=rollout.state,
                started=written(rollout.started),
                waves=json.dumps(rollout.waves),
                outcomes=json.dumps(dict(rollout.outcomes)),
                rests=written_or_none(rollout.rests),
                detail=untrusted.text(rollout.detail),
            )

    def last_rollout(self, playbook: str) -> Rollout | None:
        """Return the last upgrade of many apps of a playbook, None if there was none."""
        for row in self._database.rows("last_rollout", playbook=playbook):
            return Rollout(
                id=row["id"],
                playbook=row["playbook"],
                version=row["version"],
                state=row["state"],
                started=moment(row["started"]),
                waves=tuple(tuple(wave) for wave in json.loads(row["waves"])),
                outcomes=json.loads(row["outcomes"]),
                rests=moment_or_none(row["rests"]),
                detail=row["detail"],
            )
        return None

    def note_listed(self, playbook: str, versions: Mapping[str, str], now: datetime) -> None:
        """Record since when a playbook lists its versions, each with the digest of its lock; what it lists no more is forgotten."""
        known = {row["version"]: row["lock"] for row in self._database.rows("listed", playbook=playbook)}
        if known == versions:
            return
        with self._database.atomic():
            for version in known.keys() - versions.keys():
                self._database.change("drop_listed", playbook=playbook, version=version)
            for version, lock in versions.items():
                if known.get(version) != lock:
                    self._database.change(
                        "put_listed", playbook=playbook, version=version, lock=lock, since=written(now)
                    )

    def listed(self, playbook: str) -> Mapping[str, datetime]:
        """Return since when each version of a playbook is known to be listed, with the lock that was noted last."""
        return {row["version"]: moment(row["since"]) for row in self._database.rows("listed", playbook=playbook)}


_VERSION: Final = re.compile(r"^(version:[ \t]*)(\"[^\"\n]*\"|'[^'\n]*'|[^\s#]+)([ \t]*(?:#.*)?)$", re.MULTILINE)


def _at(version: str, text: str) -> str:
    """Given the text of a spec, return it with another version; raise UsageError where the line of that is not to be found."""
    found = list(_VERSION.finditer(text))
    if len(found) != 1:
        raise UsageError("the line of its version is not to be found")
    (line,) = found
    same = line[2].strip("\"'") == version
    return text if same else f'{text[: line.start()]}{line[1]}"{version}"{line[3]}{text[line.end() :]}'


class SpecFiles:
    """The app specs of a workspace, changed in place."""

    def __init__(self, root: Path) -> None:
        """Change the specs in `apps/` of that folder."""
        self._folder = root / "apps"

    def put_version(self, app: str, version: str) -> None:
        """Write the version of an app into its spec; raise ActionFailed where that cannot be read or written, or has no such line.

        What is deployed is that version already: it is no mistake by which nothing was touched.
        """
        path = self._folder / f"{app}.yaml"
        try:
            text = self._text(app)
            if (changed := _at(version, text)) != text:
                replace_file(path, changed.encode())
        except UsageError as error:
            hint = f'write version: "{version}" into it, which is what is deployed now, and say the same once more'
            raise ActionFailed("its version was not written", where=str(path), why=str(error), hint=hint) from error

    def takes_version(self, app: str) -> bool:
        """Return whether the line of the version of an app is to be found in its spec; raise ConfigError where that cannot be read."""
        return len(_VERSION.findall(self._text(app))) == 1

    def _text(self, app: str) -> str:
        return read_text(self._folder / f"{app}.yaml", f"apps/{app}.yaml")
