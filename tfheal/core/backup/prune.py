"""Deleting backups: which ones go, and the one job on the store that deletes them.

Which ones go is said by our own catalogue alone. What a slice may have added to its repository can make a prune delete what
is good, with exit 0; so the slice's key is shut out first, then all that is stored is read, and any damage ends it there.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from tfheal.base import sh, untrusted
from tfheal.core.apply import RECORD
from tfheal.core.backup import verify
from tfheal.core.backup.job import Task, TaskReply
from tfheal.core.backup.recovery import is_base
from tfheal.core.backup.retention import kept
from tfheal.core.stores import guarded
from tfheal.model import paths
from tfheal.model.backup import Backup, Keep
from tfheal.model.pruning import Pruning
from tfheal.model.verification import WHOLE

SHUT: Final = "shut"
GATE: Final = "gate"
FORGET: Final = "forget"
PRUNE: Final = "prune"
SOUND: Final = "sound"
SIZE: Final = "size"
_UNSURE: Final = 99  # exit status of a forget after which nobody could look
_AGAIN: Final = 900.0  # seconds after which one that did not come to its end is tried again at the earliest
_MOST: Final = 4_000_000  # bytes of a list
# What a slice has open is given 20 s to end by itself, and is ended then: a thief could keep it open for ever.
_SHUT: Final = r"""
user=$(stat -c %U "$repository")
keys=$(getent passwd "$user" | cut -d : -f 6)/.ssh/authorized_keys
if grep -F " $repository\"" "$keys" | grep -vqF "GUARD$repository "; then
  echo 'the key of the slice cannot be shut out, since the store is as an older deploy left it' >&2
  return 1
fi
if ! flock -x -w 20 9; then
  for process in /proc/[0-9]*; do
    case $(tr '\0' ' ' <"$process/cmdline" 2>/dev/null) in
      *"serve restic "*" $repository " | *"restic-rest-server "*" --path $repository ") kill "${process#/proc/}" ;;
    esac
  done
  flock -x -w 10 9 || { echo 'what a slice has open there does not end' >&2; return 1; }
