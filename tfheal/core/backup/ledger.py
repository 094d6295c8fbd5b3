"""The catalogue beside the repositories: sealed, so that whoever has our key knows every backup again, and nobody else does.

It lies on the store, where no slice can write. A slice can add snapshots to its own repository, so what no catalogue
knows is told of, and never believed.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from tfheal.base import sh, untrusted
from tfheal.base.errors import BadReply, Refused
from tfheal.core.backup import verify
from tfheal.core.backup.job import OPEN, REACH, Task
from tfheal.core.backup.recovery import is_change
from tfheal.core.probe.script import PRELUDE, called_once, framed
from tfheal.model import paths
from tfheal.model.backup import GONE, STORE, Backup
from tfheal.model.rescanned import Unknown

SNAPSHOTS: Final = "snapshots"
CAP: Final = 32 << 20  # bytes of a reply: tens of thousands of backups
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_LEDGER: Final = TypeAdapter(list[Backup])
_MOST: Final = 4_000_000  # bytes of a list of snapshots
_READ: Final = """\
[ ! -e "$file" ] || printf '%s sealed %s\\n' "$marker" "$(base64 -w 0 <"$file")"
printf '%s end\\n' "$marker"
"""
_KEEP: Final = """\
[ ! -e HANDS_OFF ] || { printf '%s refused\\n' "$marker"; return; }
[ -d "${file%/*}" ] || return
umask 077
if TEXT >"$file.new" && sync "$file.new"; then
  [ -z "$aside" ] || mv -T -- "$file" "$file.$aside" 2>/dev/null
  mv -T -- "$file.new" "$file" && printf '%s end\\n' "$marker"
fi
"""


class _Snapshot(BaseModel):
    """A snapshot as restic lists it, as far as we use it."""

    model_config = ConfigDict(strict=True, frozen=True)

    id: str = Field(pattern=r"^[0-9a-f]{64}$")
    time: str = Field(max_length=64)
    paths: list[str] = Field(default_factory=list)


_LIST: Final = r"""
r snapshots >"$folder/listed" || return
printf '[%s]\n' "$(sed 's/^\[//; s/\]$//; s/},{"time"/}\n{"time"/g' "$folder/listed" |
  grep -v '"paths":\["/var/spool/tfheal/[a-z0-9-]*/[0-9]*/[0-9]*T[0-9]*"\]' | paste -s -d ,)"
rm "$folder/listed"
"""
_SNAPSHOTS: Final = TypeAdapter(list[_Snapshot])


def text(backups: Iterable[Backup]) -> str:
    """Given backups, return them as text."""
    return _LEDGER.dump_json(list(backups)).decode()


def backups(written: str) -> tuple[Backup, ...]:
    """Given backups as `text` writes them, return them; raise BadReply for anything else."""
    try:
        return tuple(_LEDGER.validate_json(written))
    except ValidationError as error:
        raise BadReply("the catalogue on the store cannot be read") from error


def news(ours: Iterable[Backup], theirs: Iterable[Backup]) -> tuple[Backup, ...]:
    """Given what we know and what the store knows, return what is new to us: backups, the ends of some, and what was said of some.

    Of one that is held, released or accepted the newer word counts; that a drill passed, or found damage, is known from then on.
    """
    known = {backup.id: backup for backup in ours}
    merged = (_merged(known[backup.id], backup) if backup.id in known else backup for backup in theirs)
    return tuple(backup for backup in merged if backup != known.get(backup.id))


def accepted(backup: Backup) -> Backup:
    """Given a suspect backup, return it as one that is good."""
    parts = tuple(replace(part, state="good") if part.state == "suspect" else part for part in backup.parts)
    return replace(backup, state="good", parts=parts)


def read_script(app: str, marker: str) -> str:
    """Given an app and a random marker, return the script that reads the sealed catalogue on its store."""
    return called_once(f"{PRELUDE}marker={marker}\nfile={_file(app)}\n{_READ}", marker)


def keep_script(app: str, sealed: str, marker: str, aside: str = "") -> str:
    """Given an app, its sealed catalogue and a marker, return the script that keeps it; what is there may go `aside`."""
    body = _KEEP.replace("HANDS_OFF", paths.HANDS_OFF).replace("TEXT", sh.decoded(sealed.encode()))
    return called_once(f"{PRELUDE}marker={marker}\nfile={_file(app)}\naside={sh.quote(aside)}\n{body}", marker)


def answered(reply: bytes, marker: str) -> str:
    """Given the reply of either script, return what was sealed there, empty for nothing; raise BadReply or Refused."""
    sealed, ended = "", False
    for rest in framed(reply, marker):
        if rest == b"refused":
            raise Refused("paused by the owner", hint=f"they lift it by removing {paths.HANDS_OFF}")
        if rest.startswith(b"sealed "):
            sealed = (sh.unencoded(rest.removeprefix(b"sealed ")) or b"").decode("ascii", "replace")
        ended = ended or rest == b"end"
    if not ended:
        raise BadReply("the store did not say how it ended")
    return sealed


def snapshot_tasks() -> tuple[Task, ...]:
    """Return the tasks that list the snapshots of a repository, without those of the changes of servers: they are many."""
    return (REACH, OPEN, Task(SNAPSHOTS, _LIST, wanted=_MOST))


def unknown(slice_name: str, out: str, known: Iterable[Backup]) -> tuple[Unknown, ...]:
    """Given what restic listed of the repository of a slice, return the snapshots that no backup knows; raise BadReply.

    What a slice sends by itself of the changes of its databases is known by its paths.
    """
    try:
        found = _SNAPSHOTS.validate_python(json.loads(out))
    except (ValueError, RecursionError, ValidationError) as error:
        raise BadReply("the list of snapshots cannot be read", where=slice_name) from error
    ours = verify.known(known)
    return tuple(
        Unknown(slice_name, one.id, untrusted.line(one.time), tuple(untrusted.line(path) for path in one.paths[:20]))
        for one in found
        if one.id not in ours and not (one.paths and all(is_change(path) for path in one.paths))
    )


def _merged(ours: Backup, theirs: Backup) -> Backup:
    further = theirs if _age(theirs) > _age(ours) else ours
    newer = theirs if (theirs.said or _NEVER) > (ours.said or _NEVER) else ours
    unsaid = newer.said is None and (ours.held or theirs.held)
    merged = replace(
        further,
        held=newer.held or unsaid,
        said=newer.said,
        drilled=_later(ours.drilled, theirs.drilled),
        damaged=_later(ours.damaged, theirs.damaged),
    )
    return accepted(merged) if (ours.state, theirs.state) == ("suspect", "good") else merged


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((at for at in (one, other) if at), default=None)


def _age(backup: Backup) -> int:
    """Return how far a backup has come: begun, ended, forgotten, erased. It never goes back."""
    if backup.state in GONE:
        return 2 + (backup.state == "erased")
    return int(backup.received is not None)


def _file(app: str) -> str:
    return sh.quote(f"{paths.data(app, STORE)}/catalogue.age")
