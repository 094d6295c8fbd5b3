"""Taking a backup: which data a slice has, the tasks that take it, and what restic's words about them amount to.

No exit status is believed alone. restic 0.18 says 0 when a source is missing and when a dump came out empty; so sources
are looked for first, dumps are never piped, and what came is compared with what came before.
"""

import re
import statistics
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tfheal.base import sh, untrusted
from tfheal.base.errors import UsageError
from tfheal.core.backup import by_hand, dumps, recovery
from tfheal.core.backup.job import REACH, REACH_LATER, Task, TaskReply
from tfheal.core.resources.directory import data_paths
from tfheal.model.backup import FOLDERS, Backup, Part, State
from tfheal.model.playbook import Mount, Quiesce
from tfheal.model.release import SECRET_TOKEN, Release

INIT: Final = "init"
_INIT: Final = "open\nstatus=$?\n[ $status -eq 10 ] || return $status\nr init"
_MISSING: Final = "missing: "
NO_REPOSITORY: Final = 10  # restic's exit status
LOCKED: Final = 11
_PARTIAL: Final = 3  # restic: a snapshot was made, and something could not be read
_TRUST: Final = 0.5  # of what came before: less than that is suspect (borgmatic's `spot` check has such a tolerance)
_LOOK_BACK: Final = 5  # good backups that what comes now is compared with
_SETTLED: Final = 2  # suspects of one size before this one, after which that size is the new normal
_CLASSES: Final[Mapping[int, str]] = {
    NO_REPOSITORY: "there is no repository in the store",
    LOCKED: "the repository is locked by another",
    12: "the password of the repository is wrong",
}


# restic hears of the first as `500 Internal Server Error` and, when it tries again, `403 Forbidden`.
_TOLD: Final[Mapping[str, re.Pattern[str]]] = {
    "the store is full": re.compile(
        r"^rclone: .*(no space left on device|disk quota exceeded|too big for remaining disk space)|HTTP response \(507\)",
        re.MULTILINE,
    ),
    "the connection to the store broke": re.compile(r"rclone stdio connection already closed"),
}


@dataclass(frozen=True, slots=True)
class Source:
    """What one snapshot takes on a slice: folders without what is `left_out`, or all that a command writes, or a server's base.

    What holds still meanwhile is by the name of its component. `mounts` are the file systems below its folders. `put_back` says
    how its owner gets it back by hand.
    """

    what: str
    folders: tuple[str, ...] = ()
    command: str = ""
    left_out: tuple[str, ...] = ()
    quiet: tuple[tuple[str, Quiesce], ...] = ()
    base: Release | None = None
    mounts: tuple[Mount, ...] = ()
    put_back: str = ""

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the paths by which restic knows it: the folders, or the one file that a dump becomes."""
        return self.folders or (f"/{dumps.file_name(self.what)}",)


class _Summary(BaseModel):
    """restic's last word on a snapshot, as far as we use it."""

    model_config = ConfigDict(strict=True, frozen=True)

    snapshot_id: str = Field(pattern=r"^[0-9a-f]{64}$")
    total_files_processed: int = Field(ge=0, le=1 << 62)
    total_bytes_processed: int = Field(ge=0, le=1 << 62)
    data_added_packed: int = Field(default=0, ge=0, le=1 << 62)


def sources(releases: Iterable[Release]) -> tuple[Source, ...]:
    """Given the releases of an app on one slice, return what there is to take, none for a slice without data."""
    ours = tuple(releases)
    every = {path for release in ours for path in data_paths(release)}
    folders = tuple(sorted(path for path in every if not any(path.startswith(f"{other}/") for other in every)))
    quiet = tuple((release.component, release.quiesce) for release in ours if release.quiesce)
    mounts = tuple(mount for release in ours for data in release.data for mount in data.mounts)
    files = [Source(FOLDERS, folders, left_out=dumps.left_out(ours), quiet=quiet, mounts=mounts)] if folders else []
    return (
        *files,
        *(
            Source(
                f"{release.component}/{dump.name}",
                command=dumps.command(dump, release),
                put_back=by_hand.put_back(dump, release),
            )
            for release in ours
            for dump in release.dumps
        ),
        *(Source(found, base=release) for release in ours if (found := recovery.base_of(release))),
    )


