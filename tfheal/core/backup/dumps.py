"""Databases in a backup: how each kind is taken, brought back beside the live one, and switched by a rename.

A database of PostgreSQL is dumped, and restored into a new database of the same server: that a dump is whole is shown by
restoring all of it and reading all of that, as `pg_restore --list` calls one whole that was cut. One of SQLite is taken by
`VACUUM INTO`: a copy of its file alone would be without what is still in its WAL.
"""

import re
from collections.abc import Iterable
from typing import Final

from tfheal.base import sh
from tfheal.base.errors import UsageError
from tfheal.model.playbook import Dump
from tfheal.model.release import Release
from tfheal.model.resources import Postgres

JOURNALS: Final = ("-wal", "-shm", "-journal")  # what SQLite keeps beside a file that is in use
_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_ID: Final = 13  # characters of the id of a restore
GROWS: Final = 3  # times the bytes of a dump: the dump itself, its rows, and their indexes
_TAKE_SQLITE: Final = """\
[ -f "$file" ] || { echo "$file is not there" >&2; exit 1; }
rm -rf -- "${file%/*}"/.tfheal-dump-*
spool=$(mktemp -d "${file%/*}/.tfheal-dump-XXXXXX")
trap 'rm -rf -- "$spool"' EXIT
sqlite3 -bail -cmd '.timeout 20000' "$file" "VACUUM INTO '$spool/copy'" >&2
cat -- "$spool/copy"
"""
# `sql`: statements for the server's own administrator; a rename waits for who is connected, who is sent away meanwhile.
POSTGRES: Final = """
server() {
  bin=/usr/lib/postgresql/${1%/*}/bin
  number=$(sed -n 's/^port *= *\\([0-9]*\\).*/\\1/p' "/etc/postgresql/$1/postgresql.conf" | tail -n 1)
  locale="ENCODING 'UTF8' LOCALE 'C.UTF-8'"
  case ${1%/*} in 1[0-6]) ;; *) locale="$locale LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'" ;; esac
}
pg() { program=$1; shift; (cd / && exec setpriv --reuid=postgres --regid=postgres --init-groups env PGCONNECT_TIMEOUT=10 PGHOST=/var/run/postgresql PGPORT="${number:-5432}" "$bin/$program" "$@"); }
sql() { pg psql -XqAt -v ON_ERROR_STOP=1 -d "${1:-postgres}" -f -; }
# A server whose folder is gone gets a new, empty one; what is left of the old one is set aside.
renewed() {
  home=$(sed -n "s/^data_directory *= *'\\([^']*\\)'.*/\\1/p" "/etc/postgresql/$1/postgresql.conf" | tail -n 1)
  [ -n "$home" ] && [ ! -e "$home/PG_VERSION" ] || return 0
  systemctl stop "postgresql@${1%/*}-${1#*/}.service"
  [ ! -e "$home" ] || mv -T -- "$home" "$home.before-$2" || return
  install -d -m 0700 -o postgres -g postgres "$home" && sync "${home%/*}" &&
    pg initdb --pgdata "$home" --encoding UTF8 --locale C.UTF-8 --data-checksums >/dev/null &&
    systemctl start "postgresql@${1%/*}-${1#*/}.service"
}
exists() { [ -n "$(echo "SELECT 1 FROM pg_database WHERE datname = '$1';" | sql)" ]; }
drop() { echo "DROP DATABASE IF EXISTS \\"$1\\" WITH (FORCE);" | sql; }
drop_left() { echo "SELECT datname FROM pg_database WHERE datname ~ '^$1$';" | sql | while IFS= read -r left; do drop "$left"; done; }
away() {
  while :; do
    echo "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ('$1', '$2') AND backend_type = 'client backend';" | sql
    sleep 0.3
  done
}
renamed() {
  for round in 1 2 3; do
    away "$1" "$3" >/dev/null 2>&1 &
    sender=$!
    said=$({
      echo "BEGIN;"
      ! exists "$1" || echo "ALTER DATABASE \\"$1\\" RENAME TO \\"$2\\";"
      echo "ALTER DATABASE \\"$3\\" RENAME TO \\"$1\\"; COMMIT;"
    } | sql 2>&1)
    status=$?
    kill "$sender" 2>/dev/null
    wait "$sender" 2>/dev/null
    [ "$status" -ne 0 ] || return 0
  done
  printf '%s\\n' "$said"
  return 1
}
database_in() { exists "$2" || { exists "$3"; return; }; renamed "$1" "$3" "$2"; }
database_back() { ! exists "$3" || renamed "$1" "$2" "$3" || return; drop "$2"; }
"""
_BESIDE: Final = """\
server "$cluster"
renewed "$cluster" "$id" || { fail "the server of $database cannot be made anew"; return; }
place=$(echo 'SHOW data_directory;' | sql) && [ -n "$place" ] || { fail "the server of $database does not answer"; return; }
spool=${place%/*}/.tfheal-restore-$id-$database
rm -rf "${place%/*}/.tfheal-restore-"*"-$database"
mkdir -p -m 0700 "$spool" || { fail "cannot make $spool"; return; }
free=$(df --output=avail -B1 "$spool" | tail -n 1)
[ "$free" -ge "$wanted" ] || { rm -rf "$spool"; refuse "no room beside $database: $((wanted - free)) bytes are missing on $(df --output=target "${place%/*}" | tail -n 1)"; return; }
r restore "$snapshot" --verify --target "$spool" && [ -s "$spool/$name" ] && chown -R postgres: "$spool" ||
  { rm -rf "$spool"; fail "restic did not bring back the dump of $database"; return; }
"""
# From a file of a dump to a database beside the live one, however the file came there.
_LOAD: Final = """\
made=$({
  echo "SELECT 'CREATE ROLE \\"$role\\" NOLOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '$role') \\gexec" | sql &&
  drop "$new" && echo "CREATE DATABASE \\"$new\\" OWNER \\"$role\\" TEMPLATE template0 $locale;
    REVOKE CONNECT, TEMPORARY ON DATABASE \\"$new\\" FROM PUBLIC;" | sql &&
  pg pg_restore --exit-on-error --dbname "$new" "$spool/$name" && echo 'ANALYZE;' | sql "$new" && pg pg_dump --file /dev/null "$new"
} 2>&1 >/dev/null) || { rm -rf "$spool"; fail "the dump of $database is not whole: $(printf %s "$made" | tail -n 1 | head -c 300)"; return; }
rm -rf "$spool"
"""
_BESIDE_SQLITE: Final = """\
mkdir -p -m 0700 "$target.d" && r restore "$snapshot" --verify --target "$target.d" && [ -s "$target.d/$name" ] ||
  { fail "restic did not bring back $file"; return; }
said=$(sqlite3 -bail "$target.d/$name" 'PRAGMA integrity_check;' 2>&1)
[ "$said" = ok ] || { fail "$file is damaged: $(printf %s "$said" | tail -n 1 | head -c 300)"; return; }
like=${file%/*}; mode=0640
[ ! -d "${target%/*}" ] || like=${target%/*}
[ ! -e "$file" ] || { like=$file; mode=$(stat -c %a "$file"); }
mkdir -p -- "${target%/*}" && mv -T -- "$target.d/$name" "$target" && rmdir "$target.d" &&
  chown --reference="$like" -- "$target" && chmod "$mode" -- "$target" || { fail "cannot write $target"; return; }
"""


