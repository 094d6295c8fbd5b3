"""Bringing data back: first beside what is there, counted and read again, then in its place by one rename a folder.

What was there before is set aside, never deleted; it comes back when the service is not well with what was restored.
"""

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from tfheal.base import sh
from tfheal.core import awaiting
from tfheal.core.apply import Secrets, wait_script
from tfheal.core.backup import dumps, recovery
from tfheal.core.backup.job import OPEN_LATER, REACH, REACH_LATER, Task
from tfheal.core.backup.recovery import Recovery
from tfheal.core.probe import checks
from tfheal.core.resources.directory import data_paths
from tfheal.core.resources.step import Step
from tfheal.model import paths
from tfheal.model.backup import FOLDERS, Backup, Part
from tfheal.model.release import Release
from tfheal.model.resources import Directory

BESIDE: Final = "beside"
READ_BACK: Final = "read back"
WORDS: Final = 200_000  # bytes of what is said meanwhile, of which a replay says one line
SPARE: Final = 64 << 20  # bytes that stay free beside what is restored
NOT_BEGUN: Final = (
    75  # how what is restored beside ends where it cannot be, and nothing was changed (EX_TEMPFAIL of sysexits.h)
)
_READY_PATIENCE: Final = 30  # seconds until a service that is alive has to be ready
# `restore` of 0.18 says 0 when what was asked for is not in the snapshot: so what came is counted.
RESTORE: Final = """\
fail() { printf '%s\\n' "$*" >&2; clean >/dev/null 2>&1; return 1; }
refuse() { fail "$@"; return NOT_BEGUN; }
for place in PLACES; do
  mkdir -p -m 0700 "$place" || { fail "cannot make $place"; return; }
done
for place in PLACES; do
  free=$(df --output=avail -B1 "$place" | tail -n 1)
  [ "$free" -ge "$wanted" ] || { refuse "no room beside the data: $((wanted - free)) bytes are missing on $(df --output=target "$place" | tail -n 1)"; return; }
done
""".replace("NOT_BEGUN", str(NOT_BEGUN))
# What a restore that was killed left beside $1: of no other app, and gone at once for one that is just about to switch it.
_LEFT: Final = """\
left() {
  for place in "${1%/*}"/.tfheal-restore-*; do
    [ -e "$place$1" ] || [ -e "$place$1.d" ] || continue
    mv -T -- "$place" "$place.gone" && rm -rf --one-file-system -- "$place.gone"
  done
}
"""
# A folder changes places with another one: what is mounted on it cannot, and what is mounted below it would go away with it.
_UNMOUNTED: Final = """\
while read -r _ at _; do
  case $at in WHERE)
    refuse "a file system is mounted on $at, and all of the folder is replaced: unmount it, or restore with --scratch and copy"; return ;;
  esac
done </proc/self/mounts
"""
COUNT: Final = """\
came=$(find PLACES ! -type d | wc -l)
[ "$came" -ge "$files" ] || { fail "$came of $files files came"; return; }
"""
# An exchange is one step of the kernel where mv knows it (coreutils 9.5): the data is at no moment nowhere.
_SWITCH: Final = r"""
exec 2>&1
exchange() {
    mv --exchange -T -- "$1" "$2" 2>/dev/null && return
    mv -T -- "$2" "$2.swap" || return
    if mv -T -- "$1" "$2"; then mv -T -- "$2.swap" "$1"; else mv -T -- "$2.swap" "$2"; return 1; fi
}
# Databases are switched by their server, so that one is not stopped unless there are files to move.
serves() { case $unit in postgresql*) ;; *) return 1 ;; esac; }
stop() { [ -z "$unit" ] || { serves && [ -z "$moves" ]; } || systemctl stop -- "$unit"; }
start() { [ -z "$unit" ] || systemctl start -- "$unit"; }
# Where the data is awaited, a service that is not well with it waits on.
start_again() { [ -e "$awaited" ] && ! serves || start; }
serve() { [ -z "$unit" ] || [ ! -e "$awaited" ] || serves || systemctl --quiet enable -- "$unit" 2>/dev/null; [ -z "$awaited" ] || rm -f -- "$awaited"; }
server_up() { ! serves || start; }
aside() { echo "$1.before-$id"; }
into() {
    [ -e "$2" ] || { echo "$2 is not there"; return 1; }
    if [ -e "$1" ]; then mv -T -- "$2" "$(aside "$1")" && exchange "$(aside "$1")" "$1"; else mv -T -- "$2" "$1"; fi
}
back() { [ ! -e "$(aside "$1")" ] || exchange "$(aside "$1")" "$1"; }
# The journals of a file of SQLite go with the file that they are of.
journals() { for tail in -wal -shm -journal; do [ ! -f "$1$tail" ] || mv -T -- "$1$tail" "$2$tail" || return; done; }
"""


