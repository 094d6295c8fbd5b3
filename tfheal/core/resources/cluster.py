"""The data of an instance moves to another major version of PostgreSQL: by dump, into a new cluster beside the old one.

A unit of its own does it, so that no killed tfheal ends it in the middle. Both servers are behind sockets that nobody else
gets at while they are read and filled: no row is written that the dump would miss. What was restored is read again and
compared with what there was, all of it. The move counts from the moment that the old cluster may not be started any more;
until then the old one runs on as it was, and afterwards it stays, stopped, as the way back. That way is open while nothing
was written since, which is told by a digest of all that is there.
"""

from typing import Final

from tfheal.core.resources.step import Step, apply_script, check_script, packed, plain_script
from tfheal.model import paths
from tfheal.model.release import Release
from tfheal.model.resources import Packages, Postgres

MOVE: Final = "cluster"
ROOM: Final = "room for another cluster"
SINCE: Final = "was written since"  # what a way back that loses something is refused with
LONGEST: Final = 12 * 3_600.0
_SPARE: Final = 64 << 20  # bytes that stay free
_MOST_LOG: Final = 1 << 30  # bytes that the new server's own log takes besides, at most (max_wal_size)
_DRAIN: Final = 10  # seconds that transactions have to end before the old server is stopped

# What is known of a cluster of Debian's, by its name as VERSION/NAME; `present` is the one that has the data.
_KNOWN: Final = r"""
unit_of() { echo "postgresql@${1%/*}-${1#*/}.service"; }
value() { sed -n "s/^$2 *= *'\{0,1\}\([^'#[:space:]]*\).*/\1/p" "/etc/postgresql/$1/postgresql.conf" | tail -n 1; }
number() { od -An -tu8 -N8 "$(value "$1" data_directory)/global/pg_control" | tr -d ' '; }
starts() { sed -n -e 's/#.*//' -e 's/[[:space:]]//g' -e '/./p' "/etc/postgresql/$1/start.conf" | tail -n 1; }
# A second copy of what lies in $home, and what its server logs meanwhile.
room() {
    used=$(du -sb "$home/base" | cut -f 1)
    need=$((used + (used < MOST_LOG ? used : MOST_LOG) + SPARE))
    free=$(df --output=avail -B1 "${home%/*/*}" | tail -n 1)
}
present() {
    cat -- "$state/cluster" 2>/dev/null && return
    [ ! -e "/etc/postgresql/$cluster/tfheal/$first.conf" ] || { echo "$cluster"; return; }
    for rules in /etc/postgresql/*/*/tfheal/"$first.conf"; do
        [ -e "$rules" ] || continue
        rules=${rules#/etc/postgresql/}
        echo "${rules%/tfheal/*}"
        return
    done
}
""".replace("MOST_LOG", str(_MOST_LOG)).replace("SPARE", str(_SPARE))
_CHECK: Final = f"""{_KNOWN}
! systemctl is-active --quiet "$move.service" || differs "its data is being moved to $cluster"
at=$(present)
[ -n "$at" ] || exit 0
[ "$at" = "$cluster" ] || differs "its data is in $at, and is to be in $cluster"
[ "$(starts "$cluster")" != disabled ] || differs "a move of its data to another cluster was cut off"
! systemctl is-active --quiet "$move-*.service" || differs "a move of its data was cut off, and its server is shut in"
"""
# `at CLUSTER` makes that the server that is meant, `live CLUSTER` where its clients find it, `at` behind a socket that only it
# and we reach, once it is `alone`. What is asked is asked with the programs of the `new` one.
_ASKED: Final = r"""
run=/run/$move
at() { at=$1 bin=/usr/lib/postgresql/${1%/*}/bin socket=$run/${1%/*} port=5432 own=$move-${1%/*}.service; }
live() { at "$1"; socket=/var/run/postgresql port=$(value "$1" port); }
pg() { program=$1; shift; (cd / && exec setpriv --reuid=postgres --regid=postgres --init-groups env PGHOST="$socket" PGPORT="$port" PGCONNECT_TIMEOUT=10 "$new/$program" "$@"); }
sql() { pg psql -XqAt -v ON_ERROR_STOP=1 -v VERBOSITY=terse -d "${1:-postgres}" -f -; }
# All that is in the databases, in the order in which it lies there: two servers with the same say the same.
digest() {
    torn=$state/torn-$1
    rm -f "$torn"
    for database in $databases; do
        { pg pg_dump --"$1"-only --dbname "$database" || : >"$torn"; } | grep -avE '^(\\(un)?restrict |-- Dumped from )'
    done | sha256sum
    [ ! -e "$torn" ]
}
way() { sed -n "s/.*\<$1=\([^ ]*\).*/\1/p" "$state/way-back" 2>/dev/null; }
leads_back() { [ "$(way old) $(way new) $(way old_number) $(way new_number)" = "$1 $2 $(number "$1") $(number "$2")" ]; }
unchanged() { data=$(digest data) && schema=$(digest schema) || return 2; [ "${data%% *} ${schema%% *}" = "$(way data) $(way schema)" ]; }
waited() { while systemctl is-active --quiet "$move.service"; do sleep 0.3; done; }
"""
_ALONE: Final = r"""
exec >"$state/move/log" 2>&1 </dev/null
say() { printf '%s\n' "$*" >"$state/move/result.new"; sync "$state/move/result.new"; mv -T "$state/move/result.new" "$state/move/result"; }
halt() { at "$1"; ! systemctl is-active --quiet "$own" || systemctl stop "$own"; }
alone() {
    at "$1"
    shift
    systemctl stop "$own"
    systemctl stop "$(unit_of "$at")"
    install -d -m 0711 "$run" && install -d -m 0700 -o postgres -g postgres "$socket" &&
        printf 'local all all peer\n' >"$run/hba" && : >"$run/ident" || return
    systemd-run --quiet --collect --unit="$own" --uid=postgres -p KillSignal=SIGINT -p TimeoutStopSec=1h -p OOMScoreAdjust=-900 \
        "$bin/postgres" -D "$(value "$at" data_directory)" -c config_file="/etc/postgresql/$at/postgresql.conf" \
        -c hba_file="$run/hba" -c ident_file="$run/ident" -c listen_addresses= -c unix_socket_directories="$socket" -c port=5432 \
        -c external_pid_file= -c ssl=off -c autovacuum=off "$@" || return
    until echo 'SELECT 1;' | sql >/dev/null 2>&1; do
        systemctl is-active --quiet "$own" || { echo "the server of $at ended: $(journalctl -u "$own" -n 5 --no-pager -o cat)"; return 1; }
        sleep 0.3
    done
}
set_value() { sed -i -E "s/^$2 *= *[0-9]+/$2 = $3/" "/etc/postgresql/$1/postgresql.conf" && sync "/etc/postgresql/$1/postgresql.conf"; }
set_start() {
    sed -i -E 's/^[[:space:]]*(auto|manual|disabled)[[:space:]]*$/'"$2/" "/etc/postgresql/$1/start.conf" && sync "/etc/postgresql/$1/start.conf" &&
        [ "$(starts "$1")" = "$2" ]
}
# From here on the other one serves, under the port that its clients know; whoever was cut off in it goes on with it.
handed_over() {
    set_start "$1" disabled && halt "$1" && halt "$2" && set_value "$1" port "$4" && set_value "$2" port "$3" &&
        set_start "$2" auto && echo "$2" >"$state/cluster.new" && sync "$state/cluster.new" && mv -T "$state/cluster.new" "$state/cluster" &&
        sync "$state" && systemctl daemon-reload && systemctl restart "$(unit_of "$2")" && rm -rf "$run"
}
"""
# The old one is asked to take no new sessions, and what is under way has a while to end; a checkpoint makes the stop short.
_MOVED: Final = r"""
undone() {
    echo "$*"
    halt "$cluster"
    halt "$old"
    ! made || pg_dropcluster --stop "${cluster%/*}" "${cluster#*/}"
    rm -rf "$run" "$state/made-cluster"
    systemctl start "$(unit_of "$old")"
    say "failed $*"
    exit 1
}
said() { tail -n "${1:-3}" "$state/move/log" | tr '\n' ' '; }
# One of ours that was cut off while it was thrown away may have lost its number.
made() {
    [ -e "/etc/postgresql/$cluster/postgresql.conf" ] && [ -s "$state/made-cluster" ] &&
        { found=$(number "$cluster"); [ -z "$found" ] || [ "$found" = "$(cat "$state/made-cluster")" ]; }
}
# What was cut off while a cluster was made or thrown away: nothing else is there, and no table or database of anybody.
stump() {
    [ -z "$(ls -A "$1" | grep -vE '^(PG_VERSION|base|global|(pg_|post).*)$')" ] && [ -z "$(ls -A "$1/pg_tblspc" 2>/dev/null)" ] &&
        [ -z "$(find "$1/base" -printf '%f\n' 2>/dev/null | awk -F '[_.]' '$1 ~ /^[0-9]+$/ && $1 >= 16384')" ]
}
here() { live "$1"; sql "${2:-postgres}"; }
# What is in a cluster that its package does not make.
strangers() {
    here "$1" <<END
SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'
UNION ALL SELECT rolname FROM pg_roles WHERE rolname <> 'postgres' AND rolname !~ '^pg_'
UNION ALL SELECT relname FROM pg_class WHERE oid >= 16384 LIMIT 3;
END
}
fits() {
    for database in $(echo "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres';" | here "$old"); do
        case " $databases " in *" $database "*) ;; *) undone "$old has a database that is not of this app: $database" ;; esac
    done
    [ "$(echo "SELECT count(*) FROM pg_tablespace;" | here "$old")" = 2 ] || undone "$old has tablespaces of its own, or does not answer"
    home=$(value "$old" data_directory)
    room
    [ "$free" -ge "$need" ] || undone "there is no room for a second copy of the databases: $((need - free)) bytes are missing"
}
# What the package made, or an attempt before this one, is made anew: there is nothing in it. Neither is it begun nor thrown away
# in one step, so a machine that went down in the midst of that may have left a part of it, which nothing can be made of.
empty() {
    others= home=/var/lib/postgresql/$cluster
    if [ -e "/etc/postgresql/$cluster/postgresql.conf" ]; then
        home=$(value "$cluster" data_directory) home=${home:-/var/lib/postgresql/$cluster}
        made || { systemctl start "$(unit_of "$cluster")"; others=$(strangers "$cluster") && [ -z "$others" ]; } ||
            { [ -z "$others" ] && stump "$home"; } || undone "$cluster is there already, and not empty: ${others:-$(said)}"
        halt "$cluster"
        pg_dropcluster --stop "${cluster%/*}" "${cluster#*/}" || undone "$cluster cannot be made anew: $(said)"
    fi
    [ ! -d "$home" ] || { stump "$home" && find "$home" -mindepth 1 -delete; } || undone "$home is there already, and not empty"
    pg_createcluster --start-conf=manual --encoding=UTF8 --locale=C.UTF-8 "${cluster%/*}" "${cluster#*/}" -- --data-checksums || undone "$cluster is not to be had: $(said)"
    number "$cluster" >"$state/made-cluster.new" && sync "$state/made-cluster.new" &&
        mv -T "$state/made-cluster.new" "$state/made-cluster" && sync "$state" || undone "$(said)"
    alone "$cluster" -c archive_mode=off || undone "$(said)"
    for database in $databases; do
        for extension in $(echo "SELECT extname FROM pg_extension;" | here "$old" "$database"); do
            at "$cluster"
            [ -n "$(echo "SELECT 1 FROM pg_available_extensions WHERE name = '$extension';" | sql)" ] || undone "the extension $extension of $database is not to be had for $cluster"
        done
    done
}
drained() {
    home=$(value "$old" data_directory)
    here "$old" <<END || :
CHECKPOINT;
\\! kill -TERM $(head -n 1 "$home/postmaster.pid")
DO \$\$ BEGIN
    FOR moment IN 1 .. $((10 * patience)) LOOP
        PERFORM pg_stat_clear_snapshot();
        EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity
            WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND state <> 'idle');
        PERFORM pg_sleep(0.1);
    END LOOP;
END \$\$;
END
}
copied() {
    at "$old"
    { pg pg_dumpall --roles-only || : >"$state/move/torn"; } | sed '/^\(CREATE\|ALTER\) ROLE postgres\( WITH .*\)\{0,1\};$/d' | { at "$cluster"; sql; } || return
    for database in $databases; do
        at "$old"
        { pg pg_dump --format=custom --compress=0 --create --dbname "$database" || : >"$state/move/torn"; } |
            { at "$cluster"; pg pg_restore --exit-on-error --create --dbname postgres; } || return
        [ ! -e "$state/move/torn" ] || { echo "the dump of $database did not come to its end"; return 1; }
        at "$cluster"
        echo 'VACUUM ANALYZE;' | sql "$database" || return
    done
}
# What pg_amcheck needs is put there for it, and taken away again where it was not there before.
sound() {
    at "$cluster"
    for database in $databases; do
        had=$(echo "SELECT 1 FROM pg_extension WHERE extname = 'amcheck';" | sql "$database")
        pg pg_amcheck --install-missing --heapallindexed --parent-check "$database" || return
        [ -n "$had" ] || echo 'DROP EXTENSION amcheck;' | sql "$database" || return
    done
}
# Whom the old one lets in, the new one does too, before the playbook's own rules are put there.
let_in() {
    from=/etc/postgresql/$old to=/etc/postgresql/$cluster
    cp -a "$from/tfheal" "$to/" && cp -a "$from/conf.d/tfheal.conf" "$to/conf.d/" &&
        { grep -qxF 'include_dir "tfheal"' "$to/pg_hba.conf" || sed -i '1i include_dir "tfheal"' "$to/pg_hba.conf"; } && sync "$to"/*.conf "$to"/*/*.conf
}
moved() {
    new=/usr/lib/postgresql/${cluster%/*}/bin
    rm -f "$state/move/torn"
    halt "$old"
    systemctl start "$(unit_of "$old")"
    fits
    empty
    drained
    alone "$old" -c default_transaction_read_only=on || undone "$(said)"
    copied || undone "the data could not be copied: $(said)"
    at "$old"
    before=$(digest data) || undone "$old cannot be read again: $(said)"
    at "$cluster"
    after=$(digest data) && schema=$(digest schema) || undone "what was restored cannot be read: $(said)"
    [ "$before" = "$after" ] || undone "what was restored into $cluster is not what $old has"
    sound || undone "what was restored is not sound: $(said)"
    let_in || undone "$(said)"
    at "$old"
    echo 'SELECT 1;' | sql || undone "$old ended meanwhile"
    printf 'old=%s new=%s old_port=%s new_port=%s old_number=%s new_number=%s data=%s schema=%s\n' "$old" "$cluster" \
        "$(value "$old" port)" "$(value "$cluster" port)" "$(number "$old")" "$(number "$cluster")" "${after%% *}" "${schema%% *}" >"$state/way-back.new" &&
        sync "$state/way-back.new" && mv -T "$state/way-back.new" "$state/way-back" && sync "$state" || undone "$(said)"
    handed_over "$old" "$cluster" "$(value "$old" port)" "$(value "$cluster" port)"
}
"""
# Nobody gets in while it is told whether anything was written.
_BACK: Final = r"""
gone_back() {
    leads_back "$cluster" "$old" || { say "failed what is in $old cannot go to $cluster: there is no way back"; exit 1; }
    new=/usr/lib/postgresql/${old%/*}/bin
    if [ "$lose" != yes ]; then
        alone "$old" -c default_transaction_read_only=on -c archive_mode=off && unchanged
        case $? in
        0) why= ;;
        1) why="what SINCE in $old would be lost in $cluster" ;;
        *) why="$old cannot be read" ;;
        esac
        halt "$old"
        [ -z "$why" ] || { systemctl start "$(unit_of "$old")"; say "failed $why"; exit 1; }
    fi
    systemctl stop "$(unit_of "$old")"
    returned || return
    rm -f "$state/way-back"
    [ "$lose" = yes ] || pg_dropcluster "${old%/*}" "${old#*/}"
}
returned() { handed_over "$old" "$cluster" "$(way old_port)" "$(way new_port)"; }
""".replace("SINCE", SINCE)
_WORK: Final = f"""{_KNOWN}{_ASKED}{_ALONE}{_MOVED}{_BACK}
new=/usr/lib/postgresql/${{cluster%/*}}/bin
old=$(present)
if [ "$old" = "$cluster" ]; then
    # It was cut off after the old one was shut, and before the other one served.
    old=$(way new)
    returned
elif [ "$(way old)" = "$old" ] && [ "$(way new)" = "$cluster" ] && [ "$(starts "$old")" = disabled ]; then
    handed_over "$old" "$cluster" "$(way old_port)" "$(way new_port)"
elif [ "$(printf '%s\\n%s\\n' "$old" "$cluster" | sort -V | tail -n 1)" = "$cluster" ]; then
    moved
else
    gone_back
fi || {{ say "failed it is not over yet: $(tail -n 3 "$state/move/log" | tr '\\n' ' ')"; exit 1; }}
say done
"""
_APPLY: Final = f"""{_KNOWN}{_ASKED}
waited
[ -n "$(present)" ] || exit 0
if [ "$(present)" = "$cluster" ] && [ "$(starts "$cluster")" != disabled ]; then
    systemctl stop "$move-*.service"
    exit 0
fi
mkdir -p -m 0700 "$state/move"
rm -f "$state/move/result"
printf %s "$work" | base64 -d >"$state/move/work"
systemctl reset-failed "$move.service" 2>/dev/null || :
systemd-run --quiet --collect --unit="$move" -p Type=exec sh "$state/move/work"
waited
result=$(cat "$state/move/result" 2>/dev/null) || fail "it did not tell how it ended: $(tail -n 5 "$state/move/log")"
[ "$result" = done ] || fail "${{result#failed }}"
"""
# Of the live server: what is written in the same moment, the way back itself sees.
_LOST: Final = f"""{_KNOWN}{_ASKED}
waited
old=$(present)
[ -n "$old" ] && [ "$old" != "$cluster" ] || exit 0
leads_back "$cluster" "$old" || fail "what is in $old cannot go to $cluster: there is no way back"
new=/usr/lib/postgresql/${{old%/*}}/bin
live "$old"
unchanged && exit 0
[ "$?" = 1 ] || fail "$old cannot be read"
fail "what SINCE in $old would be lost in $cluster"
""".replace("SINCE", SINCE)
_ROOM: Final = f"""{_KNOWN}
at=$(present)
[ -n "$at" ] && [ "$at" != "$cluster" ] && [ "$(starts "$at")" != disabled ] || exit 0
if [ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -print -quit 2>/dev/null)" ]; then
    for package in $packages; do
        dpkg-query -W -f '${{db:Status-Status}}' "$package" 2>/dev/null | grep -qx installed && continue
        apt-cache policy "$package" | grep -qE '^  Candidate: [^(]' || differs "the package $package is not to be had there"
    done
fi
home=$(value "$at" data_directory)
room
[ "$free" -ge "$need" ] || differs "there is no room for a second copy of the databases: $((need - free)) bytes are missing beside $home"
"""
# What moves left behind, stopped.
_REMOVE: Final = f"""{_KNOWN}{_ASKED}
for folder in /etc/postgresql/*/*/; do
    left=${{folder#/etc/postgresql/}} left=${{left%/}}
    [ -e "$folder/start.conf" ] && [ "$(starts "$left")" = disabled ] && found=$(number "$left") && [ -n "$found" ] || continue
    case " $(way old_number) $(cat "$state/made-cluster" 2>/dev/null || :) " in
    *" $found "*) pg_dropcluster "${{left%/*}}" "${{left#*/}}" ;;
    esac
done
"""


