"""Where restic says 0 and all is not well: the real one falls for each on a slice, and what we run says what it is."""

import base64
import shlex
from collections.abc import Iterator

import pytest
from releases import a_release
from running_lab import RunningLab

from tfheal.core.backup import capture, prune, restore, verify
from tfheal.core.backup.capture import Source
from tfheal.core.backup.job import TaskReply
from tfheal.core.backup.restore import Chosen
from tfheal.edge.clock import SystemClock
from tfheal.model.backup import FOLDERS, Part
from tfheal.model.verification import WHOLE, Verification

pytestmark = pytest.mark.lab
PLACE = "/root/traps"
REPOSITORY = f"{PLACE}/repository"
UNKNOWN = "a" * 64
HERE = f"restic -r {REPOSITORY} --insecure-no-password"
# As a store serves it to a slice: what is there stays.
APPENDS = (
    f"restic -r rclone:{REPOSITORY} -o rclone.args='serve restic --stdio --append-only' --insecure-no-password --json"
)
MADE = f"""\
command -v restic rclone >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get -qq install -y restic rclone >/dev/null 2>&1
mkdir -p {PLACE}/one && echo text >{PLACE}/one/file && {HERE} init -q
"""
CUT = "{ echo rows; false; } | cat"


@pytest.fixture(scope="module")
def trapped(lab: RunningLab) -> Iterator[RunningLab]:
    """Have a repository on s3 that restic on the same machine writes into, and take it away after the tests."""
    try:
        lab.on("s3", MADE)
        yield lab
    finally:
        lab.on("s3", f"rm -rf {PLACE}")


def replied(lab: RunningLab, script: str, restic: str = f"{HERE} --json") -> TaskReply:
    """Run the script of a task as a job does, and return how it ended."""
    body = f'folder={PLACE} repository={REPOSITORY}\nr() {{ {restic} "$@"; }}\ntask() {{\n{script}\n}}\ntask'
    packed = f"( sh -c {shlex.quote(body)} ) >{PLACE}/out 2>{PLACE}/err </dev/null; echo $?; base64 -w 0 {PLACE}/out; echo; base64 -w 0 {PLACE}/err"
    status, out, err = f"{lab.on('s3', packed)}\n".split("\n")[:3]
    return TaskReply(int(status), *(base64.b64decode(text).decode() for text in (out, err)))


def taken(lab: RunningLab, source: Source) -> Part:
    """Take a source as a backup does, and return what it is called."""
    task = next(one for one in capture.tasks((source,), "s3", {"app": "files"}) if one.name == source.what)
    return capture.judged(source, "s3", replied(lab, task.script), ())


def test_a_source_that_is_missing_is_partial(trapped: RunningLab) -> None:
    """Its snapshot of the other one is made with 0; we name the one that is gone, and the backup is not good."""
    part = taken(trapped, Source(FOLDERS, (f"{PLACE}/gone", f"{PLACE}/one")))
    assert (part.state, part.detail) == ("partial", f"missing: {PLACE}/gone")
    assert taken(trapped, Source(FOLDERS, (f"{PLACE}/one",))).state == "good"


def test_a_dump_that_is_cut_in_a_pipe_has_failed(trapped: RunningLab) -> None:
    """Piped into restic it ends with 0 and a snapshot; as we take it, the same command has failed, and nothing is kept."""
    bare = f"sh -c {shlex.quote(CUT)} | {HERE} backup -q --stdin --stdin-filename cut --tag bare"
    trapped.on("s3", bare)
    part = taken(trapped, Source("db/rows", command=CUT))
    assert (part.state, part.snapshot) == ("failed", ""), part
    assert '"db-rows.dump"' not in trapped.on("s3", f"{HERE} snapshots --json")


