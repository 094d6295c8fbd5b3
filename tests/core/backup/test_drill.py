"""A drill: what is started in it reaches nothing that is live, and what its steps amount to."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tfheal.core.backup import drill, practice
from tfheal.core.backup.drill import Rehearsal
from tfheal.core.backup.job import Job, TaskReply, started
from tfheal.model.backup import Backup, Part, Repository, ServiceLevel
from tfheal.model.drill import Drill, DrillState
from tfheal.model.playbook import Assertion, Check, DataSet, Dump
from tfheal.model.release import Release, secret_token
from tfheal.model.resources import Postgres, Unit

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
DATA = "/srv/tfheal/files/web"
UNIT = f"""\
[Unit]
Description=files/web
OnFailure=mail.service
[Service]
Type=notify
User=tf-files-web
ExecStart=/opt/x %d/accounts
LoadCredential=accounts:/opt/tfheal/files/web/config/accounts
Restart=always
RestartSec=1
RuntimeDirectory=files
ReadWritePaths="{DATA}/files"
ReadWritePaths="/var/cache/files"
MemoryMax=400000000

[Install]
WantedBy=multi-user.target
"""
RELEASE = Release(
    app="files",
    owner="acme",
    component="web",
    slice="s1",
    playbook="copyparty",
    version="1",
    resources=(Unit(kind="unit", name="tfheal-files-web.service", content=UNIT),),
    unit="tfheal-files-web.service",
    checks=(
        Check(name="answers", kind="alive", command="true"),
        Check(name="works", kind="ready", command="true ⟦secret:word:1⟧"),
    ),
    data=(DataSet(name="data", path=DATA, asserts=(Assertion(name="rows", command="[ 3 -gt 2 ]"),)),),
    ladder=("page",),
)
PART = Part("s1", "folders", "good", "a" * 64, 1_000, 3, paths=(DATA,))
REHEARSAL = Rehearsal("files", "s1", (PART,), (RELEASE,), {("word", 1): "hunter2"})
REPOSITORY = Repository("fd00::2", 22, "tf-files-store", ("ssh-ed25519 AAAA",), "THE-KEY", "THE-PASSWORD")


def test_its_unit_has_nothing_that_outlives_it_or_reaches_out() -> None:
    """It sees restored data in the place of the live one, may write nowhere else, and has a network of its own."""
    lines = drill._unit_text(UNIT, (DATA,), "/srv/tfheal/.drill-files").splitlines()
    assert not any(line.startswith(("RuntimeDirectory", "RestartSec", "OnFailure", "WantedBy")) for line in lines)
    assert [line for line in lines if line.startswith("Restart")] == ["Restart=no"]
    assert {"PrivateNetwork=yes", "TemporaryFileSystem=/var/cache/files", "Type=notify"} <= set(lines)
    assert lines.index("TemporaryFileSystem=/srv/tfheal/files:ro") < len(lines), "nothing is made where data was"
    assert f"BindPaths=/srv/tfheal/.drill-files{DATA}:{DATA}" in lines
    assert "InaccessiblePaths=-/run/postgresql" in lines


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_the_script_is_one_that_a_shell_reads(shell: str) -> None:
    """What runs on the slice is sh, and so is what cleans up; no secret is in an argument of anything."""
    tasks = drill.tasks(REHEARSAL)
    names = [task.name for task in tasks]
    assert names == ["reach", "open", "room", "restore", "read", "start web", "ready web", "rows web"]
    script = started(Job("1m", "files", "me", tasks, after=drill.after(REHEARSAL)), REPOSITORY, "0123456789abcdef")
    for text in (script, drill.after(REHEARSAL), *(f"t() {{\n{task.script}\n}}\n" for task in tasks)):
        assert subprocess.run([shell, "-n"], input=text.encode(), check=False).returncode == 0
        assert "hunter2" not in text


def test_what_a_replay_left_is_thrown_away(tmp_path: Path) -> None:
    """Beside the folder of its server, whichever drill it was of; where nothing is replayed nothing is looked for."""
    database = Postgres(kind="postgres", database="rows", role="rows", password=secret_token("word", 1))
    changes = {"resources": (database,), "dumps": (Dump(name="rows", postgres="rows", wal=True),)}
    release = RELEASE.model_copy(update=changes)
    script = drill.after(Rehearsal("files", "s1", (PART,), (release,), {}, (("web", "true"),)))
    folder = tmp_path / "lib"
    for name in ("main", ".tfheal-restore-1m-other", ".tfheal-restore-1m-rows"):
        (folder / name).mkdir(parents=True)
    (tmp_path / "17" / "main").mkdir(parents=True)
    (tmp_path / "17" / "main" / "postgresql.conf").write_text(f"data_directory = '{folder}/main'\n")
    here = script.replace("/etc/postgresql", str(tmp_path)).replace("/srv/tfheal", str(tmp_path))
    subprocess.run(["sh"], input=here, text=True, check=True)
    assert {one.name for one in folder.iterdir()} == {"main", ".tfheal-restore-1m-other"}
    assert "tfheal-restore" not in drill.after(REHEARSAL)


def test_what_needs_another_component_is_not_started() -> None:
    """Its data is restored and read all the same."""
    web = RELEASE.model_copy(update={"needs": ("db",)})
    tasks = drill.tasks(Rehearsal("files", "s1", (PART,), (web,), {}))
    assert [task.name for task in tasks][2:] == ["room", "restore", "read", "rows web"]


@pytest.mark.parametrize(
    ("failed", "status", "state"),
    [
        (None, 0, "passed"),
        ("reach", 1, "failed"),
        ("room", 3, "refused"),
        ("restore", 1, "damaged"),
        ("restore", 4, "failed"),
        ("start web", 1, "damaged"),
        ("rows web", None, "failed"),
    ],
)
def test_how_it_ended(failed: str | None, status: int | None, state: DrillState) -> None:
    """Damage is what a human must see; a store out of reach, or no room, says nothing of the backup."""
    replies = {}
    for task in drill.tasks(REHEARSAL):
        code = status if task.name == failed else 0
        replies[task.name] = TaskReply(code, "took 10.00 12.50\n" if task.name not in {"reach", "open"} else "", "no")
        if task.name == failed:
            break
    steps, found, why = drill.told(REHEARSAL, replies)
    assert (found, bool(why)) == (state, state != "passed")
    assert all(step.seconds == 2.5 for step in steps if step.name not in {"reach", "open"})


def drilled(hours: float, state: DrillState, seconds: float = 10.0) -> Drill:
    """Return a drill of so many hours ago."""
    return Drill("d", "files", "b", NOW - timedelta(hours=hours), state, seconds, detail="restore: no")


@pytest.mark.parametrize(
    ("drills", "causes"),
    [
        ([], []),
        ([drilled(1, "passed")], []),
        ([drilled(400, "passed")], ["drill-late"]),
        ([drilled(2, "passed"), drilled(1, "damaged")], ["drill-failed"]),
        ([drilled(2, "damaged"), drilled(1, "failed")], ["drill-failed"]),
        ([drilled(2, "damaged"), drilled(1, "passed", 20_000.0)], ["rto-missed"]),
    ],
)
def test_what_drills_amount_to(drills: list[Drill], causes: list[str]) -> None:
    """One that is too old, that found damage, or that took too long is a finding each; what came after mends it."""
    found = practice.practice(drills, ServiceLevel(), NOW)
    assert [cause for cause, _ in practice.wrong(found, NOW - timedelta(hours=5), NOW)] == causes


@pytest.mark.parametrize(
    ("drills", "due"),
    [
        ([], True),
        ([drilled(100, "passed")], False),
        ([drilled(200, "passed")], True),
        ([drilled(200, "passed"), drilled(1, "failed")], False),
        ([drilled(200, "passed"), drilled(7, "failed")], True),
    ],
)
def test_one_is_due(drills: list[Drill], *, due: bool) -> None:
    """Each week one, and sooner again after one that did not pass; never without a good backup."""
    week = 604_800.0
    good = Backup("b", "files", "s2", NOW, "good", (PART,), NOW)
    assert practice.is_due(drills, [good], week, NOW) is due
    assert not practice.is_due(drills, [], week, NOW)


@pytest.mark.parametrize("took", [f"0.0 {'9' * 400}.0", f"{'9' * 5_000}.0 1.0", "2.00 1.00", "1.0 999999999999.99"])
def test_how_long_a_step_took_is_no_number_of_a_liar(took: str) -> None:
    """What is not to be believed is not kept: JSON has no word for it."""
    replies = {task.name: TaskReply(0, f"took {took}\n", "") for task in drill.tasks(REHEARSAL)}
    steps, _, _ = drill.told(REHEARSAL, replies)
    assert {one.seconds for one in steps} <= {0.0}
