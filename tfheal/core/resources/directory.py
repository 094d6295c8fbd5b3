"""A directory: its owner and mode. One that holds the owner's data is never made anew behind their back."""

from typing import Final

from tfheal.core.resources.place import NOTE_MADE, PRUNE
from tfheal.core.resources.record import made_record
from tfheal.core.resources.step import Step, apply_script, check_script, octal, slice_path, yes
from tfheal.model.release import Release
from tfheal.model.resources import Directory, resource_id

READ_ONLY: Final = "is on a file system that is read-only"
# Root may write to whatever can be written to.
_CHECK: Final = r"""
if [ -L "$path" ]; then differs "is a symbolic link, not a directory"
elif [ ! -e "$path" ]; then
    if [ "$data" = yes ] && [ -e "$record" ]; then differs "missing, and it held data"; fi
    differs missing
elif [ ! -d "$path" ]; then differs "is not a directory"
fi
[ -w "$path" ] || differs "$read_only"
have=$(stat -c %a -- "$path") || unknown "cannot be read"
[ "$have" = "$mode" ] || problem "mode is $have, wanted $mode"
have=$(stat -c %U:%G -- "$path") || unknown "cannot be read"
[ "$have" = "$owner:$group" ] || problem "owner is $have, wanted $owner:$group"
verdict
"""
# A mode of five digits takes set-id bits away too, which chmod otherwise keeps on directories.
# Entered first and compared with what the name stands for, so that no link swapped in is followed by chown and chmod.
_APPLY: Final = f"""{NOTE_MADE}
[ ! -L "$path" ] || fail "$path is a symbolic link: mount the other place there, or remove the link"
if [ ! -e "$path" ]; then
    if [ "$data" = yes ] && [ -e "$record" ]; then
        fail "$path is gone, and it held data: restore it, or make it by hand to begin with no data"
    fi
    mkdir -p -- "${{path%/*}}/"
    mkdir -m 0700 -- "$path"
    note_made "$record" "$path"
fi
[ -d "$path" ] || fail "$path is not a directory: move away what is there"
cd -- "$path"
[ "$(stat -c %d:%i .)" = "$(stat -c %d:%i -- "$path")" ] || fail "$path changed while it was worked on"
chown -- "$owner:$group" .
chmod -- "0000$mode" .
[ "$data" = no ] || note_made "$record" "$path"
"""
_REMOVE: Final = f"""{PRUNE}
if [ -d "$path" ] && [ ! -L "$path" ]; then
    if [ "$data" = yes ] || [ -e "$record" ]; then
        rm -rf --one-file-system -- "$path"
    else
        rmdir --ignore-fail-on-non-empty -- "$path"
    fi
fi
rm -f -- "$record"
prune "$path"
"""


def step(directory: Directory, release: Release) -> Step:
    """Given a rendered directory, return its step; what lies on the way to data, or in it, counts as data."""
    path = slice_path(directory.path)
    data = holds_data(path, release)
    values = {"path": path, "data": yes(said=data), "record": made_record(directory, release)}
    attributes = {"mode": octal(directory.mode), "owner": directory.owner, "group": directory.group}
    return Step(
        id=resource_id(directory),
        check=check_script(_CHECK, **values, **attributes, read_only=READ_ONLY),
        apply=apply_script(_APPLY, **values, **attributes),
        remove=apply_script(_REMOVE, **values),
        timeout=60.0,
        holds_data=data,
    )


def holds_data(path: str, release: Release) -> bool:
    """Given a path, return whether it is a data folder of the release, or holds one, or lies in one."""
    return any(_within(path, kept) or _within(kept, path) for kept in data_paths(release))


def data_paths(release: Release) -> frozenset[str]:
    """Return the folders of a release that hold the owner's data."""
    declared = {resource.path for resource in release.resources if isinstance(resource, Directory) and resource.data}
    return frozenset(slice_path(path) for path in declared | {kept.path for kept in release.data})


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")
