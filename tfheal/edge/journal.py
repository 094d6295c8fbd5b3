"""The provider's record, kept in one SQLite file of the workspace: who did what, why, and how it ended."""

import json
import secrets
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from tfheal.base import untrusted
from tfheal.base.errors import ActionFailed
from tfheal.edge import rows
from tfheal.edge.clock import SystemClock
from tfheal.edge.database import Database, Row
from tfheal.edge.process import is_gone, is_here, this_process
from tfheal.model.findings import Health
from tfheal.model.lease import SILENCE
from tfheal.model.ports import Clock
from tfheal.model.record import (
    ActionRecord,
    Deployed,
    HealthSince,
    Incident,
    Outcome,
    Placement,
    Run,
    Silence,
    Standing,
)
from tfheal.model.release import InstanceName, Release

_DIGITS: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_DIGITS: Final = 9
_RANDOM_DIGITS: Final = 4


class SqliteJournal:
    """The journal port over SQLite; safe for threads and for several processes at once."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        """Open the journal, made if it is missing; raise one of ours if it cannot be used."""
        self.clock: Clock = clock or SystemClock()
        self.database = Database(path)
        self._lock = threading.Lock()
        self._last_id = 0

    def close(self) -> None:
        """Close the file; what was written stays."""
        self.database.close()

    def new_id(self) -> str:
        """Return a new short id; ids sort by the time they were made."""
        with self._lock:
            self._last_id = max(int(self.clock.now().timestamp() * 1_000), self._last_id + 1)
            return _digits(self._last_id, _TIME_DIGITS) + _digits(
                secrets.randbelow(len(_DIGITS) ** _RANDOM_DIGITS), _RANDOM_DIGITS
            )

    def begin_run(self, command: str, now: datetime) -> Run:
        """Record that a command starts, with this host and process."""
        me = this_process()
        run = Run(id=self.new_id(), command=command, started=now, host=me.host, pid=me.pid)
        with self.database.atomic():
            self.database.change(
                "insert_run",
                id=run.id,
                command=run.command,
                started=rows.written(now),
                host=run.host,
                pid=run.pid,
                boot=me.boot,
                process_started=me.started,
            )
        return run

    def end_run(self, run: str, exit_code: int, now: datetime) -> None:
        """Record how a run ended."""
        with self.database.atomic():
            if not self.database.change("end_run", id=run, exit=exit_code, ended=rows.written(now)):
                raise _missing("run", run)

    def intend(self, action: ActionRecord) -> None:
        """Record an action before it starts."""
        with self.database.atomic():
            self.database.change("insert_action", **rows.columns(action))

    def note(self, actions: Iterable[ActionRecord]) -> None:
        """Record actions that others took and that are over; one that is there already is left as it is."""
        with self.database.atomic():
            for action in actions:
                self.database.change("note_action", **rows.columns(action))

    def conclude(self, action: str, outcome: Outcome, detail: str, now: datetime) -> None:
        """Record how an action ended; the first outcome stands, unless it was `unknown`."""
        with self.database.atomic():
            if not self.database.change(
                "conclude_action", id=action, outcome=outcome, detail=untrusted.text(detail), ended=rows.written(now)
            ):
                raise _missing("action", action)

    def actions(self, app: str | None = None, since: datetime | None = None, limit: int = 1_000) -> list[ActionRecord]:
        """Return the newest actions, oldest first; those of one app, those started since a time."""
        after, most = rows.written_or_none(since), max(limit, 0)
        if app is None:
            found = self.database.rows("actions", since=after, limit=most)
        else:
            found = self.database.rows("actions_of_app", app=app, since=after, limit=most)
        return [rows.action(row) for row in found]

    def apps(self) -> list[str]:
        """Return the apps that something was ever done to, by name."""
        return [row["app"] for row in self.database.rows("apps")]

    def apps_by_slice(self) -> dict[str, set[str]]:
        """Return the apps that are or ever were on each slice."""
        found: dict[str, set[str]] = {}
        for row in self.database.rows("apps_by_slice"):
            found.setdefault(row["slice"], set()).add(row["app"])
        return found

    def unfinished(self) -> list[ActionRecord]:
        """Return the actions without an outcome whose run has ended or died, or lost the lease of the app."""
        return [rows.action(row) for row in self.database.rows("open_actions") if self._is_abandoned(row)]

    def is_dead(self, lease: Row) -> bool:
        """Given a lease, return whether its holder has ended, or said nothing for ten seconds."""
        here = is_here(lease["boot"])
        if here and is_gone(lease["pid"], lease["process_started"]):
            return True
        silent = (
            timedelta(seconds=self.clock.monotonic() - lease["beat"])
            if here
            else self.clock.now() - rows.moment(lease["renewed"])
        )
        return silent > timedelta(seconds=SILENCE)

    def save_release(self, release: Release, now: datetime) -> None:
        """Keep a rendered release under its id; keeping it twice is once."""
        with self.database.atomic():
            self.database.change(
                "save_release", id=release.id, document=release.model_dump_json(), saved=rows.written(now)
            )

    def release(self, release: str) -> Release | None:
        """Return a kept release; raise ActionFailed if this tfheal cannot read it any more."""
        for row in self.database.rows("release", id=release):
            try:
                return Release.model_validate_json(row["document"])
            except ValidationError as error:
                raise ActionFailed(
                    f"release {release} was kept by another version of tfheal",
                    where=str(self.database.path),
                    why=f"{error.error_count()} of its fields are not understood",
                    hint="deploy its app again",
                ) from None
        return None

    def set_deployed(self, *deployed: Deployed) -> None:
        """Record what instances are meant to be, all at once."""
        with self.database.atomic():
            for item in deployed:
                self._set_deployed(item)

    def _set_deployed(self, deployed: Deployed) -> None:
        self.database.change(
            "set_deployed",
            **asdict(deployed.instance),
            release=deployed.release,
            version=deployed.version,
            generation=deployed.generation,
            phase=deployed.phase,
            at=rows.written(deployed.at),
        )

    def drop_deployed(self, instance: InstanceName) -> None:
        """Forget an instance that was removed, its health and how its releases did too."""
        with self.database.atomic():
            self.database.change("drop_deployed", **asdict(instance))
            self.database.change("drop_health", **asdict(instance))
            self.database.change("drop_standings", **asdict(instance))
            self.database.change("drop_consistent", **asdict(instance))

    def deployed(self, app: str | None = None) -> list[Deployed]:
        """Return what every instance (of one app) is meant to be, ordered by instance."""
        return [rows.deployed(row) for row in self.database.rows("deployed", app=app)]

    def put_standings(self, standings: Iterable[Standing]) -> None:
        """Record how releases do on their instances, each in place of what was known of it."""
        with self.database.atomic():
            for one in standings:
                self.database.change(
                    "put_standing",
                    **asdict(one.instance),
                    release=one.release,
                    generation=one.generation,
                    healthy_since=rows.written_or_none(one.healthy_since),
                    good=rows.written_or_none(one.good),
                    held=rows.written_or_none(one.held),
                    why=untrusted.text(one.why),
                )

    def standings(self, app: str | None = None) -> list[Standing]:
        """Return how the releases of every instance (of one app) did, ordered by instance."""
        return [rows.standing(row) for row in self.database.rows("standings", app=app)]

    def note_consistent(self, moments: Mapping[InstanceName, datetime]) -> None:
        """Record when the data of instances was last found right."""
        with self.database.atomic():
            for instance, at in moments.items():
                self.database.change("put_consistent", **asdict(instance), at=rows.written(at))

    def consistent(self, instance: InstanceName) -> datetime | None:
        """Return when the data of an instance was last found right, None if never."""
        found = self.database.rows("consistent", **asdict(instance))
        return rows.moment(found[0]["at"]) if found else None

    def put_incident(self, incident: Incident) -> None:
        """Add an incident, or replace the one with its id."""
        with self.database.atomic():
            self.database.change(
                "put_incident",
                id=incident.id,
                app=incident.app,
                component=incident.instance.component if incident.instance else None,
                slice=incident.slice,
                cause=incident.cause,
                state=incident.state,
                rung=incident.rung,
                opened=rows.written(incident.opened),
                last_seen=rows.written(incident.last_seen),
                healthy_since=rows.written_or_none(incident.healthy_since),
                closed=rows.written_or_none(incident.closed),
                paged=rows.written_or_none(incident.paged),
                detail=untrusted.text(incident.detail),
            )

    def ack(self, incident: str, who: str, at: datetime | None) -> None:
        """Record who took an incident upon themselves and when; None takes that back."""
        with self.database.atomic():
            if not self.database.change(
                "ack_incident", id=incident, acked=rows.written_or_none(at), acked_by=untrusted.line(who)
            ):
                raise _missing("incident", incident)

    def incidents(self, *, open_only: bool = False, since: datetime | None = None) -> list[Incident]:
        """Return incidents, oldest first; `open_only` leaves out resolved ones, `since` those over before it."""
        query = "open_incidents" if open_only else "incidents"
        return [rows.incident(row) for row in self.database.rows(query, since=rows.written_or_none(since))]

    def note_health(self, healths: Mapping[InstanceName, Health], now: datetime) -> None:
        """Record the health of instances; `since` moves only where it changed."""
        with self.database.atomic():
            for instance, health in healths.items():
                self.database.change("note_health", **asdict(instance), health=health, since=rows.written(now))

    def move(self, placement: Placement, deployed: Sequence[Deployed]) -> None:
        """Record where an app runs from now on, and what each of its instances is meant to be, all at once."""
        with self.database.atomic():
            self.database.change(
                "put_placement",
                app=placement.app,
                place=json.dumps(dict(placement.place)),
                spec=json.dumps(dict(placement.spec)),
                pinned=json.dumps(sorted(placement.pinned)),
                at=rows.written(placement.at),
            )
            for item in deployed:
                self._set_deployed(item)

    def placement(self, app: str) -> Placement | None:
        """Return where an app runs, if it was moved since its spec said where."""
        for row in self.database.rows("placement", app=app):
            place, spec = (
                {key: tuple(names) for key, names in json.loads(row[word]).items()} for word in ("place", "spec")
            )
            return Placement(row["app"], place, spec, frozenset(json.loads(row["pinned"])), rows.moment(row["at"]))
        return None

    def drop_placement(self, app: str) -> None:
        """Forget that an app was moved."""
        with self.database.atomic():
            self.database.change("drop_placement", app=app)

    def note_silence(self, silent: Collection[str], heard: Collection[str], now: datetime) -> None:
        """Record which slices could not be connected to, each since the first time, and forget it of those heard of."""
        with self.database.atomic():
            for name in silent:
                self.database.change("note_silence", slice=name, since=rows.written(now))
            for name in heard:
                self.database.change("drop_silence", slice=name)

    def silences(self) -> dict[str, Silence]:
        """Return the slices that were silent the last time they were asked, by name."""
        found = self.database.rows("silences")
        return {row["slice"]: Silence(row["slice"], rows.moment(row["since"]), bool(row["paused"])) for row in found}

    def health_since(self) -> dict[InstanceName, HealthSince]:
        """Return the last recorded health of every instance."""
        healths = (
            HealthSince(rows.instance(row), row["health"], rows.moment(row["since"]))
            for row in self.database.rows("health_since")
        )
        return {health.instance: health for health in healths}

    def _is_abandoned(self, row: Row) -> bool:
        if row["run_ended"] is not None:
            return True
        if row["lease_run"] == row["run"]:
            return self.is_dead(row)
        # Another run took the lease over, or (from elsewhere) it has fallen; a live process here without it just began.
        here = is_here(row["run_boot"])
        return row["lease_run"] is not None or not here or is_gone(row["run_pid"], row["run_process_started"])


def _digits(number: int, count: int) -> str:
    shifts = range(5 * (count - 1), -1, -5)
    return "".join(_DIGITS[(number >> shift) & 31] for shift in shifts)


def _missing(what: str, name: str) -> ActionFailed:
    return ActionFailed(f"the journal has no {what} {name}", why="the file was replaced while this run was under way")
