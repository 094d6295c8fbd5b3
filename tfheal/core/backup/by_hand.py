"""What the owner does by hand with a dump, in the words of the recovery sheet: no tfheal is there, and none of its scripts.

A server whose changes are stored is replayed there as a restore of ours does it, in a server of its own that nobody reaches.
"""

import posixpath
from typing import Final

from tfheal.base import sh
from tfheal.core.archiving import spool
from tfheal.core.backup import dumps
from tfheal.model.playbook import Dump
from tfheal.model.release import Release
from tfheal.model.resources import Postgres

_REPLAYED: Final = """\

What changed in the databases of {app} on {slice} since that backup, as far as it is stored. Where PostgreSQL {version} is installed this
also replays it, and leaves {results}.
For an earlier moment add recovery_target_time = '2026-01-31 12:00:00+00' and recovery_target_action = promote to the settings.

    cluster=$(restic -o "$store" snapshots --json --latest 1 --path {base} | grep -o '"cluster=[0-9]*"' | head -n 1 | tr -dc 0-9)
    restic -o "$store" snapshots --json | grep -o "\\"{spool}/$cluster/[^\\"]*\\"" | tr -d '"' | sort -u >changes-{slice}
    while read -r path; do restic -o "$store" restore latest --path "$path" --target restored/{slice} </dev/null; done <changes-{slice}
    bin=/usr/lib/postgresql/{version}/bin place=/var/lib/postgresql/recovered-{slice}
    if [ -x "$bin/postgres" ]; then
    mkdir -p "$place/server" "$place/wal"
    tar -C "$place/server" -xf restored/{slice}{base}
    find "restored/{slice}{spool}/$cluster" -type f -exec cp -t "$place/wal" {{}} +
    printf '%s\\n' 'local all all peer' >"$place/hba"
    printf '%s = %s\\n' hba_file "'$place/hba'" ident_file "'$place/ident'" unix_socket_directories "'$place'" >"$place/settings"
    printf '%s = %s\\n' listen_addresses "''" hot_standby off ssl off restore_command "'cp $place/wal/%f %p'" >>"$place/settings"
    printf '%s = %s\\n' recovery_target_timeline current >>"$place/settings"
    touch "$place/ident" "$place/server/recovery.signal"
    chown -R postgres: "$place"
    as_postgres() {{ (cd / && runuser -u postgres -- "$@"); }}
    as_postgres "$bin/pg_ctl" -D "$place/server" -w -t 86400 -l "$place/log" -o "-c config_file=$place/settings -c archive_mode=off" start
    replaying() {{ as_postgres "$bin/pg_ctl" -D "$place/server" status >/dev/null && ! as_postgres "$bin/psql" -h "$place" -c '' postgres 2>/dev/null; }}
    while replaying; do sleep 1; done
{dumped}    as_postgres "$bin/pg_ctl" -D "$place/server" -w stop
{moved}    rm -rf "$place"
    fi
"""


def put_back(dump: Dump, release: Release) -> str:
    """Given a dump, return in a sentence what its file is and how it gets back; empty for what a command of a playbook wrote."""
    if dump.sqlite is not None:
        return f"the database of SQLite {dump.sqlite}: put it there while nothing has it open, and no {posixpath.basename(dump.sqlite)}-wal beside it"
    if dump.postgres is not None:
        server = dumps.server_of(dump, release)
        return (
            f"the database {server.database} of PostgreSQL, by `pg_dump --format=custom`: `createdb {server.database}` and\n"
            f"`pg_restore --no-owner --dbname {server.database} FILE` bring it back, as a user that may make one"
        )
    return ""


def replay(release: Release, base: str, app: str, slice_name: str) -> str:
    """Given a release whose server's changes are stored and the file of its base, return the part of a sheet that replays it."""
    (cluster,) = {one.cluster for one in release.resources if isinstance(one, Postgres)}
    databases = [dumps.server_of(dump, release).database for dump in release.dumps if dump.wal]
    files = [f"restored/{slice_name}/{name}.dump" for name in databases]
    names = [(sh.quote(name), sh.quote(f"{name}.dump")) for name in databases]
    return _REPLAYED.format(
        app=app,
        slice=slice_name,
        version=cluster.partition("/")[0],
        base=base,
        spool=spool(app, release.component),
        results=f"{' and '.join(files)}, to be put back as the dump above",
        dumped="".join(
            f'    as_postgres "$bin/pg_dump" -h "$place" --format=custom --file="$place"/{file} {name}\n'
            for name, file in names
        ),
        moved="".join(f'    mv "$place"/{file} restored/{slice_name}/{file}\n' for _, file in names),
    )