# restic brings users back by their numbers, and another machine gave the same name another one.
_OWN: Final = r"""
own() {
    [ -e "$2" ] && uid=$(id -u -- "$3") && gid=$(getent group "$4" | cut -d : -f 3) && [ -n "$gid" ] || return 0
    was=$(stat -c %u "$2") were=$(stat -c %g "$2")
    [ "$was" = "$uid" ] || find "$1" -xdev -uid "$was" -exec chown -h -- "$uid" {} +
    [ "$were" = "$gid" ] || find "$1" -xdev -gid "$were" -exec chgrp -h -- "$gid" {} +
}
"""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What of one release is restored: its folders, and the names of its dumps; `awaited` if it has no data until then.

    A database whose changes are stored is replayed by its `recovery`, if there is one.
    What is `held` does not serve afterwards either. What was `moved` comes from another slice.
    """

    release: Release
    folders: tuple[str, ...]
    dumps: tuple[str, ...] = ()
    awaited: bool = False
    recovery: Recovery | None = None
    held: bool = False
    moved: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        """Return the files of SQLite among it that no folder brings along."""
        return tuple(file for file in dumps.files(self.release, self.dumps) if dumps.within(file, self.folders) == file)


def beside(path: str, restore: str) -> str:
    """Given a folder of data and the id of a restore, return where it is restored first: in the folder around it."""
    return f"{posixpath.dirname(path)}/.tfheal-restore-{restore}"


def beside_tasks(parts: Iterable[Part], wanted: Iterable[Chosen], restore: str) -> tuple[Task, ...]:
    """Given the parts of a slice, what of each release to restore, and an id, return the tasks that do it beside."""
    chosen, by_what = list(wanted), {part.what: part for part in parts}
    folders = sorted({path for one in chosen for path in one.folders})
    places = _places(chosen, restore)
    lines = _folder_lines(by_what[FOLDERS], folders, restore) if folders else ""
    for one in chosen:
        lines += _dump_lines(one, by_what, folders, restore)
    size = sum(part.bytes for part in by_what.values()) if places else 0
    # What is left of one that was killed, this one or another, would be in the way, or take its room.
    lefts = f"{{ clean; {_lefts(chosen)}; }} >/dev/null 2>&1\n"
    opening = f"{_cleaner(chosen, restore)}{_LEFT}{lefts}spare={SPARE} wanted={size + SPARE}\n"
    return (
        REACH_LATER,
        OPEN_LATER,
        Task(BESIDE, opening + RESTORE.replace("PLACES", places) + lines, WORDS, needed=True),
    )


def read_tasks(parts: Iterable[Part]) -> tuple[Task, ...]:
    """Given parts of one slice, return the tasks that read all of them on their store; restic compares each hash."""
    lines = "".join(f"r --no-lock dump --archive tar {part.snapshot} / >/dev/null || return\n" for part in parts)
    open_it = Task("open", "r --no-lock cat config >/dev/null", needed=True)
    return (REACH, open_it, Task(READ_BACK, lines, needed=True))


def cleared_tasks(wanted: Iterable[Chosen], restore: str) -> tuple[Task, ...]:
    """Given what of each release on a slice was restored beside, return the tasks that throw it away again."""
    return (Task(BESIDE, f"{_cleaner(list(wanted), restore)}clean", needed=True),)


def _cleaner(chosen: list[Chosen], restore: str) -> str:
    places = _places(chosen, restore)
    drops = "".join(f"{drop}\n" for one in chosen for drop in _drops(one, restore))
    return f"{dumps.POSTGRES}clean() {{\n{f'rm -rf --one-file-system -- {places}' if places else ':'}\n{drops}}}\n"


def _lefts(chosen: list[Chosen]) -> str:
    """Return sh that throws away what other restores left: nobody else works on the data of the app while this one does."""
    lines = [f"left {sh.quote(path)}" for path in _roots(chosen)]
    lines += [dumps.left(dump, one.release) for one in chosen for dump in dumps.databases(one.release, one.dumps)]
    return "; ".join(lines) or ":"


def _places(chosen: list[Chosen], restore: str) -> str:
    return sh.join(*dict.fromkeys(beside(path, restore) for path in _roots(chosen)))


def _roots(chosen: list[Chosen]) -> list[str]:
    """Return the folders of data, and the files of SQLite that are in none of them."""
    folders = sorted({path for one in chosen for path in one.folders})
    files = [file for one in chosen for file in dumps.files(one.release, one.dumps)]
    return list(dict.fromkeys([*folders, *(dumps.within(file, folders) for file in files)]))


def _folder_lines(part: Part, folders: list[str], restore: str) -> str:
    # Counted is a part as a whole: how many files are in each of its folders is not in the catalogue, and it may be none.
    count = part.files if set(folders) == set(part.paths) else 0
    places = sh.join(*dict.fromkeys(beside(path, restore) for path in folders))
    lines = "".join(
        f"r restore {part.snapshot} --verify --include {sh.quote(path)} --target {sh.quote(beside(path, restore))} "
        f"&& [ -d {sh.quote(beside(path, restore) + path)} ] || {{ fail 'restic did not bring back' {sh.quote(path)}; return; }}\n"
        for path in folders
    )
    where = " | ".join(f"{sh.quote(path)} | {sh.quote(path)}/*" for path in folders)
    return f"files={count}\n{_UNMOUNTED.replace('WHERE', where)}{lines}{COUNT.replace('PLACES', places)}"


def _dump_lines(one: Chosen, by_what: dict[str, Part], folders: list[str], restore: str) -> str:
    lines = ""
    for dump in one.release.dumps:
        part = by_what.get(f"{one.release.component}/{dump.name}")
        if part is None or dump.name not in one.dumps:
            continue
        lines += f"snapshot={part.snapshot} bytes={part.bytes} name={dumps.file_name(part.what)}\n"
        if dump.wal and one.recovery:
            fetch = recovery.beside(one.recovery)
            lines += dumps.beside_database(dump, one.release, restore, fetch)
        elif dump.sqlite is not None:
            target = f"{beside(dumps.within(dump.sqlite, folders), restore)}{dump.sqlite}"
            lines += dumps.beside_file(dump.sqlite, target)
        else:
            lines += dumps.beside_database(dump, one.release, restore)
    return lines


def _drops(one: Chosen, restore: str) -> list[str]:
    return [dumps.dropped(dump, one.release, restore) for dump in dumps.databases(one.release, one.dumps)]


def of_releases(part: Part, releases: Iterable[Release]) -> tuple[str, ...] | None:
    """Given a part of a slice and some releases there, return which of its folders are theirs, none for all of it; None: nothing is."""
    ours = list(releases)
    if part.what == FOLDERS:
        return tuple(path for release in ours for path in folders_of(release, part)) or None
    return () if any(part.what.startswith(f"{release.component}/") for release in ours) else None


def relocated(backup: Backup, releases: Iterable[Release]) -> tuple[Backup, dict[str, str]]:
    """Given a backup and all that is deployed of its app, return it as if it had been made where its data is to be now.

    Data of slices that the app has left is that of the slice with nothing in it that now has a component of such data. Also
    return which slice takes over from which.
    """
    here = list(releases)
    had = {
        name: [part for part in backup.parts if part.slice == name] for name in {part.slice for part in backup.parts}
    }
    gone = sorted(had.keys() - {release.slice for release in here})
    empty = [release for release in here if release.slice not in had]
    taken: dict[str, str] = {}
    for old in gone:
        heirs = {one.slice for one in empty if any(dumps_of(one, part) or folders_of(one, part) for part in had[old])}
        if len(heirs) == 1 and not heirs & set(taken.values()):
            taken[old] = heirs.pop()
    parts = tuple(replace(part, slice=taken.get(part.slice, part.slice)) for part in backup.parts)
    return replace(backup, parts=parts), {new: old for old, new in taken.items()}


def dumps_of(release: Release, part: Part) -> tuple[str, ...]:
    """Given a release and a part of its slice, return the name of the dump that the part is, if a restore puts it back."""
    return tuple(
        dump.name for dump in release.dumps if dump.returns and part.what == f"{release.component}/{dump.name}"
    )


def folders_of(release: Release, part: Part) -> tuple[str, ...]:
    """Given a release and the part of its slice, return the folders of that part which are this release's data."""
    if part.what != FOLDERS:
        return ()
    ours = data_paths(release)
    return tuple(path for path in part.paths if any(path == own or own.startswith(f"{path}/") for own in ours))


