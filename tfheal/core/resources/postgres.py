"""A role and a database of PostgreSQL, and the rule that lets named peers in: over TLS, with the password, nobody else.

The server is sent the SCRAM verifier of the password and never the password. The verifier's salt is the same each time,
so that what is stored can be compared. The rules of each database are a file of their own, in a folder that one line in
`pg_hba.conf` includes; before PostgreSQL 16, which cannot include, they stand in it as a block.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Final

from tfheal.base.errors import UsageError
from tfheal.core.resources.firewall import networks
from tfheal.core.resources.place import COMPARE, NOTE_MADE, PLACE
from tfheal.core.resources.record import made_record
from tfheal.core.resources.step import Step, apply_script, check_script, digest, packed
from tfheal.model.release import SECRET_TOKEN, Release, filled
from tfheal.model.resources import Postgres, resource_id

_NAME: Final = re.compile(r"(?!pg_|postgres$)[a-z_][a-z0-9_]{0,62}")
CLUSTER: Final = re.compile(r"(1[5-9]|[2-9][0-9])/[a-z][a-z0-9_]{0,30}")
_ITERATIONS: Final = 4096  # as PostgreSQL's own
_LISTEN: Final = "# by tfheal: who gets in is said in pg_hba.conf and by the firewall\nlisten_addresses = '*'\n"
# A segment that is not full is handed over after a minute.
_ARCHIVE: Final = """\
# what changes is stored as it comes
archive_mode = on
archive_command = 'COMMAND'
archive_timeout = 60s
wal_level = replica
"""

_QUESTIONS: Final = r"""
\getenv verifier verifier
SELECT 'NO DATABASE' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database');
SELECT 'the role is missing' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role');
SELECT 'the role has other rights than to log in' FROM pg_roles WHERE rolname = :'role'
    AND (NOT rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls);
SELECT 'the password differs' FROM pg_authid WHERE rolname = :'role' AND rolpassword IS DISTINCT FROM :'verifier';
SELECT 'the database belongs to ' || pg_get_userbyid(datdba) FROM pg_database
    WHERE datname = :'database' AND pg_get_userbyid(datdba) <> :'role';
SELECT 'every role may connect to the database' FROM pg_database
    WHERE datname = :'database' AND has_database_privilege('public', oid, 'CONNECT');
SELECT 'the server listens on ' || current_setting('listen_addresses') WHERE current_setting('listen_addresses') <> '*';
SELECT 'the server keeps no archive of its changes' WHERE :'archives' <> '' AND current_setting('archive_mode') = 'off';
SELECT 'the server archives by ' || current_setting('archive_command')
    WHERE :'archives' <> '' AND current_setting('archive_command') <> :'archives';
