"""A second store: which snapshots are copied there, whether all arrived, and how a backup is found there again.

The copy has a repository of its own with the same password; restic gives each snapshot a new id there, and keeps the very
first that it had as `original`. What a server changed goes along: of each folder of changes the newest snapshot.
"""

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from tfheal.base import sh
from tfheal.base.errors import BadReply
from tfheal.core.backup.capture import INIT
from tfheal.core.backup.job import REACH, Task
from tfheal.core.backup.recovery import CHANGES
from tfheal.model.backup import Backup
from tfheal.model.copied import Copied

ON_ITS_WAY: Final = "a repair was bringing it back"  # its snapshots may be marked yet, and look like others
COPY: Final = "copy"
HERE: Final = "here"
CHANGED: Final = "changes"
ARRIVED: Final = "arrived"
_MOST: Final = 4_000_000  # bytes of a list of snapshots
_FROM: Final = '--from-repo "$source" --from-password-file "$CREDENTIALS_DIRECTORY/password"'
_NEAR: Final = 'restic -r "$source" --no-cache --no-lock --json -p "$CREDENTIALS_DIRECTORY/password" snapshots'
# A line for each snapshot that is none of changes, of which there are thousands: its id, and the one that it had first, if it
# is a copy. What has the words of a key in a string has a backslash before its quotes.
_ORIGINALS: Final = r"""
originals() {
  sed 's/},{"time"/}\n{"time"/g' "$folder/listed" | awk '
    !/"paths":\["\/var\/spool\/tfheal\/[a-z0-9-]+\/[0-9]+\/[0-9]+T[0-9]+"\]/ && match($0, /"id":"[0-9a-f]+"/) {
      id = substr($0, RSTART + 6, RLENGTH - 7)
      print id (match($0, /"original":"[0-9a-f]+"/) ? " " substr($0, RSTART + 12, RLENGTH - 13) : "")
    }'
  rm "$folder/listed"
}
"""
_LIST: Final = f'{_ORIGINALS}LISTS >"$folder/listed" || return\noriginals'
_LINE: Final = re.compile(r"([0-9a-f]{64})(?: ([0-9a-f]{64}))?")
_CHANGED: Final = f"""{CHANGES}
{_NEAR} --latest 1 >"$folder/listed" || return
newest=$(changes '' <"$folder/listed")
rm "$folder/listed"
[ -z "$newest" ] || r copy {_FROM} --retry-lock 10m $newest >/dev/null
"""
# The same boundaries of chunks, so that what both have in common is copied once.
_INIT: Final = f"open\nstatus=$?\n[ $status -eq 10 ] || return $status\nr init {_FROM} --copy-chunker-params"


class _Snapshot(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    id: str = Field(pattern=r"^[0-9a-f]{64}$")
    original: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    tree: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")


_SNAPSHOTS: Final = TypeAdapter(list[_Snapshot])


def tasks(snapshots: Collection[str]) -> tuple[Task, ...]:
    """Given the snapshots of a repository, return the tasks that copy those that the second store lacks."""
    return (
        REACH,
        Task(INIT, _INIT, needed=True),
        Task(COPY, f"r copy {_FROM} --retry-lock 10m {sh.join(*sorted(snapshots))} >/dev/null", needed=True),
        Task(CHANGED, _CHANGED, needed=True),
        Task(HERE, _LIST.replace("LISTS", _NEAR), wanted=_MOST, needed=True),
        Task(ARRIVED, _LIST.replace("LISTS", "r snapshots"), wanted=_MOST),
    )


def copies(snapshots: Collection[str], here: str, there: str) -> dict[str, str]:
    """Given snapshots and what both stores list, return the copies of them: by the id of each the snapshot; raise BadReply.

    What is a copy itself is known by what it was first.
    """
    first = dict(_originals(here))
    wanted = {first.get(snapshot) or snapshot: snapshot for snapshot in snapshots}
    return {copy: wanted[original] for copy, original in _originals(there) if original in wanted}


def found_again(slice_name: str, out: str, known: Iterable[Backup], store: str) -> tuple[Backup, ...]:
    """Given what a store lists of a slice, return the backups that are there under new ids, with these; raise BadReply.

    Where two snapshots say that they were the same one, neither is believed, unless they hold the same.
    """
    listed = _listed(out)
    there = {snapshot.id for snapshot in listed}
    trees: dict[str, set[str]] = {}
    for one in listed:
        trees.setdefault(one.original or "", set()).add(one.tree or one.id)
    new = {one.original: one.id for one in listed if one.original and len(trees[one.original]) == 1}
    result = []
    for backup in known:
        parts = tuple(
            replace(part, snapshot=new[part.snapshot])
            if part.slice == slice_name and part.snapshot not in there and part.snapshot in new
            else part
            for part in backup.parts
        )
        if parts != backup.parts or any(part.slice == slice_name and part.snapshot in there for part in parts):
            result.append(replace(backup, parts=parts, store=store))
    return tuple(result)


def after(last: Copied | None, begun: Copied, good: Iterable[Backup]) -> Copied:
    """Given the last copy and how the new one ended, of which good backups, return what the second store has now.

    A copy that was not whole leaves what is known to be there as it was.
    """
    if not begun.detail:
        return replace(begun, reached=max((backup.started for backup in good), default=None))
    same = last is not None and last.store == begun.store
    return replace(begun, reached=last.reached if last and same else None)


def late(last: Copied | None, store: str, limit: float, deployed: datetime, now: datetime) -> str:
    """Given the last copy, the second store, the age allowed in seconds and since when there is something, say what is late."""
    ours = last if last and last.store == store else None
    reached = ours.reached if ours else None
    age = (now - (reached or deployed)).total_seconds()
    if age <= limit:
        return ""
    newest = f"the newest backup on {store} is {age:.0f} s old" if reached else f"no backup is known to be on {store}"
    why = f"; the last copy: {ours.detail}" if ours and ours.detail else ""
    return f"{newest}, and {limit:.0f} s are promised{why}"


def _originals(out: str) -> list[tuple[str, str]]:
    """Given what `originals` said, return each snapshot with the one that it was first, if any; raise BadReply."""
    found = [_LINE.fullmatch(line) for line in out.splitlines()]
    if not all(found):
        raise BadReply("the list of snapshots cannot be read")
    return [(one[1], one[2] or "") for one in found if one]


def _listed(out: str) -> list[_Snapshot]:
    try:
        return _SNAPSHOTS.validate_python(json.loads(out))
    except (ValueError, RecursionError, ValidationError) as error:
        raise BadReply("the list of snapshots cannot be read") from error