def switch(chosen: Chosen, restore: str, secrets: Secrets) -> Step:
    """Given what of a release was restored beside, return the step that puts it in place, or all of it back."""
    release, paths_in = chosen.release, (*chosen.folders, *chosen.files)
    pairs = [(path, f"{beside(path, restore)}{path}") for path in paths_in]
    folder, kept = paths.state(release.app, release.component), awaiting.mark(release)
    done = f"{folder}/restored-{restore}"
    fails = f"|| {{ {_drops_all(chosen, restore)}exit 1; }}"
    apply = (
        f"unit={sh.quote(_unit(chosen))} awaited={sh.quote(kept) if chosen.awaited else ''} id={restore} moves={'yes' if pairs else ''}\n{dumps.POSTGRES}{_SWITCH}"
        f"undo= switched=0\nstop {fails}\n{_owned(chosen, restore)}{_ins(chosen, pairs)}server_up\n{_databases_in(chosen, restore)}"
        f"{'' if chosen.held else _served(release, secrets)}"
        f'if [ -n "$undo" ]; then {_undone(chosen, pairs, restore)}; echo "undone: $undo"; exit 1; fi\n'
        f"{_clean(pairs, restore)}\nrm -f {folder}/restored-*\n: >{sh.quote(done)}\nserve\n"
    )
    longest = 2 * release.stop_timeout + 2 * release.start_timeout + _READY_PATIENCE + 120
    check = f"[ -e {sh.quote(done)} ]"
    if chosen.awaited:  # what a run put in place that was killed right then is not put there twice
        check += f" || {{ [ ! -e {sh.quote(kept)} ] && ls {folder}/restored-* >/dev/null 2>&1; }}"
    return Step(f"data:{release.component}", check, apply, None, timeout=longest)


