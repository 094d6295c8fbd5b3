"""Whether the archiver of a server gets on: a base ends only when the server has handed over all that was changed meanwhile.

PostgreSQL waits for that without an end. How long a base is copied says nothing of it, so no time is set for the whole: what
is watched is a segment that waits, while no other one is handed over either.
"""

from typing import Final

# Minutes that a segment may wait before it counts: a command that failed is tried again each minute.
_PATIENCE: Final = 2
_LOOKS: Final = 12  # looks at it, five seconds apart, at which nothing was handed over
# `place` is the folder of the server.
STUCK: Final = """\
waiting() { find "$place/pg_wal/archive_status" -name '*.ready' -mmin +PATIENCE | wc -l; }
failing() { [ "$(echo "SELECT last_failed_time > coalesce(last_archived_time, '-infinity') FROM pg_stat_archiver;" | sql)" = t ]; }
stuck() {
  waits=$(waiting)
  [ "$waits" -gt 0 ] || return
  echo "the server could not hand over $waits segments for more than PATIENCE minutes, and no base ends before: see its log for archive_command" >&2
}
""".replace("PATIENCE", str(_PATIENCE))
# As `pg` of the dumps runs a program, but not through a function of the shell: killed is the program itself, not its shell.
_WATCHED: Final = """\
place=$(echo 'SHOW data_directory;' | sql)
cd /
setpriv --reuid=postgres --regid=postgres --init-groups env PGCONNECT_TIMEOUT=10 PGHOST=/var/run/postgresql PGPORT="${number:-5432}" COMMAND &
taking=$!
(
  set +e
  idle=0 before=
  while sleep 5; do
    count=$(echo 'SELECT archived_count FROM pg_stat_archiver;' | sql)
    if [ "$count" != "$before" ] || [ "$(waiting)" -eq 0 ]; then idle=0 before=$count; continue; fi
    idle=$((idle + 1))
    [ "$idle" -lt LOOKS ] || { kill "$taking"; exit; }
  done
) >/dev/null 2>&1 &
watching=$!
trap 'kill "$watching" 2>/dev/null' EXIT
wait "$taking"
""".replace("LOOKS", str(_LOOKS))


def watched(command: str) -> str:
    """Given a command of PostgreSQL's that waits for the archiver, return bash that runs it, and ends it where that is stuck."""
    return STUCK + _WATCHED.replace("COMMAND", command)
