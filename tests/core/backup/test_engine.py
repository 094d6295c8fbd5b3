"""A database in a drill: what fills and reads it is one script, of namespaces of its own, and of what was backed up alone."""

import subprocess
from collections.abc import Sequence

import pytest

from tfheal.core.backup import drill, engine
from tfheal.core.backup.drill import Rehearsal
from tfheal.core.backup.job import TaskReply
from tfheal.model.backup import Part
from tfheal.model.playbook import Check, Dump
from tfheal.model.release import Release, secret_token
from tfheal.model.resources import Postgres

LEDGER = Release(
    app="ledger",
    owner="lab",
    component="db",
    slice="s1",
    playbook="ledger",
    version="1",
    resources=(Postgres(kind="postgres", database="books", role="clerk", password=secret_token("word", 1)),),
    unit="postgresql@17-main.service",
    dumps=(Dump(name="rows", postgres="books"), Dump(name="else", command="pg_dumpall --globals-only")),
    checks=(
        Check(name="answers", kind="alive", command="true"),
        Check(name="balance", kind="consistent", command="true ⟦secret:word:1⟧"),
    ),
    ladder=("page",),
)


def rehearsal(names: Sequence[str]) -> Rehearsal:
    """Return a drill of the dumps of these names."""
    parts = tuple(Part("s1", f"db/{name}", "good", "a" * 64, 500, 1) for name in names)
    return Rehearsal("ledger", "s1", parts, (LEDGER,), {("word", 1): "hunter2"})


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_the_script_is_one_that_a_shell_reads(shell: str) -> None:
    """It parses, and no secret stands in it; a role gets no password."""
    script = engine.script(LEDGER, ["rows", "else"], {("word", 1): "hunter2"})
    assert subprocess.run([shell, "-n"], input=script.encode(), check=False).returncode == 0
    assert "hunter2" not in script
    assert 'CREATE ROLE "clerk" SUPERUSER LOGIN;' in script


def test_only_databases_that_were_taken_are_filled() -> None:
    """A dump of another kind, or one that the backup has not, makes no server."""
    names = [task.name for task in drill.tasks(rehearsal(["rows", "else"]))]
    assert names == ["reach", "open", "room", "restore", "read", "engine db"]
    assert "engine db" not in [task.name for task in drill.tasks(rehearsal(["else"]))]


def test_there_is_room_for_what_the_dump_becomes() -> None:
    """A database takes more than its dump: its rows and their indexes come on top of it."""
    (room,) = [task.script for task in drill.tasks(rehearsal(["rows"])) if task.name == drill.ROOM]
    assert f"wanted={500 + 3 * 500 + (64 << 20)} " in room


@pytest.mark.parametrize(("status", "state"), [(1, "damaged"), (engine.CANNOT, "failed")])
def test_no_server_is_no_damage(status: int, state: str) -> None:
    """What is wrong in the data is damage; that no server could be made says nothing of it."""
    replies = {name: TaskReply(0, "took 1.00 2.00\n", "") for name in (drill.ROOM, drill.RESTORE, drill.READ)}
    replies["engine db"] = TaskReply(status, "", "no")
    assert drill.told(rehearsal(["rows"]), replies)[1:] == (state, "engine db on s1: no")
