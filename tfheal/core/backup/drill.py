"""A drill: a backup is restored into a place of its own on its slice, started there, asked, and thrown away.

That place is a view: in mount and network namespaces of its own the restored data lies where the live data lies, and there
is no network but a loopback. So what was deployed runs as it is, under the paths and ports that its configuration names,
and can neither see nor reach what is live. Its unit is a copy of the app's, without what outlives it or reaches out: no
restart, no folders in /run or /var of its own, no sockets of databases, mail or the system. No timer is part of it.

It all ends with the unit of its job, however that ends: what cleans up is the last command of that unit.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tfheal.base import sh, untrusted
from tfheal.core.apply import Secrets
from tfheal.core.backup import dumps, engine, recovery
from tfheal.core.backup.capture import why_failed
from tfheal.core.backup.job import OPEN, REACH, Task, TaskReply
from tfheal.core.backup.restore import folders_of
from tfheal.core.probe import checks
from tfheal.model.backup import FOLDERS, Part
from tfheal.model.drill import DrillState, DrillStep
from tfheal.model.playbook import Check
from tfheal.model.release import Release
from tfheal.model.resources import Unit

ROOM: Final = "room"
RESTORE: Final = "restore"
READ: Final = "read"
REPLAY: Final = "replay"
ENGINE: Final = "engine"
_SPARE: Final = 64 << 20  # bytes of disk that stay free beside what is restored
_MEMORY: Final = 128 << 20  # bytes of memory that are free before a service of no stated limit is started
_OURS: Final = "/srv/tfheal/"
_CUT: Final = 4  # our own status: the store went away while it was read, which says nothing of the backup
_READY_PATIENCE: Final = 30  # seconds until a service that is alive has to be ready
_TOOK: Final = re.compile(r"took ([0-9]+\.[0-9]+) ([0-9]+\.[0-9]+)")
_MEMORY_MAX: Final = re.compile(r"^MemoryMax=(\d+)$", re.MULTILINE)
_WRITES: Final = re.compile(r'^ReadWritePaths="?([^"\n]+)"?$', re.MULTILINE)
# What would outlive the drill, start it again, or be shared with what is live.
_LEFT_OUT: Final = re.compile(
    r"(Restart\w*|RuntimeDirectory\w*|StateDirectory\w*|CacheDirectory\w*|LogsDirectory\w*|ConfigurationDirectory\w*"
    r"|PIDFile|ExecReload|ExecStopPost|OnFailure|OnSuccess|Sockets|PrivateNetwork|NetworkNamespacePath|JoinsNamespaceOf)="
)
# Ways out that are files: the databases, the mail and the managers of the live system.
_OUT_OF_REACH: Final = (
    "/run/postgresql /run/mysqld /run/redis /run/podman /run/docker.sock /run/dbus /run/systemd/private"
    " /var/spool/postfix /var/spool/exim4 /var/spool/cron /usr/sbin/sendmail"
)
_TIMED: Final = """\
work() {
%s
}
read -r from _ </proc/uptime
work
status=$?
read -r to _ </proc/uptime
echo "took $from $to"
return $status"""
_ROOM: Final = """\
fail() { printf '%s\\n' "$*" >&2; return 3; }
mkdir -p -m 0700 "$place" || return
free=$(df --output=avail -B1 "$place" | tail -n 1)
[ "$free" -ge "$wanted" ] || { fail "no room for a drill: $((wanted - free)) bytes are missing on $(df --output=target "$place" | tail -n 1)"; return; }
free=$(( $(sed -n 's/^MemAvailable: *\\([0-9]*\\) kB$/\\1/p' /proc/meminfo) * 1024 ))
[ "$free" -ge "$memory" ] || { fail "no room for a drill: $((memory - free)) bytes of memory are missing"; return; }
inside=$(systemd-run --quiet --wait --pipe --collect -p PrivateNetwork=yes readlink /proc/self/ns/net </dev/null)
case $inside in "$(readlink /proc/self/ns/net)" | '') fail 'the slice has no network namespaces: a drill could reach out'; return ;; esac
"""
_COUNT: Final = """\
came=$(find "$place" ! -type d | wc -l)
[ "$came" -ge "$files" ] || { echo "$came of $files files came" >&2; return 1; }
"""
# SQLite with its journal folded in, and all of a dump of PostgreSQL, each by the program that reads it when it matters.
_READ: Final = """\
sound() {
  if command -v sqlite3 >/dev/null; then said=$(sqlite3 "$1" 'PRAGMA integrity_check' 2>&1); [ "$said" = ok ]
  elif command -v python3 >/dev/null; then
    said=$(python3 -c 'import contextlib, sqlite3, sys
with contextlib.closing(sqlite3.connect(sys.argv[1])) as opened:
    print(*(row[0] for row in opened.execute("PRAGMA integrity_check")))' "$1" 2>&1)
    [ "$said" = ok ]
  else said='nothing there reads SQLite'
  fi
}
find "$place" -xdev -type f \\( -name '*.db' -o -name '*.db3' -o -name '*.sqlite' -o -name '*.sqlite3' \\) >"$folder/databases"
while read -r file; do
  [ "$(head -c 15 "$file")" = 'SQLite format 3' ] || continue
  sound "$file" || { printf '%s: %s\\n' "${file#"$place"}" "$said" | tail -n 1 >&2; return 1; }
done <"$folder/databases"
for file in "$place"/*.dump; do
  [ -f "$file" ] || continue
  [ -s "$file" ] || { echo "${file##*/} is empty" >&2; return 1; }
  [ "$(head -c 5 "$file")" = PGDMP ] && command -v pg_restore >/dev/null || continue
  said=$(pg_restore -f /dev/null "$file" 2>&1) || { printf '%s: %s\\n' "${file##*/}" "$said" | tail -n 1 >&2; return 1; }
