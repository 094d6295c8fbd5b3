"""What a server hands over of its changes before they are replayed: all that it has, and if not all, since when it is missing."""

from collections.abc import Iterable
from typing import Final

from tfheal.base import untrusted
from tfheal.core.archiving import EVERY, PUSH
from tfheal.core.backup import dumps, recovery
from tfheal.core.backup.job import OPEN, REACH, Task
from tfheal.model.release import Release
from tfheal.model.replayed import Handed

HANDED: Final = "handed over"
# What was written until now is handed over first, for as long as that gets on; from a server that is gone nothing more comes.
# What a server did not hand over was made a minute before the oldest segment of it was closed, or written to last.
_FLUSH: Final = """\
server "$cluster"
lives=false whole=false since=
if mark=$(echo "SELECT pg_walfile_name(pg_create_restore_point('tfheal')); SELECT pg_switch_wal();" | sql 2>/dev/null); then
  lives=true mark=$(printf %s "$mark" | head -n 1) idle=0 before=
  while [ "$idle" -lt 60 ]; do
    said=$(echo "SELECT coalesce(last_archived_wal, '') >= '$mark', archived_count FROM pg_stat_archiver;" | sql 2>/dev/null)
    case $said in t*) whole=true; break ;; "$before") idle=$((idle + 1)) ;; *) idle=0 before=$said ;; esac
    sleep 0.5
  done
fi
if [ "$whole" = false ]; then
  home=$(sed -n "s/^data_directory *= *'\\([^']*\\)'.*/\\1/p" "/etc/postgresql/$cluster/postgresql.conf" 2>/dev/null | tail -n 1)
  since=$(find "$home/pg_wal/archive_status" -name '*.ready' -printf '%T@\\n' 2>/dev/null | sort -n | head -n 1)
  [ -n "$since" ] || since=$(find "$home/pg_wal" -maxdepth 1 -type f -printf '%T@\\n' 2>/dev/null | sort -n | tail -n 1)
  [ -z "$since" ] || since=$(date -u -d "@$((${since%.*} - LATE))" +%Y-%m-%dT%H:%M:%SZ)
fi
[ ! -d "$spool" ] || push || return
printf '{"message_type":"handed over","whole":%s,"lives":%s,"since":"%s"}\\n' "$whole" "$lives" "$since"
""".replace("LATE", str(EVERY))


def hand_over_tasks(release: Release) -> tuple[Task, ...]:
    """Given a release, return the tasks by which its server, if it lives, hands over what is new, and all of that is sent."""
    return (REACH, OPEN, Task(HANDED, f"{recovery.spooled(release)}{dumps.POSTGRES}{PUSH}{_FLUSH}", needed=True))


def handed(words: Iterable[dict[str, object]]) -> Handed:
    """Given what a job said that had a server hand over what it has, return how that went."""
    for found in words:
        if found.get("message_type") == "handed over":
            return Handed(
                found.get("whole") is True, found.get("lives") is True, untrusted.moment(str(found.get("since")))
            )
    return Handed(whole=False, lives=False)
