"""A file: its content, mode and owner; replaced in one step, never through a symbolic link."""

import base64
from collections.abc import Mapping
from typing import Final

from tfheal.base.errors import UsageError
from tfheal.core.resources.place import COMPARE, PLACE, PRUNE
from tfheal.core.resources.step import Step, apply_script, check_script, digest, octal, packed, slice_path, yes
from tfheal.model import paths
from tfheal.model.release import SECRET_TOKEN, Release, filled
from tfheal.model.resources import File, resource_id

_CHECK: Final = f"""{COMPARE}
compare "$path" "$digest" "$mode" "$owner:$group" "$show"
verdict
"""
_APPLY: Final = f"""{PLACE}
case $path in "$home"/*) mkdir -p -- "${{path%/*}}" ;; esac
printf %s "$content" | base64 -d | place "$path" "$mode" "$owner" "$group" "$digest" "$test"
"""
_REMOVE: Final = f"""{PRUNE}
if [ -d "$path" ] && [ ! -L "$path" ]; then fail "$path is a directory: it is not what was put there"; fi
rm -rf -- "${{path%/*}}/.tfheal-new-${{path##*/}}"
rm -f -- "$path"
prune "$path"
"""


def step(file: File, release: Release, secrets: Mapping[tuple[str, int], str]) -> Step:
    """Given a rendered file and the secrets it names, return its step."""
    path = slice_path(file.path)
    data = _content(file, secrets)
    secret = file.content is not None and SECRET_TOKEN.search(file.content) is not None
    home = paths.home(release.app, release.component)
    text = None if secret else file.content
    wanted = {"mode": octal(file.mode), "owner": file.owner, "group": file.group, "digest": digest(data)}
    return Step(
        id=resource_id(file),
        check=check_script(_CHECK, path=path, **wanted, show=yes(said=text is not None)),
        apply=apply_script(_APPLY, path=path, **wanted, home=home, test=file.test or "", content=packed(data)),
        remove=apply_script(_REMOVE, path=path),
        timeout=120.0,
        effect=file.on_change,
        diff=None if text is None else (path, text),
    )


def _content(file: File, secrets: Mapping[tuple[str, int], str]) -> bytes:
    if file.base64 is not None:
        return base64.b64decode(file.base64, validate=True)
    if file.content is None:
        raise UsageError(f"{file.path} has no content", why="its template was not rendered")
    return filled(file.content, secrets).encode()