def command(dump: Dump, release: Release) -> str:
    """Given a rendered dump and its release, return the command for bash that writes all of it to stdout."""
    if dump.sqlite is not None:
        return f"file={sh.quote(dump.sqlite)}\n{_TAKE_SQLITE}"
    if dump.postgres is not None:
        # Not compressed by itself, so that what did not change is stored once.
        return f"{_server(dump, release)}pg pg_dump --format=custom --compress=0 {dump.postgres}"
    return dump.command or ""


def file_name(what: str) -> str:
    """Given what a part with a dump is called, return the name of the one file in its snapshot."""
    return f"{what.replace('/', '-')}.dump"


def left_out(releases: Iterable[Release]) -> tuple[str, ...]:
    """Return the files that no snapshot of folders holds: databases that are taken by themselves."""
    files = [dump.sqlite for release in releases for dump in release.dumps if dump.sqlite]
    return tuple(f"{file}{tail}" for file in files for tail in ("", *JOURNALS))


def databases(release: Release, names: Iterable[str]) -> tuple[Dump, ...]:
    """Given a release and the names of dumps, return those that are databases of a PostgreSQL server."""
    return tuple(dump for dump in release.dumps if dump.name in set(names) and dump.postgres is not None)


def files(release: Release, names: Iterable[str]) -> tuple[str, ...]:
    """Given a release and the names of dumps, return the files of SQLite among them."""
    return tuple(dump.sqlite for dump in release.dumps if dump.name in set(names) and dump.sqlite is not None)