def test_a_forget_that_did_nothing_is_called_that(trapped: RunningLab) -> None:
    """A store that only takes refuses with 0, and for an unknown id restic says 0 too: what is there afterwards counts."""
    kept = taken(trapped, Source(FOLDERS, (f"{PLACE}/one",))).snapshot
    trapped.on("s3", f"{HERE} forget {UNKNOWN}")
    tasks = {task.name: task.script for task in prune.tasks([kept, UNKNOWN], [], "")}
    forget = tasks[prune.FORGET].replace("/var/log/tfheal", PLACE)

    refused = replied(trapped, forget, APPENDS)
    assert (refused.status, refused.out.split()) == (1, [kept]), refused
    done = replied(trapped, forget)
    assert (done.status, done.out) == (0, ""), done
    assert kept not in trapped.on("s3", f"ls {REPOSITORY}/snapshots")
    known = prune.tasks([], [kept], "")
    read = [task.name for task in known].index(verify.READ)
    sound = '{"message_type":"summary","num_errors":0}'
    trapped.on("s3", f"echo 0 >{PLACE}/status.{read}; echo {shlex.quote(sound)} >{PLACE}/said")
    gate = replied(trapped, next(task.script for task in known if task.name == prune.GATE))
    assert (gate.status, gate.err) == (1, f"snapshot {kept} is gone\n"), "one that we know and the store has not"


# The byte is in the midst of what is stored of the file; what lists it, and the tables of what is where, are in other files.
ROTTEN = f"""\
cd {REPOSITORY}/data
pack=$(find . -type f -printf '%s %p\\n' | sort -n | tail -n 1 | cut -d ' ' -f 2)
chmod u+w "$pack"
printf '\\x%02x' $(( $(od -An -tu1 -j 100000 -N1 "$pack") ^ 255 )) >{PLACE}/byte
printf "$(cat {PLACE}/byte)" | dd of="$pack" bs=1 seek=100000 conv=notrunc status=none
"""


def test_what_rots_is_found_by_who_reads_it(trapped: RunningLab) -> None:
    """One byte of what is stored is another one: `check` finds no errors, with 0; what we read names the file."""
    trapped.on("s3", f"head -c 300000 /dev/urandom >{PLACE}/one/large")
    part = taken(trapped, Source(FOLDERS, (f"{PLACE}/one",)))
    trapped.on("s3", ROTTEN)
    assert "no errors were found" in trapped.on("s3", f"{HERE} check")

    scripts = {task.name: task.script for task in verify.tasks(WHOLE)}
    asked = (verify.LIST, verify.READ, verify.TOUCHED)
    replies = {name: replied(trapped, scripts[name]) for name in asked}
    before = Verification("files", "s3", SystemClock().now(), WHOLE, sound=True)
    found = verify.judged(before, replies, [part.snapshot], [part.snapshot])
    assert (found.sound, f"{PLACE}/one/large in snapshot {part.snapshot[:8]}" in found.touched) == (False, True), found


def test_what_looks_unchanged_is_left_as_it_is_by_a_restore_over_it(trapped: RunningLab) -> None:
    """By size and times nothing tells: restic skips the file, and verifies nothing of it; beside, where ours goes, all of it comes."""
    folder = f"{PLACE}/two"
    trapped.on("s3", f"mkdir {folder} && echo right >{folder}/file")
    part = taken(trapped, Source(FOLDERS, (folder,)))
    tampered = f"touch -r {folder}/file {PLACE}/as && echo wrong >{folder}/file && touch -r {PLACE}/as {folder}/file"
    trapped.on("s3", tampered)
    trapped.on("s3", f"{HERE} restore {part.snapshot} --target / --overwrite if-changed --verify")
    assert trapped.on("s3", f"cat {folder}/file") == "wrong\n"

    chosen = Chosen(a_release(), (folder,))
    beside = next(one for one in restore.beside_tasks([part], [chosen], "trap") if one.name == restore.BESIDE)
    done = replied(trapped, beside.script)
    assert (done.status, trapped.on("s3", f"cat {restore.beside(folder, 'trap')}{folder}/file")) == (0, "right\n"), done
