"""Restores as scripts: what goes where, that a shell reads it, and that nothing live is named before the switch."""

import re
import subprocess
from pathlib import Path

import pytest

from tfheal.core.backup import drill, dumps, restore
from tfheal.core.backup.capture import sources, tasks
from tfheal.core.backup.restore import Chosen
from tfheal.core.backup.scratch import scratch_tasks
from tfheal.model.backup import FOLDERS, Part
from tfheal.model.playbook import DataSet, Dump, Quiesce
from tfheal.model.release import Release, secret_token
from tfheal.model.resources import Postgres

DATABASE = Postgres(kind="postgres", database="ledger", role="ledger", password=secret_token("word", 1))
FOLDER = "/srv/tfheal/ledger/db"
LEDGER = Release(
    app="ledger",
    owner="lab",
    component="db",
    slice="s1",
    playbook="ledger",
    version="1",
    resources=(DATABASE,),
    unit="postgresql@17-main.service",
    data=(DataSet(name="notes", path=FOLDER),),
    dumps=(
        Dump(name="rows", postgres="ledger"),
        Dump(name="inside", sqlite=f"{FOLDER}/notes.db"),
        Dump(name="outside", sqlite="/var/lib/ledger/other.db"),
        Dump(name="else", command="pg_dumpall --globals-only"),
    ),
    quiesce=Quiesce(freeze="touch /run/still", thaw="rm -f /run/still"),
    ladder=("page",),
)
PARTS = (
    Part("s1", FOLDERS, "good", "f" * 64, 1_000, 10, paths=(FOLDER,)),
    *(Part("s1", f"db/{dump.name}", "good", str(n) * 64, 500, 1) for n, dump in enumerate(LEDGER.dumps)),
)
ALL = Chosen(LEDGER, (FOLDER,), ("rows", "inside", "outside"))


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_every_script_is_one_that_a_shell_reads(shell: str) -> None:
    """Taking, bringing back beside, throwing that away, and switching parse as sh; a dump's own command as bash."""
    scripts = [task.script for task in tasks(sources([LEDGER]), "s1", {"app": "ledger"})]
    scripts += [task.script for task in restore.beside_tasks(PARTS, [ALL], "1x")]
    scripts += [task.script for task in restore.cleared_tasks([ALL], "1x")]
    scripts += [restore.switch(ALL, "1x", {}).apply]
    for script in scripts:
        ran = subprocess.run([shell, "-n"], input=f"work() {{\n{script}\n}}\n".encode(), check=False)
        assert ran.returncode == 0, script
    for dump in LEDGER.dumps:
        subprocess.run(["bash", "-n"], input=dumps.command(dump, LEDGER).encode(), check=True)


def test_a_restore_names_its_snapshot() -> None:
    """Restic's `latest` is whatever a slice added last: what comes back is named by its whole id, in every script."""
    whole = [
        *restore.beside_tasks(PARTS, [ALL], "1x"),
        *scratch_tasks([(part, ()) for part in PARTS], "/root/scratch"),
        *drill.tasks(drill.Rehearsal("ledger", "s1", PARTS, (LEDGER,), {})),
    ]
    said = "\n".join(task.script for task in whole)
    named = re.findall(r"\br (?:restore|dump) (?:--\S+ )*[\"']?([^\s\"':]+)", said)
    assert named
    assert all(re.fullmatch(r"[0-9a-f]{64}|\$\{?\w+.*", one) for one in named), named
    assert "latest" not in said


def test_a_database_in_a_folder_is_taken_once() -> None:
    """The snapshot of the folder leaves the file and its journals out; every dump is a snapshot of its own."""
    found = {source.what: source for source in sources([LEDGER])}
    assert list(found) == [FOLDERS, "db/rows", "db/inside", "db/outside", "db/else"]
    assert f"{FOLDER}/notes.db-wal" in found[FOLDERS].left_out
    script = next(task.script for task in tasks(found.values(), "s1", {"app": "ledger"}) if task.name == FOLDERS)
    assert f"--exclude {FOLDER}/notes.db " in script
    assert script.index("--on-active=60") < script.index("touch /run/still") < script.index("r backup")