def _unit(chosen: Chosen) -> str:
    """Return the unit that is stopped and started around a restore; what is held is not running, but for its database."""
    unit = chosen.release.unit or ""
    return "" if chosen.held and not unit.startswith("postgresql") else unit


def _owned(chosen: Chosen, restore: str) -> str:
    """Return sh that gives what came from another slice to the users that its folders are made for."""
    if not chosen.moved:
        return ""
    lines = "".join(
        f"own {sh.join(beside(path, restore), beside(path, restore) + one.path, one.owner, one.group)}\n"
        for path in chosen.folders
        for one in chosen.release.resources
        if isinstance(one, Directory) and (one.path == path or one.path.startswith(f"{path}/"))
    )
    return f"{_OWN}{lines}"


def _served(release: Release, secrets: Secrets) -> str:
    """Return sh that starts what was restored, and waits until it serves."""
    return (
        f'[ -n "$undo" ] || {{ start; said=$( ( {wait_script(release, secrets)} ) 2>&1 ) || undo=$said; }}\n'
        f'[ -n "$undo" ] || {{ said=$( ( {_ready(release, secrets)} ) 2>&1 ) || undo=$said; }}\n'
    )


def _ins(chosen: Chosen, pairs: list[tuple[str, str]]) -> str:
    lines = ""
    for count, (live, new) in enumerate(pairs, start=1):
        journals = f'journals {sh.quote(live)} "$(aside {sh.quote(live)})" && ' if live in chosen.files else ""
        lines += (
            f'[ -n "$undo" ] || {{ {journals}into {sh.join(live, new)} && switched={count}; }} '
            "|| undo='data could not be put in place'\n"
        )
    return lines


