"""What restic's words amount to: every way in which it says that all is well, and it is not."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tfheal.base.errors import UsageError
from tfheal.core.backup import capture
from tfheal.core.backup.capture import Source
from tfheal.core.backup.job import TaskReply
from tfheal.model.backup import FOLDERS, Part, State
from tfheal.model.playbook import Mount, Quiesce

SNAPSHOT = "5e89abd77dc7a352aa9c4a165bdfd52c5b591957b66e20fd957b56fa5ae71574"
FILES = Source(FOLDERS, ("/srv/tfheal/files/web",))
KEPT = Part("s1", FOLDERS, "good", "a" * 64, 1_000, 10)
ACCEPTED = Part("s1", FOLDERS, "good", "b" * 64, 100, 10)
LARGE = Part("s1", FOLDERS, "good", "b" * 64, 9_000, 10)
EMPTY = Part("s1", FOLDERS, "good", "b" * 64, 0, 0)
SHRUNK = Part("s1", FOLDERS, "suspect", "b" * 64, 100, 10)


def said(*, files: int = 10, size: int = 1_000, snapshot: str = SNAPSHOT) -> str:
    """Return what restic prints at the end of a backup."""
    counted = {"total_files_processed": files, "total_bytes_processed": size, "data_added_packed": 7}
    return json.dumps({"message_type": "summary", "snapshot_id": snapshot, **counted}) + "\n"


def failed(code: int, message: str) -> str:
    """Return what restic prints on stderr when it ends with an error."""
    return json.dumps({"message_type": "exit_error", "code": code, "message": message}) + "\n"


UNREAD = json.dumps({"message_type": "error", "error": {"message": "open /x: permission denied"}}) + "\n"
CASES: dict[str, tuple[TaskReply, tuple[Part, ...], State, str]] = {
    "all went well": (TaskReply(0, said(), ""), (), "good", ""),
    "as much as before": (TaskReply(0, said(), ""), (KEPT,) * 3, "good", ""),
    "words for people in between": (TaskReply(0, "open repository\n" + said() + "done\n", "x\n"), (), "good", ""),
    "a source is missing, and restic says 0": (
        TaskReply(0, said(), "missing: /srv/b\n/srv/b does not exist, skipping\n"),
        (),
        "partial",
        "missing: /srv/b",
    ),
    "a file could not be read": (TaskReply(3, said(), UNREAD), (), "partial", "permission denied"),
    "an empty snapshot of a dump that wrote nothing": (TaskReply(0, said(files=1, size=0), ""), (), "suspect", "empty"),
    "an empty folder": (TaskReply(0, said(files=0, size=0), ""), (KEPT,), "suspect", "empty"),
    "half of it is gone": (TaskReply(0, said(size=400), ""), (KEPT,) * 3, "suspect", "shrank to 400"),
    "a little less": (TaskReply(0, said(size=600), ""), (KEPT,) * 3, "good", ""),
    "the third of a smaller size": (TaskReply(0, said(size=100), ""), (KEPT, SHRUNK, SHRUNK), "good", ""),
    "the fourth of a smaller size": (
        TaskReply(0, said(size=100), ""),
        (*(KEPT,) * 4, SHRUNK, SHRUNK, ACCEPTED),
        "good",
        "",
    ),
    "one after a smaller one was accepted": (TaskReply(0, said(size=100), ""), (*(KEPT,) * 4, ACCEPTED), "good", ""),
    "half of what was accepted is gone": (
        TaskReply(0, said(size=40), ""),
        (*(KEPT,) * 4, ACCEPTED),
        "suspect",
        "shrank",
    ),
    "as usual, after one that was large": (TaskReply(0, said(), ""), (KEPT, KEPT, LARGE), "good", ""),
    "an empty one after an empty one was accepted": (
        TaskReply(0, said(files=0, size=0), ""),
        (KEPT, EMPTY),
        "good",
        "",
    ),
    "smaller again and again": (TaskReply(0, said(size=10), ""), (KEPT, SHRUNK, SHRUNK), "suspect", "shrank"),
    "a dump that failed": (
        TaskReply(1, "", UNREAD + failed(1, "unable to save snapshot")),
        (),
        "failed",
        "permission denied",
    ),
    "an empty snapshot beside an error": (TaskReply(3, "", UNREAD), (), "failed", "permission denied"),
    "done, and no snapshot named": (TaskReply(0, "", ""), (), "failed", "did not say why"),
    "a snapshot of another name": (TaskReply(0, said(snapshot="latest"), ""), (), "failed", ""),
    "figures that are none": (TaskReply(0, said().replace("1000", '"1000"'), ""), (), "failed", ""),
    "no repository": (TaskReply(10, "", failed(10, "Fatal")), (), "failed", "no repository"),
    "locked": (
        TaskReply(11, "", failed(11, "already locked by PID 7 on s9")),
        (),
        "failed",
        "another: already locked by PID 7",
    ),
    "a full store": (
        TaskReply(1, "", "rclone: ERROR : x: mkdir /y: no space left on device\n" + failed(1, "403 Forbidden")),
        (),
        "failed",
        "the store is full",
    ),
    "a network that went": (
        TaskReply(1, "", failed(1, "Fatal: rclone stdio connection already closed")),
        (),
        "failed",
        "the connection to the store broke",
    ),
    "a wrong password": (TaskReply(12, "", failed(12, "Fatal")), (), "failed", "password"),
    "a status that nobody knows": (TaskReply(77, said(), ""), (), "failed", "77"),
    "it was cut": (TaskReply(None, said(), ""), (), "failed", "did not come to its end"),
    "nonsense": (TaskReply(0, "{" * 9_000 + "\n[1]\n{}\n" + '{"message_type":"summary"}', ""), (), "failed", ""),
}


@pytest.mark.parametrize("case", CASES)
def test_each_end_is_called_what_it_is(case: str) -> None:
    """A part is good only when restic named a snapshot, read all of it, and it is as large as it should be."""
    reply, history, state, detail = CASES[case]
    part = capture.judged(FILES, "s1", reply, history)
    assert (part.state, detail in part.detail) == (state, True), part
    assert bool(part.snapshot) == (state != "failed")


def test_a_snapshot_that_was_there_before_is_no_backup() -> None:
    """Root on a slice may say the id of an old one again: nothing came, and its row must never take the old one along."""
    part = capture.judged(FILES, "s1", TaskReply(0, said(), ""), (KEPT,), {SNAPSHOT})
    assert (part.state, part.snapshot, "an earlier backup" in part.detail) == ("failed", "", True)
    assert capture.judged(FILES, "s1", TaskReply(0, said(), ""), (KEPT,), {KEPT.snapshot}).state == "good"


def test_a_folder_of_a_database_alone_is_not_empty() -> None:
    """Where a database was left out of a folder to be taken by itself, nothing else need be there."""
    only = replace(FILES, left_out=("/srv/tfheal/files/web/notes.db",))
    assert capture.judged(only, "s1", TaskReply(0, said(files=0, size=0), ""), ()).state == "good"


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        (["good", "good"], "good"),
        (["good", "suspect"], "suspect"),
        (["good", "failed"], "partial"),
        (["partial", "suspect"], "partial"),
        (["failed", "failed"], "failed"),
        ([], "failed"),
    ],
)
def test_a_whole_is_as_good_as_its_worst_part(parts: list[State], whole: State) -> None:
    """One part that failed makes a backup partial; nothing at all has failed."""
    assert capture.state_of([replace(KEPT, state=state) for state in parts]) == whole


def test_a_dump_that_is_cut_in_a_pipe_fails() -> None:
    """Its command runs under bash with pipefail and never in a pipe of ours; a secret in it is refused."""
    task = capture.tasks([Source("db/all", command="dump | gzip")], "s1", {})[-1]
    assert "--stdin-from-command -- bash -e -o pipefail -c 'dump | gzip'" in task.script
    with pytest.raises(UsageError, match="holds a secret"):
        capture.tasks([Source("db/all", command="dump -p⟦secret:word:1⟧")], "s1", {})


def test_a_full_one_reads_every_file() -> None:
    """Restic is told to look into files that seem unchanged only where that is asked for."""
    usual, full = (capture.tasks([FILES], "s1", {}, full=asked)[-1].script for asked in (False, True))
    assert "--force" not in usual
    assert " --force /srv/tfheal/files/web" in full


@pytest.mark.parametrize(
    ("mounts", "mounted", "missing"),
    [
        ((), "", ""),
        ((), "/media", "missing: whether to take the file system on /HERE/media, which the playbook does not say"),
        ((Mount(path="/HERE/media", taken=True),), "/media", ""),
        ((Mount(path="/HERE/media", taken=False),), "/media", ""),
        ((Mount(path="/HERE/media", taken=False),), "", ""),
        ((Mount(path="/HERE/media", taken=True),), "", "missing: the file system on /HERE/media"),
    ],
)
def test_of_each_file_system_somebody_says_whether_it_is_taken(
    mounts: tuple[Mount, ...], mounted: str, missing: str, tmp_path: Path
) -> None:
    """What nobody thought of makes a backup partial, and so does a disk that is not there."""
    here = str(tmp_path)
    (tmp_path / "mounts").write_text(
        f"none / ext4\n{f'none {here}{mounted} tmpfs' if mounted else 'none /srv/other tmpfs'}\n"
    )
    placed = tuple(mount.model_copy(update={"path": mount.path.replace("/HERE", here)}) for mount in mounts)
    source = replace(FILES, folders=(here,), mounts=placed)
    (task,) = (task for task in capture.tasks([source], "s1", {}) if task.name == FOLDERS)
    script = task.script.replace("/proc/self/mounts", f"{here}/mounts")
    stands_in = f'mountpoint() {{ grep -q " $2 " {here}/mounts; }}\nr() {{ echo "$@"; }}\n'
    done = subprocess.run(["sh", "-c", stands_in + script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == missing.replace("/HERE", here)
    left_out = [mount.path for mount in placed if not mount.taken]
    assert ("--exclude" in done.stdout) is bool(left_out)


def test_what_holds_still_does_so_once() -> None:
    """Where something holds still the repository is reached and opened before; anything else does both by itself."""
    quiet = replace(FILES, quiet=(("web", Quiesce(freeze="true", thaw="true")),))
    for source, later in ((FILES, True), (quiet, False)):
        reach, opens, *_ = capture.tasks([source], "s1", {})
        assert (reach.later, opens.later) == (later, later)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"message": "no room \x1b[2J\u202e\ud800\nand more"}, "no room \\x1b[2J\\u202e\\ud800"),
        ({"error": {"message": "x" * 400}}, "x" * 299 + "…"),
        ({"message": ""}, "it ended with 1 and did not say why"),
        ({"message": "\n\n"}, "it ended with 1 and did not say why"),
        ({"error": {"message": 5}}, "it ended with 1 and did not say why"),
    ],
)
def test_what_a_slice_complains_of_can_be_shown_and_stored(said: dict[str, object], why: str) -> None:
    """Also what it writes as JSON may write it, and also nothing."""
    assert capture.why_failed(TaskReply(1, "", json.dumps(said))) == why
