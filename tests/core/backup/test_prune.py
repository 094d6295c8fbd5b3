"""Deleting backups: which ones go, and a script that believes no exit status of restic."""

import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tfheal.core.backup import job as jobs
from tfheal.core.backup import prune, verify
from tfheal.core.backup.job import Job, TaskReply
from tfheal.core.backup.prune import FORGET, GATE
from tfheal.model.backup import Backup, Keep, Part, Repository, State
from tfheal.model.pruning import PruneState, Pruning

NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)
NOTHING = Keep(hourly=0, daily=0, weekly=0, monthly=0)
GRACE = 7 * 86_400.0
GONE, STAYS, OTHER = ("a" * 64, "b" * 64, "c" * 64)


def made(number: int, hours: float, state: State = "good", **more: object) -> Backup:
    """Return a backup that we heard of so many hours ago."""
    at = NOW - timedelta(hours=hours)
    part = Part("s1", "folders", "good", f"{number:064x}", 100, 1)
    return replace(Backup(f"b{number}", "files", "s2", at, state, (part,), at), **more)  # type: ignore[arg-type]


def ago(days: float) -> datetime:
    """Return when that was."""
    return NOW - timedelta(days=days)


def test_what_the_rules_let_go_stays_for_the_grace() -> None:
    """It is marked once, unmarked when a rule keeps it again, and goes when the grace is over; a forgotten one goes at once."""
    three = [made(number, number) for number in range(3)]
    fresh, old, back = made(3, 30), made(4, 40, let_go=ago(8)), replace(three[0], let_go=ago(8))
    held = made(5, 50, held=True, let_go=ago(8))
    asked = made(6, 60, "forgotten")
    empty = replace(made(7, 70, "failed"), parts=())
    every = [back, *three[1:], fresh, old, held, asked, empty]
    marks = {one.id: one.let_go for one in prune.marked(every, NOTHING, NOW)}
    assert marks == {"b0": None, "b3": NOW, "b5": None}
    assert [one.id for one in prune.going(every, NOTHING, GRACE, NOW)] == ["b4", "b6"]
    assert prune.going([*three, replace(fresh, let_go=NOW)], NOTHING, GRACE, NOW) == ()


@pytest.mark.parametrize(
    ("state", "hours", "asked", "due"),
    [
        (None, 0, False, True),
        ("done", 23, False, False),
        ("done", 25, False, True),
        ("done", 1, True, True),
        ("done", 0.1, True, False),
        ("failed", 1, False, True),
        ("running", 0.1, False, False),
        ("damaged", 1, False, False),
    ],
)
def test_one_is_due(state: PruneState | None, hours: float, *, asked: bool, due: bool) -> None:
    """Once in its time; sooner where one did not come to its end, or the owner asked."""
    last = Pruning("1m", "files", NOW - timedelta(hours=hours), state, ()) if state else None
    assert prune.is_due(last, 86_400.0, NOW, asked=asked) == due


@pytest.mark.parametrize("shell", ["dash", "bash"])
@pytest.mark.parametrize("away", [False, True])
def test_the_script_is_one_that_a_shell_reads(shell: str, *, away: bool) -> None:
    """What runs on the store is sh, whatever is deleted."""
    tasks = prune.tasks([GONE], [STAYS], prune.entry("o'me", "files", [made(1, 1)]), away=away)
    near = Repository("fd00::2", 22, "tf-files-store", (), "", "word", "/srv/tfheal/files/store/s1")
    script = jobs._work(Job("1m", "files", "me", tasks), near)
    assert subprocess.run([shell, "-n"], input=script.encode(), check=False).returncode == 0


