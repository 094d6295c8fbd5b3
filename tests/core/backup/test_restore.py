"""Restores as scripts: what goes where, that a shell reads it, and that nothing live is named before the switch."""

import re
import subprocess

import pytest

from tfheal.core.backup import drill, dumps, restore
from tfheal.core.backup.capture import sources, tasks
from tfheal.core.backup.restore import Chosen
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
        *restore.scratch_tasks(PARTS, "/root/scratch"),
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


def test_names_stay_names() -> None:
    """However long its database is called, what is beside and what is set aside have names that the server keeps whole."""
    long = "x" * 63
    assert {len(dumps.new_name(long, "1m833qezq7sey")), len(dumps.old_name(long, "1m833qezq7sey"))} == {63}


def test_which_dumps_a_restore_puts_back() -> None:
    """Those of a known kind; the words of a command say how it is taken, and not how it comes back."""
    assert [name for part in PARTS for name in restore.dumps_of(LEDGER, part)] == ["rows", "inside", "outside"]
