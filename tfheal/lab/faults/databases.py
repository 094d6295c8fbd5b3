"""Faults of a database: the server stops, or serves nobody any more. Its data stays untouched."""

from typing import Final

from tfheal.lab.faults.fault import Fault, Scripts, of_scripts
from tfheal.lab.faults.services import START, STATE
from tfheal.model.lab import FaultKind

# Debian's unit of a server is postgresql@VERSION-CLUSTER.service. `sql DATABASE` runs statements as its administrator.
_SERVER: Final = r"""
case $unit in
postgresql@*-*.service) ;;
*) echo "$unit is not PostgreSQL: the fault is for the instance whose unit it is" >&2; exit 1 ;;
esac
cluster=${unit#postgresql@} cluster=${cluster%.service}
cluster=${cluster%%-*}/${cluster#*-}
sql() { setpriv --reuid=postgres --regid=postgres --init-groups env PGCLUSTER="$cluster" PGCONNECT_TIMEOUT=5 \
    psql -XqAt -v ON_ERROR_STOP=1 -d "${1-postgres}" -f - 2>&1; }
owned="NOT datistemplate AND datname <> 'postgres'"
"""
_END_SESSIONS: Final = """echo "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND usename NOT IN ('postgres', 'nobody');" | sql >/dev/null
"""
# An orderly stop, after which systemd leaves the server alone.
_IS_DOWN: Final = 'pg_lsclusters --no-header "${cluster%/*}" "${cluster#*/}" | grep -qw down'
DB_DOWN: Final = of_scripts(
    FaultKind(
        "db-down",
        "database",
        does="stops the PostgreSQL server of the instance: whatever works with its databases has none any more",
        proven="its cluster is `down`",
        mended="the server is started",
        needs="postgres",
    ),
    Scripts(
        put=f'{_SERVER}systemctl stop "$unit"\n',
        seen=f'{_SERVER}{_IS_DOWN} && echo "$unit is {STATE}, its cluster is down"',
        mend=START,
    ),
)

# It takes each place as it becomes free until it is told to stop, and keeps what it has until the server ends it: whoever
# starts the server anew is rid of it.
_CROWD: Final = r"""
use IO::Socket::UNIX;
my ($path, @held) = shift;
my $taking = 1;
$SIG{USR1} = sub { $taking = 0 };
while ($taking) {
    my $one = IO::Socket::UNIX->new(Peer => $path);
    my $asked = pack("N", 196608) . "user\0nobody\0database\0postgres\0\0";
    my ($kind, $said) = ("", "");
    if ($one) {
        syswrite $one, pack("N", length($asked) + 4) . $asked;
        while ($kind !~ /[ZE]/ && sysread($one, $said, 5) == 5) {
            $kind = substr $said, 0, 1;
            my $rest = unpack("N", substr $said, 1) - 4;
            while ($rest > 0) { my $read = sysread $one, $said, $rest; last unless $read; $rest -= $read }
        }
    }
    if ($kind eq "Z") { push @held, $one } else { select undef, undef, undef, 0.1 }
}
sleep 1 while 1;
"""
_TAKEN: Final = r"""
said=$(echo "SELECT format('%s of %s connections are held by a stranger', count(*), current_setting('max_connections'))
    FROM pg_stat_activity WHERE usename = 'nobody' HAVING count(*) > 0 AND count(*) >=
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - 3;" | sql)
"""
EXHAUST_CONNECTIONS: Final = of_scripts(
    FaultKind(
        "exhaust-connections",
        "database",
        does="ends all sessions of the PostgreSQL server, and has a stranger hold all connections but the administrator's own",
        proven="he holds them",
        mended="he lets go",
        needs="postgres",
    ),
    Scripts(
        put=rf"""{_SERVER}
echo "SELECT 'CREATE ROLE nobody LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'nobody') \gexec" | sql
port=$(pg_lsclusters --no-header "${{cluster%/*}}" "${{cluster#*/}}" | awk '{{ print $3 }}')
systemd-run --quiet --collect --expand-environment=no --unit=crowd --uid=nobody perl -e '{_CROWD}' "/var/run/postgresql/.s.PGSQL.$port"
for attempt in $(seq 30); do  # also of those who come back while it is at it, and though somebody restarts the server
    {{ {_END_SESSIONS}}} || true
    sleep 0.2
done
systemctl kill --signal=USR1 crowd
""",
        seen=f'{_SERVER}{_TAKEN}\n[ -n "$said" ] && systemctl is-active --quiet crowd && echo "$said"',
        mend=f"""{_SERVER}systemctl stop crowd 2>/dev/null || true
echo 'DROP ROLE IF EXISTS nobody;' | sql
""",
    ),
)

