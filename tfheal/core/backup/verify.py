"""Whether what is stored is whole: what is read on the store, what restic's words amount to, and when it is due again.

restic's plain `check` looks at the structure alone and misses bit rot, so each time a share of the payload is read too.
No lock is taken: a slice that was broken into could hold one for ever. What then seems damaged, because something was added
meanwhile, is read once more before it is believed.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from tfheal.base import untrusted
from tfheal.base.errors import ActionFailed
from tfheal.core.backup import capture
from tfheal.core.backup.job import REACH, Task, TaskReply
from tfheal.core.backup.recovery import CHANGES
from tfheal.model.backup import Backup
from tfheal.model.verification import SHARES, WHOLE, Proof, Verification

LIST: Final = "list"
READ: Final = "read"
TOUCHED: Final = "touched"
_DAMAGED: Final = 1  # restic's exit status
_MOST: Final = 2_000_000  # bytes of a list
_SHOWN: Final = 50  # files that are named
_AGAIN: Final = 900.0  # seconds after which one that found damage or failed is tried again at the earliest
_SNAPSHOT: Final = re.compile(r"[0-9a-f]{64}")
_OBJECT: Final = re.compile(r"\{[^{}]*\}")
# All but the changes of servers: these come without us, and none is demanded. What cannot be listed in full is by its name.
_LIST: Final = f"""{CHANGES}
r --no-lock list snapshots >"$folder/ids" || return
r --no-lock snapshots 2>/dev/null | changes '' >"$folder/changes"
grep -vxFf "$folder/changes" "$folder/ids" | head -c {_MOST}
rm -f "$folder/changes" "$folder/ids"
"""
_READ: Final = """\
look() { r --no-lock check SHARE >"$folder/said" 2>"$folder/complaints"; }
look
status=$?
[ $status -ne 1 ] || { look; status=$?; }
tail -n 1 "$folder/said"
head -c 4000 "$folder/complaints" >&2
return $status
"""
# Blobs, and the name that a rotten pack would have now, are not asked for: one unknown pack and restic finds nothing.
_TOUCHED: Final = r"""\
packs=$(cat "$folder/said" "$folder/complaints" 2>/dev/null | grep -oE '(:"pack |\["|,")[0-9a-f]{64}' | grep -oE '[0-9a-f]{64}' | sort -u | head -n 200)
[ -n "$packs" ] || return 0
r --no-lock find --pack $packs | head -c MOST
"""


def tasks(share: int, *, copy: bool = False) -> tuple[Task, ...]:
    """Given a share of the payload (WHOLE: all), return the tasks that read it, and the structure, on the store.

    What is in a `copy` has other ids than we know: that all is there, each copying sees to.
    """
    which = "--read-data" if share == WHOLE else f"--read-data-subset={share}/{SHARES}"
    return (
        REACH,
        Task("open", "r --no-lock cat config >/dev/null", needed=True),
        Task(LIST, ":" if copy else _LIST, wanted=_MOST),
        Task(READ, _READ.replace("SHARE", which)),
        Task(TOUCHED, _TOUCHED.replace("MOST", str(_MOST)), wanted=_MOST),
    )


def judged(
    before: Verification, replies: Mapping[str, TaskReply], ours: Collection[str], known: Collection[str]
) -> Verification:
    """Given what is verified, what the tasks said, the snapshots that must be there and all that we know of, judge it.

    Raise ActionFailed where it could not be read, which says nothing about what is stored.
    """
    read, there = replies[READ], set(replies[LIST].out.split())
    summary = next((one for one in capture.messages(read.out) if one.get("message_type") == "summary"), None)
    if read.status not in {0, _DAMAGED} or summary is None or replies[LIST].status != 0:
        why = "restic 0.18 or newer is needed" if read.status == 0 else capture.why_failed(read)
        raise ActionFailed("what is stored could not be read", where=f"{before.app} on {before.slice}", why=why)
    missing = sorted(set(ours) - there)
    unknown = len({one for one in there if _SNAPSHOT.fullmatch(one)}.difference(known))
    if read.status == 0 and summary.get("num_errors") == 0 and not missing:
        return replace(before, sound=True, unknown=unknown)
    touched = [f"snapshot {one[:8]} is gone" for one in missing]
    touched += list(dict.fromkeys(_touched(replies[TOUCHED].out)))
    detail = f"{len(missing)} snapshots are gone" if missing else capture.why_failed(read)
    return replace(before, sound=False, unknown=unknown, detail=detail, touched=tuple(touched[:_SHOWN]))


def next_share(past: Sequence[Verification], slice_name: str) -> int:
    """Given the verifications of an app, oldest first, return the share of a slice that was not read for longest."""
    last = dict.fromkeys(range(1, SHARES + 1), 0)
    for number, one in enumerate((one for one in past if one.slice == slice_name), start=1):
        last |= {share: number for share in last if one.share in {share, WHOLE}}
    return min(last, key=lambda share: (last[share], share))


def is_due(past: Sequence[Verification], slice_name: str, limit: float, now: datetime) -> bool:
    """Given the verifications of an app and how old the payload's may be, return whether a slice's repository is due."""
    ours = [one for one in past if one.slice == slice_name]
    if not ours:
        return True
    every = limit / (SHARES + 1)  # the rotation is over in time, with one turn to spare
    return (now - ours[-1].at).total_seconds() >= (every if ours[-1].sound else max(every, _AGAIN))


def proof(past: Sequence[Verification], slices: Collection[str], limit: float, now: datetime) -> Proof:
    """Given the verifications of an app, its slices and a limit in seconds, return how long ago all was read and sound."""
    structure, payload = [], []
    for name in slices:
        sound = [one for one in past if one.slice == name and one.sound]
        shares = [[one.at for one in sound if one.share in {share, WHOLE}] for share in range(1, SHARES + 1)]
        structure.append(max((one.at for one in sound), default=None))
        payload.append(min(max(times) for times in shares) if all(shares) else None)
    return Proof(_age(structure, now), _age(payload, now), 2 * limit / (SHARES + 1), limit)


def late(found: Proof, first: datetime, now: datetime) -> str:
    """Given how long ago all was read, when the first backup was made and the time, return what is too long ago."""
    since = (now - first).total_seconds()
    ages = (("structure", found.structure, found.structure_limit), ("payload", found.payload, found.payload_limit))
    told = [
        f"the {what} was {'never read as a whole' if age is None else f'last read {age:.0f} s ago'}, {limit:.0f} s are promised"
        for what, age, limit in ages
        if (since if age is None else age) > limit
    ]
    return "; ".join(told)


def damaged(past: Sequence[Verification]) -> tuple[Verification, ...]:
    """Given verifications, oldest first, return the last word on each share that was damaged and not found sound since."""
    standing: dict[tuple[str, int], Verification] = {}
    for one in past:
        if one.sound:
            gone = [key for key in standing if key[0] == one.slice and one.share in {key[1], WHOLE}]
            for key in gone:
                del standing[key]
        else:
            standing[one.slice, one.share] = one
    return tuple(standing.values())


def told(one: Verification) -> str:
    """Given a verification that found damage, return it in a few words."""
    return f"the backups of {one.slice}: {one.detail}; it touches {', '.join(one.touched[:3]) or 'no file'}"


def repositories(backups: Sequence[Backup]) -> dict[str, set[str]]:
    """Given the backups of an app, return the snapshots that its repositories must have, by slice."""
    found: dict[str, set[str]] = {}
    for snapshot, name in (pair for backup in backups if backup.holds_data for pair in backup.snapshots.items()):
        found.setdefault(name, set()).add(snapshot)
    return found


def known(backups: Iterable[Backup]) -> set[str]:
    """Given backups, return the snapshots that may be in a repository; any other one there is a stranger's.

    One that was erased is a stranger if it comes back.
    """
    return {snapshot for backup in backups if backup.state != "erased" for snapshot in backup.snapshots}


def _touched(out: str) -> Iterator[str]:
    """Yield the files, with their snapshots, that restic found in damaged packs; what is cut off is left out."""
    for text in _OBJECT.findall(out):
        found = untrusted.from_json(text) or {}
        snapshot, path = found.get("snapshot"), found.get("path")
        if isinstance(snapshot, str) and isinstance(path, str) and _SNAPSHOT.fullmatch(snapshot):
            yield f"{untrusted.line(path, 300)} in snapshot {snapshot[:8]}"


def _age(moments: Sequence[datetime | None], now: datetime) -> float | None:
    known = [moment for moment in moments if moment is not None]
    return max(0.0, (now - min(known)).total_seconds()) if known and len(known) == len(moments) else None
