"""Bringing data back into an empty folder, beside which nothing is touched: all that a slice has, some of it, or one path."""

from collections.abc import Iterable
from typing import Final

from tfheal.base import sh
from tfheal.core.backup.job import OPEN_LATER, REACH_LATER, Task
from tfheal.core.backup.restore import BESIDE, COUNT, RESTORE, SPARE, WORDS
from tfheal.model.backup import Part

# Where nothing of a path came, no empty folder is left of it.
_SOUGHT: Final = """\
any=true
[ -e PATH ] || [ "$came" -gt 0 ] || { any=false; clean; }
printf '{"message_type":"came","any":%s}\\n' "$any"
"""


def scratch_tasks(
    wanted: Iterable[tuple[Part, tuple[str, ...]]], folder: str, path: str | None = None
) -> tuple[Task, ...]:
    """Given parts of one slice, an empty folder there, and a path if only that is wanted, return the tasks that fill it.

    Of each part all comes, or only some of its folders if these are named; of a path what there is, which may be nothing.
    """
    every, place = list(wanted), sh.quote(folder)
    whole = [] if path else [part for part, folders in every if not folders]
    sizes = f"wanted={sum(part.bytes for part in whole) + SPARE} files={sum(part.files for part in whole)}\n"
    full = sh.quote(f"{folder} is not empty")
    empty = f'[ -z "$(ls -A {place} 2>/dev/null)" ] || {{ printf "%s\\n" {full} >&2; return 1; }}\n'
    lines = "".join(_scratch_lines(part, () if path else folders, folder, path) for part, folders in every)
    lines += COUNT + (_SOUGHT.replace("PATH", sh.quote(f"{folder}/{path.lstrip('/')}")) if path else "")
    script = empty + sizes + "clean() { rm -rf --one-file-system -- PLACES; }\n" + RESTORE + lines
    return (REACH_LATER, OPEN_LATER, Task(BESIDE, script.replace("PLACES", place), WORDS, needed=True))


def _scratch_lines(part: Part, folders: tuple[str, ...], folder: str, path: str | None) -> str:
    only = "".join(f" --include {sh.quote(one)}" for one in ((path,) if path else folders))
    there = "".join(f" && [ -e {sh.quote(folder + one)} ]" for one in folders)
    return (
        f"r restore {part.snapshot} --verify{only} --target {sh.quote(folder)}{there} "
        f"|| {{ fail 'restic did not bring back' {sh.quote(part.what)}; return; }}\n"
    )


def came(words: Iterable[dict[str, object]]) -> bool:
    """Given what a job said that looked for a path, return whether anything of it came."""
    return any(found.get("message_type") == "came" and found.get("any") is True for found in words)
