"""A Python environment of exact versions and hashes, in a release folder that does not change once it is complete.

It is built in a folder aside which, for the build alone, is mounted over its final place: the paths that pip writes are
right, and what was there stays in use until the new one is complete. A build that is killed or fails harms nothing.
"""

from typing import Final

from tfheal.core.resources.directory import holds_data
from tfheal.core.resources.place import PRUNE
from tfheal.core.resources.step import Step, apply_script, check_script, digest, packed, slice_path, yes
from tfheal.model import paths
from tfheal.model.release import Release
from tfheal.model.resources import Venv, resource_id

_ID_LENGTH: Final = 16

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
_BUILD: Final = r"""
set -eu
mount --bind "$build" "$place"
# Debian leaves ensurepip out of python3, and venv alone does not say what it lacks.
"$python" -I -m venv --without-pip "$place"
"$place/bin/python" -I -m ensurepip --default-pip
"$place/bin/python" -I -m pip install --quiet --no-input --disable-pip-version-check --no-cache-dir \
    --require-hashes --only-binary :all: -r "$place/lock.txt"
"""
_APPLY: Final = f"""{_MANIFEST}
releases=$home/releases
place=$releases/$id
build=$releases/.build
old=$releases/.old
mkdir -p -- "$releases"
if ! manifest "$place" 2>/dev/null | cmp -s - "$place/.complete"; then
    rm -rf -- "$build" "$old"
    mkdir -p -- "$build" "$place"
    printf %s "$lock" | base64 -d >"$build/lock.txt"
    export build place python
    if ! log=$(unshare --mount sh -c "$script" </dev/null 2>&1); then
        rm -rf -- "$build"
        rmdir -- "$place" 2>/dev/null || :
        case $log in *"No module named ensurepip"*) log="python3-venv is missing: the playbook's packages name it" ;; esac
        why=$(printf '%s\\n' "$log" | sed -n '/^ERROR/,$p' | head -n 8)
        printf '%s\\n' "${{why:-$(printf '%s\\n' "$log" | tail -n 8)}}"
        fail "the environment was not built, what was there is untouched"
    fi
    manifest "$build" >"$build/.complete"
    sync -f "$build"
    mv -T -- "$place" "$old"
    mv -T -- "$build" "$place"
fi
if [ "$(readlink -- "$home/current")" != "releases/$id" ]; then
    if [ -d "$home/current" ] && [ ! -L "$home/current" ]; then fail "$home/current is a directory: move it away"; fi
    rm -rf -- "$home/.current-new"
    ln -s "releases/$id" "$home/.current-new"
    mv -T -- "$home/.current-new" "$home/current"
fi
touch -- "$place/.complete"
rm -rf -- "$old" "$build"
cd -- "$releases"
kept=1
for other in $(ls -t -- */.complete); do
    other=${{other%/.complete}}
    [ "$other" != "$id" ] || continue
    kept=$((kept + 1))
    [ "$kept" -le "$keep" ] || rm -rf -- "$other"
done
for other in *; do [ -e "$other/.complete" ] || rm -rf -- "$other"; done
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


def step(venv: Venv, release: Release) -> Step:
    """Given a rendered environment, return its step; `current` beside `releases/` is switched when all is there."""
    home = slice_path(venv.home)
    values = {"home": home, "id": release_id(venv)}
    build = {"lock": packed(venv.lock.encode()), "python": venv.python, "keep": str(venv.keep), "script": _BUILD}
    whole = home == paths.home(release.app, release.component) and not holds_data(home, release)
    return Step(
        id=resource_id(venv),
        check=check_script(_CHECK, **values),
        apply=apply_script(_APPLY, **values, **build),
        remove=apply_script(_REMOVE, home=home, whole=yes(said=whole)),
        timeout=900.0,
        check_timeout=30.0,
        effect="restart",
    )


def release_id(venv: Venv) -> str:
    """Return the name of the release folder: it depends on the lock and on the Python that is asked for."""
    return digest(f"{venv.lock}\0{venv.python}".encode())[:_ID_LENGTH]