def within(file: str, folders: Iterable[str]) -> str:
    """Given a file and folders that are restored with it, return the folder that it lies in, or the file itself."""
    return next((folder for folder in folders if file.startswith(f"{folder}/")), file)


def new_name(database: str, restore: str) -> str:
    """Return what a database is called while it is beside the live one."""
    return _short(database, f"_new_{restore}")


def old_name(database: str, restore: str) -> str:
    """Return what a database is called that was set aside by a restore."""
    return _short(database, f"_before_{restore}")


def beside_database(dump: Dump, release: Release, restore: str, fetch: str = "") -> str:
    """Return sh, for a job of restic, that restores a dump into a new database; `snapshot`, `bytes` and `name` are set.

    `fetch` is sh that makes the dump in another way than by taking it from a snapshot.
    """
    server = server_of(dump, release)
    values = {
        "id": restore,
        "cluster": server.cluster,
        "database": server.database,
        "role": server.role,
        "new": new_name(server.database, restore),
    }
    return _assigned(values) + (fetch or f"wanted=$((bytes * {GROWS} + spare))\n{_BESIDE}") + _LOAD


def beside_file(file: str, target: str) -> str:
    """Return sh, for a job of restic, that brings a file of SQLite back to `target`; `snapshot` and `name` are set."""
    return _assigned({"file": file, "target": target}) + _BESIDE_SQLITE


def dropped(dump: Dump, release: Release, restore: str) -> str:
    """Return sh that drops the database which a restore made beside the live one."""
    server = server_of(dump, release)
    return f"server {server.cluster}; drop {new_name(server.database, restore)}"


def left(dump: Dump, release: Release) -> str:
    """Return sh that drops every database which a restore of it made beside the live one and never switched."""
    server = server_of(dump, release)
    begins = new_name(server.database, "0" * _ID)[:-_ID]
    return f"server {server.cluster}; drop_left '{begins}[0-9][0-9a-z]{{{_ID - 1}}}'"


def switched(dump: Dump, release: Release, restore: str, *, back: bool = False) -> str:
    """Return sh that puts the restored database in the place of the live one, or takes that back."""
    server = server_of(dump, release)
    names = sh.join(server.database, new_name(server.database, restore), old_name(server.database, restore))
    return f"server {server.cluster}; {'database_back' if back else 'database_in'} {names}"


def server_of(dump: Dump, release: Release) -> Postgres:
    """Given a dump and its release, return the resource that makes its database; raise UsageError if nothing does."""
    for resource in release.resources:
        if isinstance(resource, Postgres) and resource.database == dump.postgres:
            if not _NAME.fullmatch(resource.database) or not _NAME.fullmatch(resource.role):
                raise UsageError(f"{resource.database!r} is not a name for a database", where=str(release.instance))
            return resource
    raise UsageError(
        f"the dump {dump.name} is of the database {dump.postgres}, which nothing makes",
        where=str(release.instance),
        hint="a resource of kind postgres in the same component makes one",
    )


def _server(dump: Dump, release: Release) -> str:
    return f"{POSTGRES}server {server_of(dump, release).cluster}\n"


def _short(database: str, tail: str) -> str:
    return database[: 63 - len(tail)] + tail  # NAMEDATALEN of PostgreSQL


def _assigned(values: dict[str, str]) -> str:
    return "".join(f"{name}={sh.quote(value)}\n" for name, value in values.items())