def ran(
    name: str,
    restic: str,
    tmp_path: Path,
    *,
    said: str = '"num_errors":0}',
    there: tuple[str, ...] = (GONE, STAYS),
    away: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run one task on a repository with two snapshots, of which one is to go; restic is a function that does this."""
    for one in there:
        (tmp_path / "snapshots" / one).parent.mkdir(exist_ok=True)
        (tmp_path / "snapshots" / one).touch()
    (tmp_path / "said").write_text('{"message_type":"summary",' + said)
    tasks = prune.tasks([GONE, OTHER], [STAYS, GONE], "", away=away)
    read = [task.name for task in tasks].index(verify.READ)
    (tmp_path / f"status.{read}").write_text("0\n")
    script = next(task.script for task in tasks if task.name == name).replace("/var/log/tfheal", str(tmp_path))
    values = f"folder={tmp_path} repository={tmp_path}\nr() {{ {restic}; }}\ntask() {{ {script}\n}}\ntask"
    return subprocess.run(["dash"], input=values, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("restic", "status", "left"),
    [
        ('shift; for id; do rm "$repository/snapshots/$id"; done', 0, ""),
        (":", 1, GONE),
        ("return 11", 11, GONE),
    ],
)
def test_what_restic_forgot_is_looked_at(restic: str, status: int, left: str, tmp_path: Path) -> None:
    """It says 0 where a store refuses, and for an id that is not there: the first is a failure, the second is not asked."""
    done = ran(FORGET, restic, tmp_path)
    assert (done.returncode, done.stdout.strip()) == (status, left), done.stderr
    assert OTHER not in done.stdout


def test_nothing_goes_where_something_is_wrong(tmp_path: Path) -> None:
    """A snapshot of the catalogue that is gone is named; an error of the reading is enough."""
    assert ran(GATE, ":", tmp_path).returncode == 0
    assert ran(GATE, ":", tmp_path, said='"num_errors":1}').returncode == 1
    (tmp_path / "snapshots" / GONE).unlink()
    done = ran(GATE, ":", tmp_path, there=(STAYS,))
    assert (done.returncode, f"snapshot {GONE} is gone" in done.stderr) == (1, True)


LISTS = 'case $* in *"list snapshots") cat {folder}/listed ;; *forget*) {forget} ;; esac'


@pytest.mark.parametrize(
    ("forget", "status", "left"),
    [("echo STAYS >FOLDER/listed", 0, ""), (":", 1, GONE), ("rm FOLDER/listed", 99, "")],
)
def test_what_a_server_forgot_is_asked(forget: str, status: int, left: str, tmp_path: Path) -> None:
    """Where there are no files to look at restic lists what is there; when it cannot, nobody knows what is left."""
    (tmp_path / "listed").write_text(f"{GONE}\n{STAYS}\n")
    forget = forget.replace("FOLDER", str(tmp_path)).replace("STAYS", STAYS)
    done = ran(FORGET, LISTS.format(folder=tmp_path, forget=forget), tmp_path, away=True)
    assert (done.returncode, done.stdout.strip()) == (status, left), done.stderr


@pytest.mark.parametrize(
    ("gate", "forget", "left"),
    [(0, 0, set()), (0, 99, None), (0, 1, {GONE}), (1, None, {GONE}), (0, None, None), (None, None, {GONE})],
)
def test_what_is_left_is_known_or_in_doubt(gate: int | None, forget: int | None, left: set[str] | None) -> None:
    """A forget that was begun and never told its end leaves doubt; one that was never begun does not."""
    replies = {
        verify.LIST: TaskReply(0, f"{GONE}\n{STAYS}\n", ""),
        GATE: TaskReply(gate, "", ""),
        FORGET: TaskReply(forget, f"{GONE}\n" if forget else "", ""),
    }
    assert prune.remaining(replies, {GONE}) == left


def test_a_backup_of_two_slices_is_erased_when_both_were_pruned() -> None:
    """One that lost a part is used no more; what happened nowhere changes nothing."""
    parts = (Part("s1", "folders", "good", GONE, 1, 1), Part("s2", "folders", "good", OTHER, 1, 1))
    both = replace(made(1, 9), parts=parts)

    def states(left: dict[str, set[str]], *pruned: str) -> list[str]:
        return [one.state for one in prune.after([both], left, pruned)]

    assert states({"s1": set(), "s2": set()}, "s1", "s2") == ["erased"]
    assert states({"s1": set(), "s2": set()}, "s1") == ["forgotten"]
    assert states({"s1": set(), "s2": {OTHER}}, "s1", "s2") == ["forgotten"]
    assert states({"s1": set()}, "s1") == ["forgotten"]
    assert states({"s1": {GONE}}) == []


def test_what_one_that_stays_has_goes_with_nobody() -> None:
    """A row that names the snapshot of an earlier backup takes it along only if that one goes too."""
    good, lying, other = made(1, 50, held=True), replace(made(2, 40), parts=made(1, 50).parts), made(3, 30)
    (snapshot,), (its_own,) = good.snapshots, other.snapshots
    assert prune.own([lying, other], [good, lying, other]) == {its_own}
    assert prune.own([lying, good], [good, lying, other], "s1") == {snapshot}
    assert prune.own([other], [other], "s2") == set()
    assert prune.own([lying], [replace(good, state="erased"), lying]) == {snapshot}


@pytest.mark.parametrize(
    ("last", "waits"),
    [(None, 2.5), (("done", 8), 2.5), (("done", 7.5), 3), (("failed", 1), 2.5), (("running", 1), 0)],
)
def test_a_prune_waits_for_a_window_half_its_period_at_most(
    last: tuple[PruneState, float] | None, waits: float
) -> None:
    """From when it became due; what the owner asked for, and what was cut, waits for nothing."""
    going = (made(1, 500, let_go=ago(8)), made(2, 400, let_go=ago(7)))
    run = last and Pruning("p", "files", ago(last[1]), last[0], ())
    assert prune.latest(run, going, GRACE, GRACE, NOW) == NOW + timedelta(days=waits)
    assert prune.latest(run, (*going, made(3, 300, "forgotten")), GRACE, GRACE, NOW) == NOW


@pytest.mark.parametrize(
    ("before", "after", "freed"),
    [
        ("900\n", "400\n", 500),
        ("400", "900", 0),
        ("9" * 5_000, "1", 0),
        ("9" * 30, "1", 0),
        ("", "1", 0),
        ("\u0661", "1", 0),
    ],
)
def test_what_was_freed_is_no_number_of_a_liar(before: str, after: str, freed: int) -> None:
    """A store says how much it holds; what a journal cannot keep is nothing."""
    assert prune.freed({prune.SHUT: TaskReply(0, before, ""), prune.SIZE: TaskReply(0, after, "")}) == freed