def test_what_is_live_stays_until_the_switch() -> None:
    """A file in a folder comes into the new folder, one elsewhere beside itself, a database under a new name."""
    *_, task = restore.beside_tasks(PARTS, [ALL], "1x")
    assert f"target=/srv/tfheal/ledger/.tfheal-restore-1x{FOLDER}/notes.db\n" in task.script
    assert "target=/var/lib/ledger/.tfheal-restore-1x/var/lib/ledger/other.db\n" in task.script
    assert "new=ledger_new_1x\n" in task.script
    assert "db-else.dump" not in task.script
    assert ALL.files == ("/var/lib/ledger/other.db",)
    switch = restore.switch(ALL, "1x", {}).apply
    assert "database_in ledger ledger_new_1x ledger_before_1x" in switch
    assert "database_back ledger ledger_new_1x ledger_before_1x" in switch


def ran(chosen: Chosen, part: Part, restic: str) -> tuple[int, str]:
    """Bring a part back beside what is there, by a restic that does so much; return its status and what it complained of."""
    *_, task = restore.beside_tasks([part], [chosen], "2new")
    done = subprocess.run(
        ["sh"],
        input=f'r() {{ while [ "$1" != --target ]; do shift; done; target=$2; {restic}; }}\ntask() {{\n{task.script}\n}}\ntask',
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def of_files(folder: Path, name: str) -> tuple[Chosen, str]:
    """Return what of a component is restored that has a data set and nothing else, and where that lies."""
    data = f"{folder}/srv/{name}"
    changes = {"component": name, "resources": (), "dumps": (), "data": (DataSet(name="data", path=data),)}
    return Chosen(LEDGER.model_copy(update=changes), (data,)), data


def test_what_a_killed_restore_left_is_thrown_away(tmp_path: Path) -> None:
    """Whatever its run was called; what is another app's, and what a restore set aside for an undo, stays."""
    chosen, data = of_files(tmp_path, "web")
    around = tmp_path / "srv"
    for kept in ("web", "web.before-1old", f".tfheal-restore-1other{tmp_path}/srv/another"):
        (around / kept.lstrip("/")).mkdir(parents=True)
    (around / f".tfheal-restore-1old{data}").mkdir(parents=True)
    part = Part("s1", FOLDERS, "good", "f" * 64, 10, 1, paths=(data,))
    assert ran(chosen, part, f'mkdir -p "$target{data}"; echo x >"$target{data}/file"')[0] == 0
    assert {one.name for one in around.iterdir()} == {
        "web", "web.before-1old", ".tfheal-restore-1other", ".tfheal-restore-2new"
    }  # fmt: skip


def test_databases_that_a_killed_restore_left_are_dropped() -> None:
    """All that are called as a restore calls one of this database, by the id of a run of ours, and no other."""
    line = dumps.left(LEDGER.dumps[0], LEDGER)
    (pattern,) = re.findall(r"drop_left '(.*)'", line)
    found = [
        "ledger_new_1m833qezq7sey",
        "ledger_new_2024",
        "ledger_before_1m833qezq7sey",
        "ledger",
        "my_ledger_new_1m833qezq7sey",
    ]
    assert [name for name in found if re.fullmatch(pattern, name)] == found[:1]
    *_, task = restore.beside_tasks(PARTS, [ALL], "1x")
    assert task.script.index(line) < task.script.index("free=$(df")


def test_a_folder_with_nothing_in_it_is_restored_by_its_component(tmp_path: Path) -> None:
    """Beside another's with files: that the folder came is what counts. One that did not come is said."""
    chosen, data = of_files(tmp_path, "web")
    (tmp_path / "srv").mkdir()
    part = Part("s1", FOLDERS, "good", "f" * 64, 10, 3, paths=(data, "/srv/tfheal/ledger/db"))
    assert ran(chosen, part, f'mkdir -p "$target{data}"') == (0, "")
    status, said = ran(chosen, part, ":")
    assert (status, "restic did not bring back" in said) == (1, True)


def test_names_stay_names() -> None:
    """However long its database is called, what is beside and what is set aside have names that the server keeps whole."""
    long = "x" * 63
    assert {len(dumps.new_name(long, "1m833qezq7sey")), len(dumps.old_name(long, "1m833qezq7sey"))} == {63}


def test_which_dumps_a_restore_puts_back() -> None:
    """Those of a known kind; the words of a command say how it is taken, and not how it comes back."""
    assert [name for part in PARTS for name in restore.dumps_of(LEDGER, part)] == ["rows", "inside", "outside"]