done
"""
_START: Final = """\
%(unit_file)s >"/run/systemd/system/$unit" && systemctl daemon-reload || return
systemctl start -- "$unit" || { journalctl -u "$unit" -n 5 --no-pager -o cat >&2; return 1; }
pid=$(systemctl show -p MainPID --value -- "$unit")
[ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ] || { echo "$unit has no network of its own" >&2; return 1; }
"""
_ASK: Final = """\
pid=$(systemctl show -p MainPID --value -- "$unit")
read -r now _ </proc/uptime
until=$((${now%%.*} + %(patience)d))
while :; do
  ill=
%(asks)s
  [ -n "$ill" ] || return 0
  read -r now _ </proc/uptime
  [ "${now%%.*}" -lt "$until" ] && systemctl is-active --quiet -- "$unit" || { printf '%%s\\n' "$ill" >&2; return 1; }
  sleep 0.3
done"""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What is drilled on one slice: the parts of a backup that it has, the releases whose data they are, and their secrets.

    `replays` are the scripts, by component, that replay all changes of a server that were stored.
    """

    app: str
    slice: str
    parts: tuple[Part, ...]
    releases: tuple[Release, ...]
    secrets: Secrets
    replays: tuple[tuple[str, str], ...] = ()

    @property
    def place(self) -> str:
        """Return the folder that holds what is restored, on the disk of the data."""
        return f"/srv/tfheal/.drill-{self.app}"


def tasks(rehearsal: Rehearsal) -> tuple[Task, ...]:
    """Given what is drilled on a slice, return the tasks, in order; what follows one that failed is not tried."""
    started = [release for release in rehearsal.releases if starts(release)]
    steps = [(ROOM, _room(rehearsal, started)), (RESTORE, _restored(rehearsal)), (READ, _READ)]
    for release in rehearsal.releases:
        steps += _of_release(release, rehearsal)
    steps += [(f"{REPLAY} {component}", script) for component, script in rehearsal.replays]
    place = f"place={sh.quote(rehearsal.place)}\n"
    return (REACH, OPEN, *(Task(name, _TIMED % (place + script), needed=True) for name, script in steps))


def after(rehearsal: Rehearsal) -> str:
    """Given what is drilled on a slice, return the sh that leaves nothing of it behind, whatever was done."""
    units = [_unit_name(release) for release in rehearsal.releases if starts(release)]
    stops = "".join(
        f"systemctl stop -- {unit} 2>/dev/null\nrm -f /run/systemd/system/{unit}\nsystemctl reset-failed -- {unit} 2>/dev/null\n"
        for unit in units
    )
    reload = "systemctl daemon-reload\n" if units else ""
    replayed = {component for component, _ in rehearsal.replays}
    replays = "".join(recovery.cleared(release) for release in rehearsal.releases if release.component in replayed)
    return f"{stops}{reload}{replays}rm -rf --one-file-system -- {sh.quote(rehearsal.place)}\n"