SELECT 'the server takes no TLS' WHERE NOT current_setting('ssl')::boolean;
SELECT 'pg_hba.conf has mistakes: ' || error FROM pg_hba_file_rules WHERE error IS NOT NULL LIMIT 1;
SELECT 'the server has not read its settings' WHERE pg_conf_load_time() < to_timestamp(:'written'::float8);
"""
_EXISTENCE: Final = "SELECT 1 FROM pg_database WHERE datname = :'database';"
_MAKING: Final = r"""
\getenv verifier verifier
SELECT format('CREATE ROLE %I', :'role') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
ALTER ROLE :"role" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'verifier';
SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0 ENCODING ''UTF8'' LOCALE ''C.UTF-8''%s', :'database', :'role',
    CASE WHEN current_setting('server_version_num')::int >= 170000 THEN ' LOCALE_PROVIDER builtin BUILTIN_LOCALE ''C.UTF-8''' END)
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
ALTER DATABASE :"database" OWNER TO :"role";
REVOKE CONNECT, TEMPORARY ON DATABASE :"database" FROM PUBLIC;
"""
_DROPPING: Final = """
SET client_min_messages = warning;
DROP DATABASE IF EXISTS :"database" WITH (FORCE);
DROP ROLE IF EXISTS :"role";
"""

# … | sql: statements, run by the server's own administrator; the verifier travels in the environment, not on an argv
_SQL: Final = r"""
folder=/etc/postgresql/$cluster
unit=postgresql@${cluster%/*}-${cluster#*/}.service
psql=/usr/lib/postgresql/${cluster%/*}/bin/psql
rules=$folder/tfheal/$database.conf
listen=$folder/conf.d/tfheal.conf
hba=$folder/pg_hba.conf
export verifier PGCONNECT_TIMEOUT=5
entry() {
    case ${cluster%/*} in
    1[0-5]) echo '# tfheal: begin'; cat -- "$folder"/tfheal/*.conf; echo '# tfheal: end' ;;
    *) echo 'include_dir "tfheal"' ;;
    esac
}
stands() {
    case ${cluster%/*} in
    1[0-5]) [ "$(sed -n '/^# tfheal: begin$/,/^# tfheal: end$/p' "$hba")" = "$(entry 2>/dev/null)" ] ;;
    *) grep -qxF "$(entry)" "$hba" ;;
    esac
}
others() { sed -e '/^include_dir "tfheal"$/d' -e '/^# tfheal: begin$/,/^# tfheal: end$/d' "$hba"; }
sql() {
    port=$(sed -n 's/^port *= *\([0-9]*\).*/\1/p' "$folder/postgresql.conf" | tail -n 1)
    (cd / && setpriv --reuid=postgres --regid=postgres --init-groups "$psql" -XqAt -v ON_ERROR_STOP=1 \
        -h /var/run/postgresql -p "${port:-5432}" -U postgres -d postgres -v archives="$archives" \
        -v role="$role" -v database="$database" -v written="${written-0}" -f - 2>&1)
}
answers() { echo 'SELECT 1;' | sql >/dev/null; }
# A start whose processes were killed never ends, as Debian's unit has no time-out for it: whoever starts it waits with it.
started() {
    now() { systemctl show -P "$1" -- "$unit"; }
    [ "$(now ActiveState) $(now MainPID) $(now ControlPID)" != 'activating 0 0' ] || systemctl stop "$unit"
    systemctl start "$unit"
}
"""
_CHECK: Final = f"""{COMPARE}{_SQL}
[ -x "$psql" ] || unknown "$psql is missing: the playbook's packages name postgresql-${{cluster%/*}}"
compare "$rules" "$rules_digest" 640 postgres:postgres no "access rules"
compare "$listen" "$listen_digest" 644 postgres:postgres no "$listen"
stands || problem "pg_hba.conf does not include the access rules"
written=$(stat -c %.Y -- "$rules" "$listen" 2>/dev/null | sort -n | tail -n 1)
home=$(sed -n "s/^data_directory *= *'\\([^']*\\)'.*/\\1/p" "$folder/postgresql.conf" | tail -n 1)
[ -z "$home" ] || [ -e "$home/PG_VERSION" ] || [ ! -e "$record" ] || differs "missing, and it held data: $home is gone"
wrong=$(printf %s "$statements" | sql) || unknown "the server does not answer: $wrong"
case $wrong in
"NO DATABASE"*)
    [ ! -e "$record" ] || differs "missing, and it held data"
    differs "missing" ;;
?*) problem "$wrong" ;;
esac
[ -e "$record" ] || problem "not on record"
verdict
"""
_APPLY: Final = f"""{PLACE}{NOTE_MADE}{_SQL}
[ -x "$psql" ] || fail "$psql is missing: the playbook's packages name postgresql-${{cluster%/*}}"
answers || started || fail "$unit does not start: $(journalctl -u "$unit" -n 5 --no-pager -o cat)"
for moment in 1 2 3 4 5 6 7 8 9 10; do answers && break || sleep 1; done
answers || fail "the server does not answer: $(echo 'SELECT 1;' | sql || :)"
there=$(printf %s "$existence" | sql)
if [ -z "$there" ] && [ -e "$record" ]; then
    fail "the database $database is gone, and it held data: restore it, or make it by hand to begin with no data"
fi
printf %s "$statements" | sql || fail "the role and the database were not made"
note_made "$record" "$database"
mkdir -p -- "${{rules%/*}}" "${{listen%/*}}"
chown postgres:postgres "${{rules%/*}}"
printf %s "$rules_content" | base64 -d | place "$rules" 640 postgres postgres "$rules_digest"
printf %s "$listen_content" | base64 -d | place "$listen" 644 postgres postgres "$listen_digest"
if ! stands; then
    # It stands first: the first line that fits a connection decides.
    before=$(others)
    printf '%s\\n%s\\n' "$(entry)" "$before" | place "$hba" 640 postgres postgres