def cluster_of(release: Release) -> str:
    """Return the cluster that the databases of a release are in, empty if it has none."""
    return next((one.cluster for one in release.resources if isinstance(one, Postgres)), "")


def step(release: Release, *, lose: bool = False) -> Step | None:
    """Given a release, return the step that has its data in its own cluster of PostgreSQL, None if it has no database.

    Going back to an older one is refused where it would lose what was written, unless that is said (`lose`).
    """
    if not cluster_of(release):
        return None
    there = _there(release)
    work = {"lose": "yes" if lose else "no", "patience": str(_DRAIN)}
    text = plain_script(_WORK, **there, **work)
    return Step(
        id=MOVE,
        check=check_script(_CHECK, **there),
        apply=apply_script(_APPLY, **there, work=packed(text.encode())),
        remove=apply_script(_REMOVE, **there),
        timeout=LONGEST,
        holds_data=True,
    )


def lost(release: Release) -> Step:
    """Given a release with databases, return the step that fails where going back to it would lose what was written since."""
    return Step("nothing is lost", "", apply_script(_LOST, **_there(release)), None, timeout=LONGEST)


def room(release: Release) -> Step | None:
    """Given a release, return the step that fails where its databases have to move and cannot, for want of room or packages."""
    if not cluster_of(release):
        return None
    packages = [name for one in release.resources if isinstance(one, Packages) for name in one.names]
    names = " ".join(name.partition("=")[0] for name in packages)
    check = check_script(_ROOM, **_there(release), packages=names)
    return Step(ROOM, check, apply_script('fail "there is no room"'), None, timeout=30.0, check_timeout=60.0)


def _there(release: Release) -> dict[str, str]:
    servers = [one for one in release.resources if isinstance(one, Postgres)]
    return {
        "state": paths.state(release.app, release.component),
        "move": f"tfheal-{release.app}-{release.component}-move",
        "cluster": servers[0].cluster,
        "first": servers[0].database,
        "databases": " ".join(one.database for one in servers),
    }
