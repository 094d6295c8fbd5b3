"""A folder of software that does not change once it is complete: built aside, then switched to in one step.

It is built in a folder which, for the build alone, is mounted over its final place: the paths that are written into it
are right, and what was there stays in use until the new one is complete. A build that is killed or fails harms nothing.
"""

from dataclasses import dataclass
from typing import Final

from tfheal.core.resources.directory import holds_data
from tfheal.core.resources.place import PRUNE
from tfheal.core.resources.step import Step, apply_script, check_script, digest, slice_path, yes
from tfheal.model import paths
from tfheal.model.release import Release

_ID_LENGTH: Final = 16
_LONGEST: Final = 900.0  # seconds for a build

# manifest FOLDER: a line for each thing in it, sorted; without what Python and we ourselves write later
_MANIFEST: Final = r"""
manifest() (
    cd -- "$1" && {
        printf './bin/python\t%s\n' "$(readlink -f bin/python)"
        find . -name __pycache__ -prune -o -path ./.complete \
            -o -type d -printf '%p\tfolder %m\n' -o -printf '%p\t%s %T@ %m %l\n'
    } | sort
)
"""
_CHECK: Final = f"""{_MANIFEST}
place=$home/releases/$id
[ -e "$place/.complete" ] || {{ [ -d "$place" ] && differs "release $id is not complete"; differs "release $id is missing"; }}
have=$(readlink -- "$home/current") || have=nothing
[ "$have" = "releases/$id" ] || problem "current is $have, wanted releases/$id"
changed=$(manifest "$place" | comm -3 - "$place/.complete" | sed 's/^\\t//' | cut -f 1 | sort -u) || unknown "cannot be read"
if [ -n "$changed" ]; then
    problem "files changed: $(printf '%s\\n' "$changed" | wc -l) ($(printf '%s\\n' "$changed" | head -n 3 | paste -s -d ' '))"
fi
verdict
"""
_IS_BESIDE: Final = f"""{_MANIFEST}
manifest "$home/releases/$id" 2>/dev/null | cmp -s - "$home/releases/$id/.complete" || differs "release $id is missing"
"""
# The script of the build comes on the stdin of its shell: as an argument it would have to fit into 128 KiB.
_BUILD: Final = f"""{_MANIFEST}
releases=$home/releases
place=$releases/$id
build=$releases/.build
parts=$releases/.parts
old=$releases/.old
mkdir -p -- "$releases"
if ! manifest "$place" 2>/dev/null | cmp -s - "$place/.complete"; then
    rm -rf -- "$build" "$parts" "$old"
    mkdir -p -- "$build" "$place"
    export build place parts
    if ! log=$(printf '{{\\n%s\\n}} </dev/null' "$script" | unshare --mount sh 2>&1); then
        rm -rf -- "$build" "$parts"
        rmdir -- "$place" 2>/dev/null || :
        printf '%s\\n' "$log" | tail -n 8
        fail "it was not built, what was there is untouched"
    fi
    manifest "$build" >"$build/.complete"
    sync -f "$build"
    mv -T -- "$place" "$old"
    mv -T -- "$build" "$place"
fi
"""
_SWITCH: Final = """
if [ "$(readlink -- "$home/current")" != "releases/$id" ]; then
    if [ -d "$home/current" ] && [ ! -L "$home/current" ]; then fail "$home/current is a directory: move it away"; fi
    rm -rf -- "$home/.current-new"
    ln -s "releases/$id" "$home/.current-new"
    mv -T -- "$home/.current-new" "$home/current"
fi
touch -- "$place/.complete"
rm -rf -- "$old" "$build" "$parts"
cd -- "$releases"
kept=1
for other in $(ls -t -- */.complete); do
    other=${other%/.complete}
    [ "$other" != "$id" ] || continue
    if grep -qsw -- "$other" "$good"; then continue; fi
    kept=$((kept + 1))
    [ "$kept" -le "$keep" ] || rm -rf -- "$other"
done
for other in *; do [ -e "$other/.complete" ] || rm -rf -- "$other"; done
"""
_MOUNTED: Final = """
mount --bind "$build" "$place"
"""
_REMOVE: Final = f"""{PRUNE}
if [ "$whole" = yes ]; then
    rm -rf --one-file-system -- "$home"
else
    rm -rf --one-file-system -- "$home/releases" "$home/current" "$home/.current-new"
    [ ! -d "$home" ] || rmdir --ignore-fail-on-non-empty -- "$home"
fi
prune "$home"
"""


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder of software: under which `home` it is, what it is named after, how many stay.

    The build is constant sh and the values it works on; it fills the folder `$place`, and has `$parts`, which is not
    there yet, for what it needs while it runs.
    """

    home: str
    content: str
    keep: int
    build: str
    values: dict[str, str]


def tree_step(name: str, tree: Tree, release: Release) -> Step:
    """Given the name of a resource and its tree, return its step; `current` is switched when all is there."""
    home = slice_path(tree.home)
    values = {"home": home, "id": tree_id(tree.content)}
    script = apply_script(_MOUNTED + tree.build, **tree.values)
    good = f"{paths.state(release.app, release.component)}/good"
    whole = home == paths.home(release.app, release.component) and not holds_data(home, release)
    return Step(
        id=name,
        check=check_script(_CHECK, **values),
        apply=apply_script(_BUILD + _SWITCH, **values, keep=str(tree.keep), good=good, script=script),
        remove=apply_script(_REMOVE, home=home, whole=yes(said=whole)),
        timeout=_LONGEST,
        check_timeout=30.0,
        effect="restart",
    )


def beside(tree: Tree) -> Step:
    """Given a tree, return the step that builds it beside the one in use, which stays that: a switch to it is quick then."""
    values = {"home": slice_path(tree.home), "id": tree_id(tree.content)}
    script = apply_script(_MOUNTED + tree.build, **tree.values)
    tidied = 'rm -rf -- "$old" "$build" "$parts"\n'
    return Step(
        id=f"beside:{tree.home}",
        check=check_script(_IS_BESIDE, **values),
        apply=apply_script(_BUILD + tidied, **values, script=script),
        remove=None,
        timeout=_LONGEST,
        check_timeout=30.0,
        effect="nothing",
    )


def discarded(tree: Tree) -> Step:
    """Given a tree, return the step after which it is no longer complete, and so is built anew."""
    values = {"home": slice_path(tree.home), "id": tree_id(tree.content)}
    apply = apply_script('rm -f -- "$home/releases/$id/.complete"\n', **values)
    return Step(id=f"discard:{tree.home}", check="", apply=apply, remove=None, timeout=60.0, effect="restart")


def tree_id(content: str) -> str:
    """Given the text of what a tree is made of, return the name of its folder."""
    return digest(content.encode())[:_ID_LENGTH]