fi
"""
# What is there, and how much: on a store of ours by its files, elsewhere in the words of restic, whose own lock shuts out.
_HERE: Final = """\
listed() { ls "$repository/snapshots"; }
size() { du -sb "$repository" | cut -f 1; }
"""
_ELSEWHERE: Final = """\
listed() { r --no-lock list snapshots; }
size() { r --no-lock stats --mode raw-data | sed -n 's/.*"total_size":\\([0-9]*\\).*/\\1/p'; }
"""
_GATE: Final = r"""
read -r status <"$folder/status.READ" && [ "$status" -eq 0 ] || return 1
tail -n 1 "$folder/said" | grep -q '"message_type":"summary","num_errors":0[,}]' || return 1
listed >"$folder/there" || return
for id in MUST; do grep -qx "$id" "$folder/there" || { echo "snapshot $id is gone" >&2; return 1; }; done
"""
# restic says 0 for an id that is not there, and where it was refused: what is there before and after counts.
_FORGET: Final = r"""
forget() { [ $# -eq 0 ] || r forget "$@" >&2; }
all() {
  set --
  for id in IDS; do
    grep -qx "$id" "$folder/there" || continue
    set -- "$@" "$id"
    [ $# -lt 200 ] || { forget "$@" || return; set --; }
  done
  forget "$@"
}
r unlock >/dev/null 2>&1
listed >"$folder/there" || return UNSURE
all
status=$?
listed >"$folder/there" || return UNSURE
for id in IDS; do
  ! grep -qx "$id" "$folder/there" || { echo "$id"; [ $status -ne 0 ] || { status=1; echo 'it may not be deleted there' >&2; }; }
done
return $status
""".replace("UNSURE", str(_UNSURE))
_PRUNE: Final = "r prune --max-unused 0 >&2\nstatus=$?\nowned . && return $status"
_SOUND: Final = """\
r --no-lock check >"$folder/said" || return
tail -n 1 "$folder/said" | grep -q '"message_type":"summary","num_errors":0[,}]'
"""


def marked(backups: Iterable[Backup], keep: Keep, now: datetime) -> Iterator[Backup]:
    """Given the backups of an app, the rules and the time, yield those of which `let_go` changes, changed."""
    every = list(backups)
    reasons = kept(every, keep)
    for backup in every:
        let_go = None if reasons[backup.id] else (backup.let_go or now)
        if backup.holds_data and let_go != backup.let_go:
            yield replace(backup, let_go=let_go)


def going(backups: Iterable[Backup], keep: Keep, grace: float, now: datetime) -> tuple[Backup, ...]:
    """Given the backups of an app, the rules, how many seconds one stays that they let go, and the time: what goes now."""
    every = list(backups)
    reasons = kept(every, keep)
    return tuple(
        one for one in every if one.state == "forgotten" or (not reasons[one.id] and _is_over(one, grace, now))
    )


def own(going: Collection[Backup], every: Iterable[Backup], slice_name: str = "") -> set[str]:
    """Given the backups that go and all there are, return the snapshots (of a slice) that go with them.

    Whatever one that stays has is not theirs: a slice may have said again what it had said of an earlier one.
    """
    ids = {one.id for one in going}
    shared = {snapshot for one in every if one.id not in ids and one.holds_data for snapshot in one.snapshots}
    found = {snapshot for one in going for snapshot, place in one.snapshots.items() if slice_name in {"", place}}
    return found - shared


def changes_since(staying: Iterable[Backup], keep: Keep, slice_name: str, now: datetime) -> datetime | None:
    """Given the backups that stay, return since when the changes of a server on a slice stay too; None: it has no base.

    They stay for as many days as one backup a day is kept, from the last base before on.
    """
    based = [one for one in staying if any(part.slice == slice_name and is_base(part.what) for part in one.parts)]
    begun = sorted(one.started for one in based if one.holds_data)
    first = now - timedelta(days=keep.daily)
    return max((at for at in begun if at <= first), default=begun[0] if begun else None)


def is_due(last: Pruning | None, every: float, now: datetime, *, asked: bool) -> bool:
    """Given the last run, how often one is made, and whether the owner asked for one, return whether it is time."""
    if last is None:
        return True
    soon = asked or last.state in {"running", "failed"}
    return (now - last.at).total_seconds() >= (min(every, _AGAIN) if soon else every)


def latest(last: Pruning | None, going: Sequence[Backup], every: float, grace: float, now: datetime) -> datetime:
    """Given what a prune is due for, return when it may wait for a window no more: half its period after it became due.

    What the owner asked for does not wait, nor what a run that was cut left half done.
    """
    if (last and last.state == "running") or any(one.state == "forgotten" for one in going):
        return now
    over = [one.let_go + timedelta(seconds=grace) for one in going if one.let_go]
    since = min(over, default=now)
    if last:
        since = max(since, last.at + timedelta(seconds=0 if last.state == "failed" else every))
    return since + timedelta(seconds=every / 2)


def tasks(gone: Collection[str], must: Collection[str], entry: str, *, away: bool = False) -> tuple[Task, ...]:
    """Given the snapshots that go, those that must be there, and the words for the owner's journal, return the tasks.

    What is `away` is no folder of a store of ours: nobody is shut out there but by the lock that restic takes.
    """
    place = _ELSEWHERE if away else _HERE
    reach, *reading = verify.tasks(WHOLE)
    first = (reach, shut_task(away=away), *reading)
    read = next(number for number, task in enumerate(first) if task.name == verify.READ)
    gate = place + _GATE.replace("READ", str(read)).replace("MUST", sh.join(*sorted(must)))
    forget = f"{_recorded(entry)}{place}{_FORGET.replace('IDS', sh.join(*sorted(gone)))}"
    return (
        *first,
        Task(GATE, gate, needed=True),
        Task(FORGET, forget, wanted=_MOST, needed=True),
        Task(PRUNE, _PRUNE, needed=True),
        Task(SOUND, _SOUND, needed=True),
        Task(SIZE, f"{place}size"),
    )


def shut_task(*, away: bool = False) -> Task:
    """Return the task that shuts out the slice's key, where that is ours to do, and says how much is stored."""
    shutting = "" if away else _SHUT.replace("GUARD", guarded("").rstrip(" ") + " ")
    return Task(SHUT, f"{_ELSEWHERE if away else _HERE}{shutting}size", needed=True)


def entry(who: str, app: str, backups: Iterable[Backup]) -> str:
    """Given who deletes which backups of an app, return what the owner's journal says of it, as the inside of an object."""
    ids = [{"id": one.id, "why": untrusted.line(one.detail, 300)} for one in backups]
    words = {"event": "backup-prune", "writer": untrusted.line(who, 200), "app": app, "backups": ids}
    return json.dumps(words, separators=(",", ":"))[1:-1]


def remaining(replies: Mapping[str, TaskReply], gone: Collection[str]) -> set[str] | None:
    """Given what the tasks said and the snapshots that were to go, return which are there yet; None: nobody knows."""
    if replies[GATE].status != 0:
        return set(gone) & set(replies[verify.LIST].out.split()) if replies[verify.LIST].status == 0 else None
    if replies[FORGET].status in {None, _UNSURE}:
        return None
    return set(gone) & set(replies[FORGET].out.split())


def freed(replies: Mapping[str, TaskReply]) -> int:
    """Given what the tasks said, return how many bytes less are stored now."""
    before, after = (untrusted.whole(replies[task].out.strip()) for task in (SHUT, SIZE))
    return 0 if before is None or after is None else max(0, before - after)


def after(backups: Sequence[Backup], left: Mapping[str, set[str]], pruned: Collection[str]) -> Iterator[Backup]:
    """Given the backups that were to go, which snapshots are left by slice, and the slices that were pruned: what changed.

    One that lost any of its snapshots is whole no more: it is forgotten, and erased when all of its slices were pruned.
    """
    for backup in backups:
        lost = [name for snapshot, name in backup.snapshots.items() if name in left and snapshot not in left[name]]
        if not lost:
            continue
        erased = len(lost) == len(backup.snapshots) and set(lost) <= set(pruned)
        yield replace(backup, state="erased" if erased else "forgotten", detail=backup.detail or "no rule keeps it")


def _is_over(backup: Backup, grace: float, now: datetime) -> bool:
    return backup.holds_data and backup.let_go is not None and (now - backup.let_go).total_seconds() >= grace


def _recorded(words: str) -> str:
    folder = paths.SLICE_JOURNAL.rpartition("/")[0]
    head, _, rest = words.partition(",")
    told = f"entry={sh.quote(rest)}\nrecord {sh.quote(head)} || :\n"
    return f"journal={paths.SLICE_JOURNAL}\nmkdir -p {folder}\n{RECORD}{told}"