def tasks(
    found: Iterable[Source],
    slice_name: str,
    tags: Mapping[str, str],
    upload_limit: int | None = None,
    *,
    full: bool = False,
) -> tuple[Task, ...]:
    """Given what to take on a slice, the tags of its snapshots and the most bytes a second, return the tasks of the job.

    `full` reads every file again, also one whose size and times are those of the last backup.
    Raise UsageError for a dump whose command holds a secret: it would be in the list of processes.
    """
    options = [word for key, value in tags.items() for word in ("--tag", f"{key}={value}")]
    options += ["--host", slice_name]
    options += ["--limit-upload", str(max(1, upload_limit // 1024))] if upload_limit else []
    options += ["--force"] if full else []
    # The first one reaches and opens the repository by itself, but for one that holds still meanwhile: that is done once, and
    # not longer than it takes. Who holds the repository is told at once; the others wait for whoever came meanwhile.
    wanted = tuple(found)
    later = not any(source.quiet for source in wanted)
    patient = [*options, "--retry-lock", "10m"]
    return (
        REACH_LATER if later else REACH,
        Task(INIT, _INIT, needed=True, later=later),
        *(
            Task(source.what, _script(source, patient if index else options, tags.get("app", "")))
            for index, source in enumerate(wanted)
        ),
    )


def _script(source: Source, options: list[str], app: str) -> str:
    texts = [source.command, *(text for _, quiet in source.quiet for text in (quiet.freeze, quiet.thaw))]
    if any(SECRET_TOKEN.search(text) for text in texts):
        raise UsageError(f"the dump {source.what} holds a secret", hint="let it log in as a user of the slice")
    if source.base:
        return recovery.base_script(source.base, options, dumps.file_name(source.what))
    if not source.command:
        looks = "".join(f"[ -d {sh.quote(path)} ] || echo {sh.quote(_MISSING + path)} >&2\n" for path in source.folders)
        looks += _mounts(source)
        out = [mount.path for mount in source.mounts if not mount.taken]
        without = [word for path in (*source.left_out, *out) for word in ("--exclude", path)]
        return looks + _held_still(source.quiet, app, f"r backup {sh.join(*options, *without, *source.folders)}")
    # bash, because dash has no pipefail: a dump that is cut in a pipe has to fail.
    command = sh.join("bash", "-e", "-o", "pipefail", "-c", source.command)
    name = dumps.file_name(source.what)
    return f"r backup {sh.join(*options, '--stdin-filename', name)} --stdin-from-command -- {command}"


def _mounts(source: Source) -> str:
    """Return sh that tells of each file system below a folder of which nobody said whether it is in, and of those that are not there.

    A disk that is not mounted looks like a folder that is empty, and one that nobody thought of like a part of the data.
    """
    said = "".join(f"{sh.quote(path)}) ;; " for path in (mount.path for mount in source.mounts))
    below = " | ".join(f"{sh.quote(path)}/*" for path in source.folders)
    absent = "".join(
        f"mountpoint -q {sh.quote(mount.path)} || echo {sh.quote(f'{_MISSING}the file system on {mount.path}')} >&2\n"
        for mount in source.mounts
        if mount.taken
    )
    return (
        f"{absent}while read -r _ at _; do case $at in {said}{below}) "
        f'echo "{_MISSING}whether to take the file system on $at, which the playbook does not say" >&2 ;; esac; done </proc/self/mounts\n'
    )


def _held_still(quiet: tuple[tuple[str, Quiesce], ...], app: str, work: str) -> str:
    """Return sh that does some work while components hold still; a timer of the slice thaws them if nobody else does."""
    if not quiet:
        return work
    freezes, thaws, looks = "", "", ""
    for component, hooks in quiet:
        timer = f"tfheal-thaw-{app}-{component}"
        thaw = sh.join("bash", "-e", "-o", "pipefail", "-c", hooks.thaw)
        # systemd puts the environment in for what begins with a $, unless there are two.
        by_itself = sh.join("bash", "-e", "-o", "pipefail", "-c", hooks.thaw.replace("$", "$$"))
        freezes += (
            f"systemctl stop {timer}.timer {timer}.service 2>/dev/null\n"
            f"systemd-run --quiet --collect --unit={timer} --on-active={hooks.longest:g} --timer-property=AccuracySec=1s {by_itself} || return 1\n"
            f"{sh.join('timeout', f'{hooks.longest:g}', 'bash', '-e', '-o', 'pipefail', '-c', hooks.freeze)} >&2 || "
            f"{{ thaw; echo {sh.quote(f'{component} does not hold still')} >&2; return 1; }}\n"
        )
        looks += (
            f"systemctl is-active --quiet {timer}.timer || echo {sh.quote(f'{_MISSING}the quiet of {component}')} >&2\n"
        )
        thaws += f"{thaw} >&2 && systemctl stop {timer}.timer\n"
    return f"thaw() {{\n{thaws}}}\n{freezes}{work}\nstatus=$?\n{looks}thaw\nreturn $status"


def judged(
    source: Source, slice_name: str, reply: TaskReply, history: Iterable[Part], known: Collection[str] = ()
) -> Part:
    """Given what was to be taken, how restic ended and the same part of earlier backups, oldest first, return the part.

    A snapshot that is `known` is not a new one, whatever the slice says: with its row an old one would go in the end.
    """
    summary = summary_of(reply.out)
    part = Part(slice_name, source.what, "failed", paths=source.folders)
    if summary is None or reply.status not in {0, _PARTIAL}:
        return replace(part, state="failed", detail=why_failed(reply))
    if summary.snapshot_id in known:
        return replace(
            part, detail="the slice named a snapshot that an earlier backup made: nothing new is known to be stored"
        )
    part = Part(
        slice_name,
        source.what,
        "good",
        summary.snapshot_id,
        summary.total_bytes_processed,
        summary.total_files_processed,
        summary.data_added_packed,
        paths=source.folders,
    )
    if missing := [line.removeprefix(_MISSING) for line in reply.err.splitlines() if line.startswith(_MISSING)]:
        return replace(part, state="partial", detail=f"missing: {', '.join(missing)}")
    if reply.status == _PARTIAL:
        return replace(part, state="partial", detail=f"not all could be read: {_first_error(reply.err)}")
    return _compared(part, list(history), empty=bool(source.left_out))


def state_of(parts: Iterable[Part]) -> State:
    """Given the parts of a backup, return what the whole is: good only if every one is."""
    states = {part.state for part in parts}
    if states <= {"failed"}:
        return "failed"
    if states & {"failed", "partial"}:
        return "partial"
    return "suspect" if "suspect" in states else "good"


def history_of(backups: Iterable[Backup], slice_name: str, what: str) -> list[Part]:
    """Given backups, oldest first, return the same part of each that has one."""
    return [part for backup in backups for part in backup.parts if (part.slice, part.what) == (slice_name, what)]


def summary_of(out: str) -> _Summary | None:
    """Given what restic said on stdout, return its summary if it is one that can be believed."""
    for found in reversed(list(messages(out))):
        if found.get("message_type") == "summary":
            try:
                return _Summary.model_validate(found)
            except ValidationError:
                return None
    return None


def messages(text: str) -> Iterator[dict[str, Any]]:
    """Given lines of which some are JSON objects, yield these; others are for people."""
    for line in text.splitlines():
        found = untrusted.from_json(line) if line.startswith("{") else None
        if isinstance(found, dict):
            yield found


def why_failed(reply: TaskReply) -> str:
    """Given a task that failed, return why in a few words."""
    if told := next((words for words, pattern in _TOLD.items() if pattern.search(reply.err)), None):
        return told
    if reply.status is None:
        return "it did not come to its end"
    if known := _CLASSES.get(reply.status):
        return f"{known}: {_first_error(reply.err)}" if reply.status == LOCKED else known
    return _first_error(reply.err) or f"it ended with {reply.status} and did not say why"


def _compared(part: Part, history: list[Part], *, empty: bool) -> Part:
    good = _normal([one.bytes for one in history if one.state == "good"])
    if (part.files == 0 or part.bytes == 0) and not (empty or good[:1] == [0]):
        return replace(part, state="suspect", detail="it is empty")
    normal = statistics.median(good) if good else 0
    if part.bytes >= _TRUST * normal:
        return part
    before = history[-_SETTLED:]
    alike = [one for one in before if one.state == "suspect" and _TRUST <= one.bytes / max(1, part.bytes) <= 1 / _TRUST]
    if len(alike) == _SETTLED:
        return part
    return replace(part, state="suspect", detail=f"it shrank to {part.bytes} bytes; before, {normal:.0f} were usual")


def _normal(good: list[int]) -> list[int]:
    """Given the sizes of good ones, oldest first, return the newest few; a step down that was called good is where they begin."""
    newest_first = good[::-1][:_LOOK_BACK]
    larger = (index for index, size in enumerate(newest_first) if size * _TRUST > newest_first[0])
    return newest_first[: next(larger, _LOOK_BACK)]


def _first_error(err: str) -> str:
    """Return the first complaint of restic, or the last line for people."""
    for found in messages(err):
        error = found.get("error")
        text = found.get("message") or (error.get("message") if isinstance(error, dict) else None)
        if isinstance(text, str) and text.strip():
            # Only here: JSON has words of its own for any character, harmless until they are read.
            return untrusted.line(text.strip().splitlines()[0], 300)
    lines = [line for line in err.splitlines() if line.strip() and not line.startswith("{")]
    return lines[-1][:300] if lines else ""