def starts(release: Release) -> bool:
    """Return whether a release is started in a drill: it runs a service of its own that needs no other component."""
    unit = _unit(release)
    return unit is not None and "\nType=oneshot\n" not in unit.content and not release.needs


def told(rehearsal: Rehearsal, replies: Mapping[str, TaskReply]) -> tuple[tuple[DrillStep, ...], DrillState, str]:
    """Given what the tasks said, return the steps, how the drill ended there, and why it did not pass."""
    found: list[DrillStep] = []
    for name, reply in replies.items():
        if reply.status is None:
            why = f"{name}: it did not come to its end"
            return tuple(found), "failed", why
        seconds = _seconds(reply.out)
        if reply.status == 0:
            if seconds is not None:
                found.append(DrillStep(rehearsal.slice, name, seconds, passed=True))
            continue
        said = why_failed(reply)
        found.append(DrillStep(rehearsal.slice, name, seconds or 0.0, passed=False, detail=said))
        return tuple(found), _state(name, reply.status), f"{name} on {rehearsal.slice}: {said}"
    return tuple(found), "passed", ""


def _state(failed: str, status: int) -> DrillState:
    if failed == ROOM:
        return "refused"
    cut = (failed == RESTORE and status == _CUT) or (
        failed.startswith((f"{ENGINE} ", f"{REPLAY} ")) and status == engine.CANNOT
    )
    return "failed" if cut or failed in {REACH.name, OPEN.name} else "damaged"


def _seconds(out: str) -> float | None:
    found = _TOOK.findall(out)
    begun, ended = (untrusted.decimal(one, untrusted.CENTURY) for one in found[-1]) if found else (None, None)
    return None if begun is None or ended is None else max(0.0, round(ended - begun, 2))


def _room(rehearsal: Rehearsal, started: Iterable[Release]) -> str:
    engines = {release.component: _taken(release, rehearsal) for release in rehearsal.releases}
    filled = [
        part.bytes
        for part in rehearsal.parts
        if part.what.partition("/")[2] in engines.get(part.what.partition("/")[0], ())
    ]
    memory = sum(_memory(release) for release in started) + _MEMORY * sum(map(bool, engines.values()))
    bytes_wanted = sum(part.bytes for part in rehearsal.parts) + engine.bytes_wanted(filled) + _SPARE
    views = {path for release in rehearsal.releases for path in _views(release, rehearsal)}
    elsewhere = sorted(path for path in views if not path.startswith(_OURS))
    there = "".join(
        f"[ -d {sh.quote(path)} ] || {{ echo {sh.quote(f'{path} is gone')} >&2; return 3; }}\n" for path in elsewhere
    )
    return f"{after(rehearsal)}{there}wanted={bytes_wanted} memory={memory}\n{_ROOM}"


def _memory(release: Release) -> int:
    """Return how much memory has to be free for a release: a quarter of what it may use at most, which few use at a start."""
    unit = _unit(release)
    limit = _MEMORY_MAX.search(unit.content) if unit else None
    return int(limit[1]) // 4 if limit else _MEMORY


def _restored(rehearsal: Rehearsal) -> str:
    lines = "".join(
        f'r restore {part.snapshot} --verify --target "$place" || {{ r cat config >/dev/null 2>&1 || return {_CUT}; return 1; }}\n'
        for part in rehearsal.parts
        if part.snapshot
    )
    return f"{lines}files={sum(part.files for part in rehearsal.parts)}\n{_COUNT}"