def _databases_in(chosen: Chosen, restore: str) -> str:
    return "".join(
        f'[ -n "$undo" ] || {{ {dumps.switched(dump, chosen.release, restore)}; }} '
        f"|| undo='the database {dump.postgres} could not be put in place'\n"
        for dump in dumps.databases(chosen.release, chosen.dumps)
    )


def _undone(chosen: Chosen, pairs: list[tuple[str, str]], restore: str) -> str:
    """Return sh that takes all of it back: databases while their server runs, folders while nothing does."""
    databases = "; ".join(
        dumps.switched(dump, chosen.release, restore, back=True)
        for dump in dumps.databases(chosen.release, chosen.dumps)
    )
    # What is deleted is what was restored: behind an exchange that was taken back, or before one that never was.
    outs = "".join(
        f'if [ "$switched" -lt {count} ] || back {sh.quote(live)}; then rm -rf --one-file-system -- "$(aside {sh.quote(live)})"; fi; '
        + (f'journals "$(aside {sh.quote(live)})" {sh.quote(live)}; ' if live in chosen.files else "")
        for count, (live, _) in enumerate(pairs, start=1)
    )
    return f"stop; server_up; {databases or ':'}; stop; {outs}{_clean(pairs, restore)}; start_again"


def _clean(pairs: list[tuple[str, str]], restore: str) -> str:
    places = list(dict.fromkeys(beside(path, restore) for path, _ in pairs))
    return sh.join("rm", "-rf", "--one-file-system", "--", *places) if places else ":"


def _drops_all(chosen: Chosen, restore: str) -> str:
    return "".join(f"{drop}; " for drop in _drops(chosen, restore))


def _ready(release: Release, secrets: Secrets) -> str:
    """Return sh that waits until every `ready` and `consistent` check passes, and exits 1 with the word of one that does not."""
    asked = [check for check in release.checks if check.kind in {"ready", "consistent"}]
    asks = "\n".join(
        f'  said=$( ( {checks.script(check, secrets)}\n) 2>&1 ) || ill="{check.name}: $said"' for check in asked
    )
    return (
        f"read -r now _ </proc/uptime\nuntil=$((${{now%.*}} + {_READY_PATIENCE}))\nwhile :; do\n  ill=\n{asks}\n"
        '  [ -n "$ill" ] || exit 0\n  read -r now _ </proc/uptime\n'
        '  [ ${now%.*} -lt $until ] || { printf "%s\\n" "$ill"; exit 1; }\n  sleep 0.5\ndone'
    )
