"""A dump of PostgreSQL in a drill: a server of its own is filled with it, reads all of it, and is asked what is consistent.

That server is seen only in the mount and network namespaces of its step, where it has the sockets and the port of the live
one; so checks ask it under the names that they know. Its tables and indexes are read by pg_amcheck, which needs what the
server's own packages bring. It has no other roles than those that a playbook made, so what the dump grants to others, which
says nothing of the data, is left out, and these may do everything.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from tfheal.base import sh
from tfheal.core.apply import Secrets
from tfheal.core.backup import dumps
from tfheal.core.probe import checks
from tfheal.model.playbook import Dump
from tfheal.model.release import Release

CANNOT: Final = 4  # status: there is no server to restore into, which says nothing of the backup
_SERVER: Final = """\
cannot() { printf '%s\\n' "$*" | tail -n 1 >&2; exit CANNOT; }
wrong() { printf '%s: %s\\n' "$1" "$(printf '%s\\n' "$2" | { grep -im 1 error || printf '%s\\n' "$2" | tail -n 1; })" >&2; exit 1; }
own=$place/.postgres
mkdir -p "$own" && chown postgres: "$own" && mount --bind "$own" /var/lib/postgresql &&
  mount -t tmpfs -o mode=0755 tmpfs /run/postgresql && chown postgres: /run/postgresql || cannot 'no place for a server'
ip link set lo up 2>/dev/null
home=/var/lib/postgresql/drill
said=$(pg initdb --no-sync --auth=trust --encoding=UTF8 --locale=C -D "$home" 2>&1) || cannot "$said"
trap 'pg pg_ctl -D "$home" -m immediate -s stop 2>/dev/null' EXIT
said=$(pg pg_ctl -D "$home" -w -s -l "$home/log" -o "-p ${number:-5432} -c listen_addresses=127.0.0.1 \\
  -c unix_socket_directories=/run/postgresql -c fsync=off -c autovacuum=off -c shared_buffers=32MB" start 2>&1) || cannot "$said"
filled() {
  { dumps_into "$2" "$3" && pg pg_restore --exit-on-error --no-owner --no-privileges --dbname "$2" <"$place/$1" && echo 'ANALYZE;' | sql "$2"; } 2>&1
}
dumps_into() { echo "CREATE DATABASE \\"$1\\" OWNER \\"$2\\" TEMPLATE template0 $locale;" | sql; }
""".replace("CANNOT", str(CANNOT))


def script(release: Release, taken: Iterable[str], secrets: Secrets) -> str:
    """Given a release, the names of its dumps in a backup, and its secrets, return sh that reads its databases; none: empty.

    It is for namespaces of its own, with `place` as what is restored. It ends with 1 where the data is not right.
    """
    ours = dumps.databases(release, taken)
    if not ours:
        return ""
    roles = sorted({dumps.server_of(dump, release).role for dump in ours} - {"postgres"})
    made = "".join(
        f'echo \'CREATE ROLE "{role}" SUPERUSER LOGIN;\' | sql || cannot "no role {role}"\n' for role in roles
    )
    reads = "".join(_read(dump, release) for dump in ours)
    cluster = dumps.server_of(ours[0], release).cluster
    return f"{dumps.POSTGRES}server {sh.quote(cluster)}\n{_SERVER}{made}{reads}{_asked(release, secrets)}"


def bytes_wanted(sizes: Sequence[int]) -> int:
    """Given the bytes of dumps, return how many the databases take that they become."""
    return dumps.GROWS * sum(sizes)


def _read(dump: Dump, release: Release) -> str:
    name = dumps.server_of(dump, release).database
    file = dumps.file_name(f"{release.component}/{dump.name}")
    role = dumps.server_of(dump, release).role
    return (
        f'said=$(filled {sh.join(file, name, role)}) || wrong {sh.quote(dump.name)} "$said"\n'
        f'said=$(pg pg_amcheck --install-missing --heapallindexed --parent-check {name} 2>&1) || wrong {sh.quote(dump.name)} "$said"\n'
    )


def _asked(release: Release, secrets: Secrets) -> str:
    """Return sh that asks what is consistent, and ends with the word of the first check that does not pass."""
    return "".join(
        f'{sh.decoded(checks.script(check, secrets).encode())} >"$own/check"\n'
        f'said=$(timeout {check.timeout:g} sh "$own/check" 2>&1 </dev/null) || wrong {sh.quote(check.name)} "${{said:-it does not pass}}"\n'
        for check in release.checks
        if check.kind == "consistent"
    )