def _of_release(release: Release, rehearsal: Rehearsal) -> Iterator[tuple[str, str]]:
    """Yield what is done for one release: start it in its view, and ask it."""
    unit = _unit(release)
    views = _views(release, rehearsal)
    if unit is not None and starts(release):
        named = f"unit={_unit_name(release)}\n"
        text = sh.decoded(_unit_text(unit.content, views, rehearsal.place).encode())
        alive = [check for check in release.checks if check.kind == "alive"]
        waits = _ask(alive, rehearsal.secrets, round(release.start_timeout))
        yield f"start {release.component}", named + _START % {"unit_file": text} + waits
        for kind in ("ready", "consistent"):
            asked = [check for check in release.checks if check.kind == kind]
            if asked:
                yield f"{kind} {release.component}", named + _ask(asked, rehearsal.secrets, _READY_PATIENCE)
    if reads := engine.script(release, _taken(release, rehearsal), rehearsal.secrets):
        inside = f"place={sh.quote(rehearsal.place)}\n{reads}"
        yield f"{ENGINE} {release.component}", _within(inside, views, rehearsal.place)
    for data in release.data:
        for one in data.asserts:
            yield f"{one.name} {release.component}", _within(one.command, views, rehearsal.place, longest=600)


def _views(release: Release, rehearsal: Rehearsal) -> tuple[str, ...]:
    """Return the folders of a release that are seen as they were restored."""
    return tuple(path for part in rehearsal.parts if part.what == FOLDERS for path in folders_of(release, part))


def _unit(release: Release) -> Unit | None:
    return next((one for one in release.resources if isinstance(one, Unit) and one.name == release.unit), None)


def _unit_name(release: Release) -> str:
    return f"tfheal-drill-{release.app}-{release.component}.service"


def _unit_text(text: str, views: Iterable[str], place: str) -> str:
    """Return the text of the unit that runs in a drill."""
    seen = tuple(views)
    service = text.partition("[Service]\n")[2].partition("\n[")[0]
    kept = [line for line in service.splitlines() if line and not _LEFT_OUT.match(line)]
    elsewhere = [
        path
        for path in _WRITES.findall(service)
        if not any(path == folder or path.startswith(f"{folder}/") for folder in seen)
    ]
    return "\n".join(
        [
            "[Unit]",
            "Description=a drill of tfheal: what is restored is started and asked",
            "[Service]",
            *kept,
            "Restart=no",
            "PrivateNetwork=yes",
            *(f"TemporaryFileSystem={folder}:ro" for folder in _hidden(seen)),
            *(f"BindPaths={place}{folder}:{folder}" for folder in seen),
            *(f"TemporaryFileSystem={path}" for path in elsewhere),
            *(f"InaccessiblePaths=-{path}" for path in _OUT_OF_REACH.split()),
            "",
        ]
    )


def _hidden(views: Iterable[str]) -> list[str]:
    """Return the folders around views that nothing of is seen: of one that is gone nothing is made where it was."""
    around = (posixpath.dirname(folder) for folder in views if folder.startswith(_OURS))
    return sorted({folder for folder in around if folder.startswith(_OURS)})


def _ask(asked: Iterable[Check], secrets: Secrets, patience: int) -> str:
    """Return sh that waits until checks pass within the view of the unit, and says which does not."""
    asks = "".join(
        f'  {sh.decoded(checks.script(check, secrets).encode())} >"$folder/check"\n'
        f'  said=$(timeout {check.timeout:g} nsenter --target "$pid" --mount --net -- sh "$folder/check" 2>&1 </dev/null)'
        f' || ill="{check.name}: $said"\n'
        for check in asked
    )
    return _ASK % {"patience": patience, "asks": asks.rstrip()}


def _taken(release: Release, rehearsal: Rehearsal) -> tuple[str, ...]:
    """Return the names of the dumps of a release that are databases of PostgreSQL and are drilled."""
    there = {part.what for part in rehearsal.parts}
    names = [dump.name for dump in release.dumps if f"{release.component}/{dump.name}" in there]
    return tuple(dump.name for dump in dumps.databases(release, names))


def _within(command: str, views: Iterable[str], place: str, *, longest: int = 0) -> str:
    """Return sh that runs a command with the restored data in the place of the live one, and without a network.

    It ends after its `longest` time in seconds; none: with the drill.
    """
    seen = tuple(views)
    binds = "".join(f"mount -t tmpfs tmpfs {sh.quote(folder)} || exit\n" for folder in _hidden(seen))
    binds += "".join(
        f"mkdir -p {sh.quote(folder)} && mount --bind {sh.join(place + folder, folder)} || exit\n" for folder in seen
    )
    return (
        f'{sh.decoded(f"{binds}{command}".encode())} >"$folder/check"\n'
        f'timeout {longest} unshare --mount --net -- sh "$folder/check" </dev/null >&2'
    )
