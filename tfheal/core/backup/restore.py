"""Bringing data back: first beside what is there, counted and read again, then in its place by one rename a folder.

What was there before is set aside, never deleted; it comes back when the service is not well with what was restored.
"""

import posixpath
from collections.abc import Iterable
from typing import Final

from tfheal.base import sh
from tfheal.core.apply import Secrets, wait_script
from tfheal.core.backup.job import OPEN, REACH, Task
from tfheal.core.probe import checks
from tfheal.core.resources.directory import data_paths
from tfheal.core.resources.step import Step
from tfheal.model import paths
from tfheal.model.backup import FOLDERS, Part
from tfheal.model.release import Release

BESIDE: Final = "beside"
_SPARE: Final = 64 << 20  # bytes that stay free beside what is restored
_READY_PATIENCE: Final = 30  # seconds until a service that is alive has to be ready
# `restore` of 0.18 says 0 when what was asked for is not in the snapshot: so what came is counted.
_RESTORE: Final = """\
fail() { printf '%s\\n' "$*" >&2; rm -rf --one-file-system -- PLACES; return 1; }
for place in PLACES; do
  mkdir -p -m 0700 "$place" || { fail "cannot make $place"; return; }
done
for place in PLACES; do
  free=$(df --output=avail -B1 "$place" | tail -n 1)
  [ "$free" -ge "$wanted" ] || { fail "no room beside the data: $((wanted - free)) bytes are missing on $(df --output=target "$place" | tail -n 1)"; return; }
done
"""
_COUNT: Final = """\
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
stop() { [ -z "$unit" ] || systemctl stop -- "$unit"; }
start() { [ -z "$unit" ] || systemctl start -- "$unit"; }
aside() { echo "$1.before-$id"; }
into() {
    [ -d "$2" ] || { echo "$2 is not there"; return 1; }
    if [ -e "$1" ]; then mv -T -- "$2" "$(aside "$1")" && exchange "$(aside "$1")" "$1"; else mv -T -- "$2" "$1"; fi
}
back() { [ ! -e "$(aside "$1")" ] || exchange "$(aside "$1")" "$1"; }
"""


def beside(path: str, restore: str) -> str:
    """Given a folder of data and the id of a restore, return where it is restored first: in the folder around it."""
    return f"{posixpath.dirname(path)}/.tfheal-restore-{restore}"


def beside_tasks(part: Part, chosen: Iterable[str], restore: str) -> tuple[Task, ...]:
    """Given the part with the folders of a slice, which of them to restore, and an id, return the tasks that do it beside."""
    folders = sorted(chosen)
    # Counted is a part as a whole: how many files are in each of its folders is not in the catalogue.
    files = part.files if set(folders) == set(part.paths) else 1
    places = sh.join(*dict.fromkeys(beside(path, restore) for path in folders))
    values = f"wanted={part.bytes + _SPARE} files={files}\n"
    lines = "".join(
        f"r restore {part.snapshot} --verify --include {sh.quote(path)} --target {sh.quote(beside(path, restore))} "
        f"|| {{ fail 'restic did not bring back' {sh.quote(path)}; return; }}\n"
        for path in folders
    )
    return (REACH, OPEN, _filled(values, lines, places))


def scratch_tasks(parts: Iterable[Part], folder: str, path: str | None = None) -> tuple[Task, ...]:
    """Given parts of one slice, an empty folder there, and a path if only that is wanted, return the tasks that fill it."""
    only = f" --include {sh.quote(path)}" if path else ""
    every = list(parts)
    files = 1 if path else sum(part.files for part in every)
    wanted = 0 if path else sum(part.bytes for part in every)
    values = f"wanted={wanted + _SPARE} files={files}\n"
    empty = (
        f'[ -z "$(ls -A {sh.quote(folder)} 2>/dev/null)" ] || '
        f"{{ printf '%s\\n' {sh.quote(f'{folder} is not empty')} >&2; return 1; }}\n"
    )
    lines = "".join(
        f"r restore {part.snapshot} --verify{only} --target {sh.quote(folder)} "
        f"|| {{ fail 'restic did not bring back' {sh.quote(part.what)}; return; }}\n"
        for part in every
    )
    return (REACH, OPEN, _filled(empty + values, lines, sh.quote(folder)))


def _filled(values: str, lines: str, places: str) -> Task:
    """Return the task that fills places, and leaves none of them half full."""
    return Task(BESIDE, values + (_RESTORE + lines + _COUNT).replace("PLACES", places), needed=True)


def folders_of(release: Release, part: Part) -> tuple[str, ...]:
    """Given a release and the part of its slice, return the folders of that part which are this release's data."""
    if part.what != FOLDERS:
        return ()
    ours = data_paths(release)
    return tuple(path for path in part.paths if any(path == own or own.startswith(f"{path}/") for own in ours))


def switch(release: Release, folders: Iterable[str], restore: str, secrets: Secrets) -> Step:
    """Given a release and its folders that were restored beside, return the step that puts them in place, or all back."""
    pairs = [(path, f"{beside(path, restore)}{path}") for path in folders]
    done = f"{paths.state(release.app, release.component)}/restored-{restore}"
    ins = "".join(
        f"[ -n \"$undo\" ] || {{ into {sh.join(live, new)} && switched={count}; }} || undo='a folder could not be put in place'\n"
        for count, (live, new) in enumerate(pairs, start=1)
    )
    # What is deleted is what was restored: behind an exchange that was taken back, or before one that never was.
    outs = "; ".join(
        f'if [ "$switched" -lt {count} ] || back {sh.quote(live)}; then rm -rf --one-file-system -- "$(aside {sh.quote(live)})"; fi'
        for count, (live, _) in enumerate(pairs, start=1)
    )
    clean = sh.join("rm", "-rf", "--one-file-system", "--", *dict.fromkeys(beside(path, restore) for path, _ in pairs))
    apply = (
        f"unit={sh.quote(release.unit or '')} id={restore}\n{_SWITCH}undo= switched=0\nstop || exit 1\n{ins}"
        f'[ -n "$undo" ] || {{ start; said=$( ( {wait_script(release, secrets)} ) 2>&1 ) || undo=$said; }}\n'
        f'[ -n "$undo" ] || {{ said=$( ( {_ready(release, secrets)} ) 2>&1 ) || undo=$said; }}\n'
        f'if [ -n "$undo" ]; then stop; {outs}; {clean}; start; echo "undone: $undo"; exit 1; fi\n'
        f"{clean}\nrm -f {paths.state(release.app, release.component)}/restored-*\n: >{sh.quote(done)}\n"
    )
    longest = 2 * release.stop_timeout + 2 * release.start_timeout + _READY_PATIENCE + 120
    return Step(f"data:{release.component}", f"[ -e {sh.quote(done)} ]", apply, None, timeout=longest)


def _ready(release: Release, secrets: Secrets) -> str:
    """Return sh that waits until every `ready` and `consistent` check passes, and exits 1 with the word of one that does not."""
    asked = [check for check in release.checks if check.kind != "alive"]
    asks = "\n".join(
        f'  said=$( ( {checks.script(check, secrets)}\n) 2>&1 ) || ill="{check.name}: $said"' for check in asked
    )
    return (
        f"read -r now _ </proc/uptime\nuntil=$((${{now%.*}} + {_READY_PATIENCE}))\nwhile :; do\n  ill=\n{asks}\n"
        '  [ -n "$ill" ] || exit 0\n  read -r now _ </proc/uptime\n'
        '  [ ${now%.*} -lt $until ] || { printf "%s\\n" "$ill"; exit 1; }\n  sleep 0.5\ndone'
    )
