"""A database of PostgreSQL as it was at any second: a base and the changes since, replayed beside the live server.

What is replayed is a server of its own, which nobody reaches and which archives nothing; the database is dumped from it, and
from there on it is a dump like any other. So no file of the live server is touched, and its own archive goes on unbroken.
Changes of another server than the base's own (one that was made anew, say) never mix with it: each has a number of its own.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from tfheal.base import sh, untrusted
from tfheal.base.errors import BadReply
from tfheal.core.archiving import PUSH, SEALED, TAG, is_archived, sealed, sends, spool
from tfheal.core.backup import dumps
from tfheal.core.backup.archiver import STUCK, watched
from tfheal.core.backup.engine import CANNOT
from tfheal.core.backup.job import OPEN, REACH, Task
from tfheal.model.backup import Part
from tfheal.model.release import Release
from tfheal.model.replayed import Replayed
from tfheal.model.resources import Postgres

OLDER: Final = "older"
SENT: Final = "sent"
SNAPSHOTS: Final = "snapshots"
_SPARE: Final = 64 << 20  # bytes that stay free
_MOST: Final = 4_000_000  # bytes of a list of snapshots
_CLUSTER: Final = "cluster"  # CLUSTER=NUMBER: of which server a base is
_ON_TIME: Final = timedelta(minutes=10)  # a segment comes a minute late at most, and clocks are not the same
_SNAPSHOT: Final = re.compile(r"[0-9a-f]{64}")
# One line a snapshot, of which those of changes are told by where they lay: their ids, of all or of those before a folder.
CHANGES: Final = r"""
changes() {
  sed 's/},{"time"/}\n{"time"/g' | awk -v cut="$1" '
    match($0, /"paths":\["\/var\/spool\/tfheal\/[a-z0-9-]+\/[0-9]+\/[0-9]+T[0-9]+"\]/) {
      path = substr($0, RSTART, RLENGTH - 2)
      count = split(path, parts, "/")
      if ((cut == "" || parts[count] < cut) && match($0, /"id":"[0-9a-f]+"/)) print substr($0, RSTART + 6, RLENGTH - 7)
    }'
}
"""
# Of what restic lists those of changes of a folder and all after it, each in a list of its own; what we do not read is left out.
_FOLDERS: Final = r"""
folders() {
  sed 's/^\[//; s/\]$//; s/},{"time"/}\n{"time"/g; s/,"summary":{[^{}]*}//g' | awk -v cut="$1" '
    match($0, /"paths":\["\/var\/spool\/tfheal\/[a-z0-9-]+\/[0-9]+\/[0-9]+T[0-9]+"\]/) {
      count = split(substr($0, RSTART, RLENGTH - 2), parts, "/")
      if (parts[count] >= cut) print "[" $0 "]"
    }'
}
"""
_NUMBER: Final = re.compile(r"[0-9]{1,20}")
_PATH: Final = re.compile(r"/var/spool/tfheal/[a-z0-9-]{1,80}/([0-9]{1,20})/([0-9]{8}T[0-9]{6})")
_BASE_NAME: Final = re.compile(r"/[0-9]{2}-")
_NUMBERED: Final = """\
numbered() {
  place=$(echo 'SHOW data_directory;' | sql) && [ -n "$place" ] || { echo "the server does not answer" >&2; return 1; }
  system=$(od -An -tu8 -N8 "$place/global/pg_control")
  system=${system##* }
}
"""
# `systemd-creds` ties it to a key of this machine that only root reads.
_SEAL: Final = """\
seal() {
  mkdir -p -m 0700 "$sealed" || return
  for name in NAMES; do
    systemd-creds encrypt --with-key=host --name="$name" "$CREDENTIALS_DIRECTORY/$name" "$sealed/.new" >&2 &&
      mv -T -- "$sealed/.new" "$sealed/$name" || return
  done
  printf "port=%s login='%s'\\n" "$port" "$login" >"$sealed/.new" && mv -T -- "$sealed/.new" "$sealed/way"
}
""".replace("NAMES", " ".join(SEALED))
_BASE: Final = """\
server "$cluster"
numbered || return
! failing || ! stuck || return
r backup OPTIONS --tag "KEY=$system" --stdin-filename "$name" --stdin-from-command -- COMMAND 2>"$folder/said"
status=$?
[ "$status" -eq 0 ] || ! stuck || { rm "$folder/said"; return "$status"; }
cat "$folder/said" >&2
rm "$folder/said"
[ "$status" -eq 0 ] || return "$status"
SEAL push && return
echo 'missing: what changed since could not be sent'  >&2
"""
_TAKE_BACK: Final = """\
server "$cluster"
renewed "$cluster" "$id" || { fail "the server of $database cannot be made anew"; return; }
place=$(echo 'SHOW data_directory;' | sql) && [ -n "$place" ] || { fail "the server of $database does not answer"; return; }
spool=${place%/*}/.tfheal-restore-$id-$database
rm -rf "${place%/*}/.tfheal-restore-"*"-$database"
mkdir -p -m 0700 "$spool/wal" || { fail "cannot make $spool"; return; }
free=$(df --output=avail -B1 "$spool" | tail -n 1)
[ "$free" -ge "$wanted" ] || { rm -rf "$spool"; refuse "no room beside $database: $((wanted - free)) bytes are missing on $(df --output=target "${place%/*}" | tail -n 1)"; return; }
lost() { rm -rf "$spool"; fail "$database cannot be replayed: $*"; return 1; }
r restore "$base" --verify --target "$spool" && [ -s "$spool/$base_name" ] || { lost 'restic did not bring back the base'; return; }
mkdir -m 0700 "$spool/cluster" && tar -C "$spool/cluster" -xf "$spool/$base_name" && rm "$spool/$base_name" || { lost 'the base is not whole'; return; }
for one in $changes; do
  r restore "${one%%=*}:${one#*=}" --verify --target "$spool/wal" || { lost 'restic did not bring back the changes since the base'; return; }
done
printf '%s\\n' 'local all all peer' >"$spool/hba"
: >"$spool/ident" >"$spool/settings"
chown -R postgres: "$spool"
said=$(pg pg_verifybackup --no-parse-wal --exit-on-error --quiet "$spool/cluster" 2>&1) || { lost "the base is not whole: $(printf %s "$said" | tail -n 1)"; return; }
touch "$spool/cluster/recovery.signal" && chown postgres: "$spool/cluster/recovery.signal"
replay() {
  (cd / && exec setpriv --reuid=postgres --regid=postgres --init-groups "$bin/postgres" -D "$spool/cluster" \\
    -c config_file="$spool/settings" -c hba_file="$spool/hba" -c ident_file="$spool/ident" -c listen_addresses= \\
    -c unix_socket_directories="$spool" -c port=5432 -c archive_mode=off -c hot_standby=off -c fsync=off -c autovacuum=off \\
    -c ssl=off -c shared_preload_libraries= -c logging_collector=off -c log_destination=stderr -c log_timezone=UTC -c lc_messages=C \\
    -c restore_command="cp '$spool/wal/%f' '%p'" -c recovery_target_timeline=current -c recovery_target_action=promote "$@") \\
    >>"$spool/log" 2>&1 &
  replaying=$!
  until [ "$(echo 'SELECT pg_is_in_recovery();' | beside 2>/dev/null)" = f ]; do
    kill -0 "$replaying" 2>/dev/null || return 1
    sleep 0.3
  done
}
beside() { (cd / && exec setpriv --reuid=postgres --regid=postgres --init-groups env PGHOST="$spool" PGPORT=5432 "$bin/psql" -XqAt -d postgres -f -); }
halt() { kill -INT "$replaying" 2>/dev/null; wait "$replaying" 2>/dev/null; }
how=until
if ! replay ${at:+-c "recovery_target_time=$at"}; then
  grep -q 'recovery ended before configured recovery target' "$spool/log" && how=end && replay ||
    { said=$(grep -E 'FATAL|PANIC' "$spool/log" | tail -n 1); lost "$said"; return; }
fi
[ -n "$at" ] || how=end
last=$(sed -n 's/.*last completed transaction was at log time \\(.*\\)/\\1/p' "$spool/log" | tail -n 1)
printf '{"message_type":"replayed","how":"%s","last":"%s"}\\n' "$how" "$last"
(cd / && setpriv --reuid=postgres --regid=postgres --init-groups env PGHOST="$spool" PGPORT=5432 \\
  "$bin/pg_dump" --format=custom --compress=0 --file "$spool/$name" "$database") 2>&1 >/dev/null | tail -n 1 >"$spool/said"
halt
[ -s "$spool/$name" ] && [ ! -s "$spool/said" ] || { lost "$(cat "$spool/said")"; return; }
rm -rf "$spool/cluster" "$spool/wal"
"""


# Only one job of an app runs at a time, so whatever lies there is of none that still does.
_CLEARED: Final = """\
home=$(sed -n "s/^data_directory *= *'\\([^']*\\)'.*/\\1/p" "/etc/postgresql/$cluster/postgresql.conf" 2>/dev/null | tail -n 1)
[ -z "$home" ] || rm -rf --one-file-system -- "${home%/*}/.tfheal-restore-"*"-$database"
"""
_READ: Final = """\
said=$(pg pg_restore --file /dev/null "$spool/$name" 2>&1) || { lost "$(printf %s "$said" | tail -n 1)"; return; }
rm -rf "$spool"
"""


class _Snapshot(BaseModel):
    """A snapshot as restic lists it, as far as we use it."""

    model_config = ConfigDict(strict=True, frozen=True)

    id: str = Field(pattern=r"^[0-9a-f]{64}$")
    time: str = Field(max_length=64)
    tags: list[str] = Field(default_factory=list)
    paths: list[str] = Field(default_factory=list)


_SNAPSHOTS: Final = TypeAdapter(list[_Snapshot])


@dataclass(frozen=True, slots=True)
class Change:
    """One snapshot of changes: the server that they are of, the folder of its spool, and where that lay."""

    snapshot: str
    cluster: str
    folder: str
    path: str
    time: str


@dataclass(frozen=True, slots=True)
class Recovery:
    """What one database is replayed from: its base, the changes since in their order, and until when; None: all of them.

    `lacking` says what its server changed and did not hand over.
    """

    base: str
    base_bytes: int
    base_name: str
    changes: tuple[Change, ...]
    at: datetime | None = None
    lacking: str = ""


def spooled(release: Release) -> str:
    """Return sh that names the server of a release, and where its changes wait and what sends them lies."""
    (cluster,) = {one.cluster for one in release.resources if isinstance(one, Postgres)}
    values = {
        "app": release.app,
        "host": release.slice,
        "cluster": cluster,
        "spool": spool(release.app, release.component),
        "sealed": sealed(release.app, release.component),
    }
    return "".join(f"{name}={sh.quote(value)}\n" for name, value in values.items())


def base_of(release: Release) -> str:
    """Return what the part of a backup is called that has the base of a release's server, empty if it stores no changes."""
    server = next((one for one in release.resources if isinstance(one, Postgres)), None)
    return f"{release.component}/{server.cluster.replace('/', '-')}" if server and is_archived(release) else ""


def is_base(what: str) -> bool:
    """Return whether a part of a backup is the base of a server: no dump's name begins with a digit."""
    return _BASE_NAME.search(what) is not None


def base_script(release: Release, options: Iterable[str], name: str) -> str:
    """Return sh, for a job of restic, that stores the base of a release's server, and then what changed since."""
    (server,) = {one.cluster for one in release.resources if isinstance(one, Postgres)}
    taking = '"$bin/pg_basebackup" --pgdata=- --format=tar --wal-method=none --checkpoint=fast --no-password'
    command = f"{dumps.POSTGRES}server {server}\n{watched(taking)}"
    dumped = sh.join("bash", "-e", "-o", "pipefail", "-c", command)
    words = {
        "SEAL": "seal &&" if sends(release) else 'rm -f "$sealed/way";',
        "OPTIONS": sh.join(*options),
        "KEY": _CLUSTER,
        "COMMAND": dumped,
    }
    script = re.sub("|".join(words), lambda found: words[found[0]], _BASE)
    return f"{spooled(release)}name={sh.quote(name)}\n{dumps.POSTGRES}{_NUMBERED}{STUCK}{_SEAL}{PUSH}{script}"


def send_tasks(release: Release) -> tuple[Task, ...]:
    """Given a release, return the tasks by which what its server handed over is sent."""
    return (REACH, OPEN, Task(SENT, f'{spooled(release)}{PUSH}[ ! -d "$spool" ] || push', needed=True))


def list_tasks(base: str, since: datetime) -> tuple[Task, ...]:
    """Return the tasks that list the newest snapshot of each folder of changes since a base began, and that of the base."""
    script = (
        f'{_FOLDERS}r snapshots --latest 1 >"$folder/listed" || return\n'
        f'folders {first_kept(since)} <"$folder/listed"\nrm "$folder/listed"\nr snapshots {base}'
    )
    return (REACH, OPEN, Task(SNAPSHOTS, script, wanted=_MOST, needed=True))


def older_tasks(before: str) -> tuple[Task, ...]:
    """Return the tasks that list all snapshots of folders of changes which were begun before another one."""
    script = (
        f'{CHANGES}r snapshots >"$folder/listed" || return\nchanges {before} <"$folder/listed"\nrm "$folder/listed"'
    )
    return (REACH, OPEN, Task(OLDER, script, wanted=_MOST, needed=True))


def changes(slice_name: str, out: str) -> tuple[Change, ...]:
    """Given what restic listed, return the newest snapshot of each folder of changes, in the order of time; raise BadReply."""
    newest: dict[tuple[str, str], Change] = {}
    for one in sorted(_listed(slice_name, out), key=lambda one: one.time):
        if found := _change(one):
            newest[found.cluster, found.folder] = found
    return tuple(sorted(newest.values(), key=lambda one: one.folder))


def is_change(path: str) -> bool:
    """Return whether a path is that of a folder of changes."""
    return _PATH.fullmatch(path) is not None


def first_kept(since: datetime) -> str:
    """Given when the oldest base began that is kept, return the first name of a folder of changes that stays.

    A server writes into a folder of the hour that it is, and into no other (`core/archiving.py`): so it is the hour that
    tells, and no name that whoever broke into a slice could add. All of a folder stay, not only the last: an empty one may have
    been stored over it.
    """
    return f"{(since - _ON_TIME).astimezone(UTC):%Y%m%dT%H}0000"


def older(out: str) -> set[str]:
    """Given what `older_tasks` said, return the snapshots."""
    return {line for line in out.split() if _SNAPSHOT.fullmatch(line)}


def recovery(base: Part, out: str, since: datetime, at: datetime | None = None) -> Recovery:
    """Given a base that began `since` and what restic listed where it is, return what is replayed until a moment, or all.

    Raise BadReply where the base is not listed, or does not say of which server it is.
    """
    listed = next((one for one in _listed(base.slice, out) if one.id == base.snapshot), None)
    number = _tag(listed, _CLUSTER) if listed else ""
    if not _NUMBER.fullmatch(number):
        raise BadReply("the base is not what it was", where=base.slice, why="restic does not list it, or not as a base")
    ours = [one for one in changes(base.slice, out) if one.cluster == number]
    taken = tuple(_until(_since(ours, since), at))
    return Recovery(base.snapshot, base.bytes, dumps.file_name(base.what), taken, at)


def beside(found: Recovery) -> str:
    """Return sh, for a job of restic, that replays a database and leaves a dump of it, as `beside_database` wants one."""
    values = {
        "base": found.base,
        "base_name": found.base_name,
        "changes": " ".join(f"{one.snapshot}={one.path}" for one in found.changes),
        "at": found.at.astimezone(UTC).isoformat(sep=" ") if found.at else "",
    }
    assigned = "".join(f"{name}={sh.quote(value)}\n" for name, value in values.items())
    return f"{assigned}wanted=$(({3 * found.base_bytes} + spare))\n{_TAKE_BACK}"


def rehearsed(release: Release, found: Recovery, practice: str) -> str:
    """Return sh, for a job of restic, that replays the databases of a release for practice, reads them, and leaves nothing."""
    lines = "renewed() { :; }\n"  # practice makes no server anew
    lines += f'fail() {{ printf \'%s\\n\' "$*" >&2; return {CANNOT}; }}\nrefuse() {{ fail "$@"; }}\n'
    for dump in release.dumps:
        if not dump.wal:
            continue
        server = dumps.server_of(dump, release)
        values = {
            "id": practice,
            "cluster": server.cluster,
            "database": server.database,
            "name": dumps.file_name(f"{release.component}/{dump.name}"),
        }
        assigned = "".join(f"{name}={sh.quote(value)}\n" for name, value in values.items())
        lines += f"spare={_SPARE}\n{assigned}{beside(found)}{_READ}"
    return f"{dumps.POSTGRES}{lines}"


def cleared(release: Release) -> str:
    """Return sh that removes what a replay of a release's databases left beside its server, however it ended."""
    lines = ""
    for dump in release.dumps:
        if dump.wal:
            server = dumps.server_of(dump, release)
            lines += f"cluster={sh.quote(server.cluster)} database={sh.quote(server.database)}\n{_CLEARED}"
    return lines


def replayed(words: Iterable[dict[str, object]]) -> Replayed | None:
    """Given what a job said, return how far its replay came, None if it replayed nothing."""
    for found in words:
        if found.get("message_type") == "replayed":
            return Replayed(found.get("how") == "end", untrusted.line(str(found.get("last", "")), 60))
    return None


def _listed(slice_name: str, out: str) -> list[_Snapshot]:
    try:
        return [one for line in out.splitlines() if line for one in _SNAPSHOTS.validate_python(json.loads(line))]
    except (ValueError, RecursionError, ValidationError) as error:
        raise BadReply("the list of snapshots cannot be read", where=slice_name) from error


def _change(one: _Snapshot) -> Change | None:
    path = _PATH.fullmatch(one.paths[0]) if len(one.paths) == 1 else None
    if path is None or path[2] != _tag(one, TAG):
        return None
    found = Change(one.id, path[1], path[2], one.paths[0], one.time)
    try:
        _begun(found)
    except ValueError:  # a name in the shape of a time, and none
        return None
    return found


def _tag(one: _Snapshot, key: str) -> str:
    return next((tag.removeprefix(f"{key}=") for tag in one.tags if tag.startswith(f"{key}=")), "")


def _since(found: Iterable[Change], since: datetime) -> Iterator[Change]:
    """Yield the folders that may have changes since a moment: those of its hour, and all after that."""
    first = first_kept(since)
    return (one for one in found if one.folder >= first)


def _until(found: Iterable[Change], at: datetime | None) -> Iterator[Change]:
    """Yield the folders up to the first one that can have nothing of before a moment."""
    for one in found:
        yield one
        if at is not None and _begun(one) > at + _ON_TIME:
            return


def _begun(one: Change) -> datetime:
    return datetime.strptime(one.folder, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