fi
if [ "$(echo "SHOW listen_addresses;" | sql)" = '*' ] &&
    {{ [ -z "$archives" ] || [ "$(echo "SHOW archive_mode;" | sql)" = on ]; }}; then
    echo "SELECT pg_reload_conf();" | sql >/dev/null
    sleep 0.5
else
    systemctl restart "$unit" || fail "$unit does not start: $(journalctl -u "$unit" -n 5 --no-pager -o cat)"
fi
"""
_REMOVE: Final = f"""{PLACE}{_SQL}
if [ -x "$psql" ]; then
    answers || started || fail "$unit does not run: the database $database cannot be dropped"
    printf %s "$statements" | sql || fail "the database stays"
fi
rm -rf -- "$rules" "${{rules%/*}}/.tfheal-new-${{rules##*/}}" "${{listen%/*}}/.tfheal-new-${{listen##*/}}"
rm -f -- "$record"
[ -d "${{rules%/*}}" ] || exit 0
if [ -z "$(find "${{rules%/*}}" -name '*.conf' -print -quit)" ]; then
    rest=$(others)
    printf '%s\\n' "$rest" | place "$hba" 640 postgres postgres
    rmdir -- "${{rules%/*}}"
    rm -f -- "$listen"
    systemctl try-restart "$unit"
else
    before=$(others)
    stands || printf '%s\\n%s\\n' "$(entry)" "$before" | place "$hba" 640 postgres postgres
    [ ! -x "$psql" ] || echo "SELECT pg_reload_conf();" | sql >/dev/null
fi
"""


def step(postgres: Postgres, release: Release, secrets: Mapping[tuple[str, int], str]) -> Step:
    """Given a rendered database and the secret of its role, return its step; raise UsageError for a name or peer that is none."""
    for name in (postgres.role, postgres.database):
        if not _NAME.fullmatch(name):
            hint = "lower-case letters, digits and _, and none of PostgreSQL's own"
            raise UsageError(f"{name!r} is not a name for a role or a database", where=str(release.instance), hint=hint)
    if not CLUSTER.fullmatch(postgres.cluster):
        raise UsageError(
            f"{postgres.cluster!r} is no cluster", where=str(release.instance), hint="17/main, 15 or newer"
        )
    if not SECRET_TOKEN.fullmatch(postgres.password):
        raise UsageError("the password of a role is a secret", where=str(release.instance), hint="{{ secrets.NAME }}")
    archives = postgres.archive_command or ""
    listen = (_LISTEN + (_ARCHIVE.replace("COMMAND", archives) if archives else "")).encode()
    rules = access_rules(postgres).encode()
    place = {
        "cluster": postgres.cluster,
        "role": postgres.role,
        "database": postgres.database,
        "archives": archives,
        "record": made_record(postgres, release),
    }
    salt = hashlib.sha256(f"{release.app}\0{postgres.role}\0{postgres.password}".encode()).digest()[:16]
    values = place | {
        "verifier": verifier(filled(postgres.password, secrets), salt),
        "rules_digest": digest(rules),
        "listen_digest": digest(listen),
    }
    return Step(
        id=resource_id(postgres),
        check=check_script(_CHECK, **values, statements=_QUESTIONS),
        apply=apply_script(
            _APPLY,
            **values,
            statements=_MAKING,
            existence=_EXISTENCE,
            rules_content=packed(rules),
            listen_content=packed(listen),
        ),
        remove=apply_script(_REMOVE, **place, verifier="", statements=_DROPPING),
        timeout=180.0,
        check_timeout=15.0,
        holds_data=True,
    )


def access_rules(postgres: Postgres) -> str:
    """Given a rendered database, return the lines of pg_hba.conf that let its peers in; raise UsageError for no peer."""
    peers = networks(postgres.peers)
    return "".join(f'hostssl "{postgres.database}" "{postgres.role}" {peer} scram-sha-256\n' for peer in peers)


def verifier(password: str, salt: bytes) -> str:
    """Given a password and a salt, return what PostgreSQL stores for them (RFC 5802, RFC 7677)."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    written, stored64, server64 = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${_ITERATIONS}:{written}${stored64}:{server64}"