# The verifier of no password at all, by which it is known that it is ours.
_VERIFIER: Final = (  # with its dollars as a shell wants them between double quotes
    r"SCRAM-SHA-256\$4096:YS1mYXVsdC1vZi10aGUtbGFi\$"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
)
_ROLES: Final = "rolname IN (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE $owned)"
CHANGE_ROLE_PASSWORD: Final = of_scripts(
    FaultKind(
        "change-role-password",
        "database",
        does="changes the passwords of the roles that own the server's databases, and ends their sessions",
        proven="their password is another",
        mended="their passwords are put back",
        needs="postgres",
    ),
    Scripts(
        save=f"""{_SERVER}
echo "SELECT format('ALTER ROLE %I PASSWORD %L;', rolname, rolpassword) FROM pg_authid WHERE {_ROLES} AND rolpassword IS NOT NULL;" | sql
""",
        put=f"""{_SERVER}
echo "SELECT format('ALTER ROLE %I PASSWORD %L', rolname, '{_VERIFIER}') FROM pg_authid WHERE {_ROLES} \\gexec" | sql
{_END_SESSIONS}""",
        seen=f"""{_SERVER}
roles=$(echo "SELECT rolname FROM pg_authid WHERE rolpassword = '{_VERIFIER}';" | sql) &&
[ -n "$roles" ] && echo "the password is another for the role" $roles
""",
        mend=f"""{_SERVER}
roles=$(echo "SELECT rolname FROM pg_authid WHERE rolpassword = '{_VERIFIER}';" | sql)
[ -z "$roles" ] || sql
""",
    ),
)

_LOCKING: Final = """BEGIN;
DO $$ DECLARE one record; BEGIN
    FOR one IN SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') LOOP
        EXECUTE format('LOCK TABLE %I.%I IN ACCESS EXCLUSIVE MODE', one.schemaname, one.tablename);
    END LOOP;
END $$;
SELECT pg_sleep(1e6);
"""
LOCK_TABLES: Final = of_scripts(
    FaultKind(
        "lock-tables",
        "database",
        does="has a stranger's transaction lock every table of the server's first database: whoever reads or writes waits",
        proven="the locks are granted",
        mended="the transaction is ended",
        needs="postgres",
    ),
    Scripts(
        put=rf"""{_SERVER}
database=$(echo "SELECT datname FROM pg_database WHERE $owned ORDER BY datname LIMIT 1;" | sql)
[ -n "$database" ] || {{ echo "no app has a database there" >&2; exit 1; }}
statements=$(cat <<'END'
{_LOCKING}END
)
systemd-run --quiet --collect --expand-environment=no --unit=locker --uid=postgres --setenv=PGCLUSTER="$cluster" --setenv=PGAPPNAME=locker \
    psql -XqAt -v ON_ERROR_STOP=1 -d "$database" -c "$statements"
""",
        seen=rf"""{_SERVER}
locks=$(echo "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE application_name = 'locker' AND locktype = 'relation' AND mode = 'AccessExclusiveLock' AND granted;" | sql) &&
[ "$locks" -gt 0 ] && echo "$locks tables are locked"
""",
        mend=r"""systemctl stop locker 2>/dev/null || true
"""
        + _SERVER
        + """echo "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'locker';" | sql >/dev/null || true
""",
    ),
)

FAULTS: Final[tuple[Fault, ...]] = (DB_DOWN, EXHAUST_CONNECTIONS, CHANGE_ROLE_PASSWORD, LOCK_TABLES)
