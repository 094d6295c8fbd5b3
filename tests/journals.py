"""Journals for tests: builders of records, and real processes that write into one until they are killed."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tfheal.edge.journal import SqliteJournal
from tfheal.model.record import ActionRecord, Incident
from tfheal.model.release import InstanceName, Release, secret_token
from tfheal.model.resources import File

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
WEB = InstanceName("crm", "web", "s1")


def an_action(journal: SqliteJournal, run: str, **changes: object) -> ActionRecord:
    """Record the intent of an action and return it."""
    fields: dict[str, object] = {
        "id": journal.new_id(),
        "run": run,
        "verb": "restart",
        "app": "crm",
        "instance": WEB,
        "slice": "s1",
        "incident": None,
        "why": "unit-failed",
        "release": None,
        "started": NOW,
    }
    fields |= changes
    if fields["instance"] is not None:
        fields["instance"] = replace(WEB, app=str(fields["app"]))
    action = ActionRecord(**fields)  # type: ignore[arg-type]
    journal.intend(action)
    return action


def a_release(**changes: object) -> Release:
    """Return a small release."""
    content = f"password = {secret_token('admin', 1)}\n"
    fields: dict[str, object] = {
        "app": "crm",
        "owner": "acme",
        "component": "web",
        "slice": "s1",
        "playbook": "crm",
        "version": "1.0",
        "resources": (File(kind="file", path="/etc/x", content=content),),
        "ladder": ("restart", "page"),
    }
    return Release(**(fields | changes))  # type: ignore[arg-type]


def an_incident(journal: SqliteJournal, **changes: object) -> Incident:
    """Record an open incident and return it."""
    incident = Incident(
        id=journal.new_id(),
        app="crm",
        instance=WEB,
        slice="s1",
        cause="unit-failed",
        state="open",
        rung="restart",
        opened=NOW,
        last_seen=NOW,
    )
    incident = replace(incident, **changes)  # type: ignore[arg-type]
    journal.put_incident(incident)
    return incident


_PRELUDE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from tfheal.edge.journal import SqliteJournal
from tfheal.model.record import ActionRecord
NOW = datetime(2026, 1, 2, tzinfo=UTC)
journal = SqliteJournal(Path(sys.argv[1]))
def begin(run):
    action = ActionRecord(journal.new_id(), run, "restart", "crm", None, "s1", None, "why", None, NOW)
    journal.intend(action)
    return action.id
"""


def python(path: Path, script: str) -> "subprocess.Popen[str]":
    """Start a script that has a journal, and `begin(run)` to record an intent and return its id."""
    pipe = subprocess.PIPE
    argv = [sys.executable, "-c", _PRELUDE + script, str(path)]
    return subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def in_a_killed_process(path: Path, script: str) -> str:
    """Run a script in a process that is then killed; return the id of its run."""
    with python(path, f"{script}\nprint(run.id, flush=True)\nimport time; time.sleep(60)") as process:
        assert process.stdout is not None
        run = process.stdout.readline().strip()
        process.kill()
    return run
