"""A tree of packages from npm, as a `package-lock.json` pins it: fetched as archives, so that the slice needs no npm.

What `npm ci --omit=dev --ignore-scripts` does, and no more: each package in its place, and the programs of each in
`node_modules/.bin`. Nothing of a package is run. A package without a strong hash is refused.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tfheal.base.errors import UsageError
from tfheal.core.resources.archive import Pinned, tree
from tfheal.core.resources.step import Step
from tfheal.core.resources.tree import Tree, tree_step
from tfheal.model.release import Release
from tfheal.model.resources import Npm, resource_id

_NAME: Final = r"(?:@[A-Za-z0-9_~-][A-Za-z0-9._~-]*/)?[A-Za-z0-9_~-][A-Za-z0-9._~-]*"
_PLACE: Final = re.compile(rf"node_modules/{_NAME}(?:/node_modules/{_NAME})*")
_PROGRAM: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_FILE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_BYTES: Final = 64  # of a SHA-512
_VERSIONS: Final = (2, 3)
_PLATFORM: Final = {"os": "linux", "cpu": "x64", "libc": "glibc"}


def step(npm: Npm, release: Release) -> Step:
    """Given a rendered tree of packages, return its step; raise UsageError for a lock that does not pin everything."""
    return tree_step(resource_id(npm), tree_of(npm, str(release.instance)), release)


def tree_of(npm: Npm, where: str) -> Tree:
    """Given a rendered tree of packages and whose it is, return its tree; raise UsageError as `step`."""
    packages = dict(_packages(npm.lock, where))
    links = [link for place, package in packages.items() for link in _links(place, package)]
    pinned = [_pinned(place, package) for place, package in packages.items()]
    return tree(npm.home, npm.keep, pinned, links)


def _packages(lock: str, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield place and entry of each package that is wanted on a slice."""
    try:
        said = json.loads(lock)
    except ValueError as error:
        raise UsageError("the lock is not JSON", where=where, why=str(error), hint="a package-lock.json") from error
    if not isinstance(said, dict) or said.get("lockfileVersion") not in _VERSIONS or "packages" not in said:
        hint = "npm install --package-lock-only --lockfile-version 3 writes one"
        raise UsageError("the lock is not a package-lock.json of version 2 or 3", where=where, hint=hint)
    for place, package in said["packages"].items():
        if place and not package.get("dev") and not package.get("inBundle") and _fits(package):
            if not _PLACE.fullmatch(place):
                raise UsageError("a package of the lock has no place in node_modules", where=where, why=repr(place))
            yield place, package


def _fits(package: Mapping[str, Any]) -> bool:
    """Return whether a package is for the platform of slices; only an optional one may be for another."""
    return not package.get("optional") or all(_allows(package.get(key, ()), ours) for key, ours in _PLATFORM.items())


def _allows(said: list[str] | tuple[str, ...], ours: str) -> bool:
    wanted = [word for word in said if not word.startswith("!")]
    return f"!{ours}" not in said and (not wanted or ours in wanted)


def _pinned(place: str, package: Mapping[str, Any]) -> Pinned:
    strong = re.search(r"(?:^|\s)sha512-([A-Za-z0-9+/=]+)", str(package.get("integrity", "")))
    try:
        digest = base64.b64decode(strong[1], validate=True) if strong else b""
    except binascii.Error:
        digest = b""
    if len(digest) != _BYTES:
        why = "a link to a folder" if package.get("link") else "no SHA-512 in its integrity"
        raise UsageError("the lock does not pin a package", where=place, why=why, hint="npm writes it for registries")
    return Pinned(str(package.get("resolved", "")), digest.hex(), strip=1, into=place, algorithm="sha512")


def _links(place: str, package: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the link of each program of a package, and its target as seen from there."""
    around, _, name = place.rpartition("node_modules/")
    for program, file in (package.get("bin") or {}).items():
        plain = str(file).removeprefix("./")
        if not _PROGRAM.fullmatch(program) or not _FILE.fullmatch(plain):
            raise UsageError("a program of a package has no usable name", where=place, why=repr((program, file)))
        yield f"{around}node_modules/.bin/{program}", f"../{name}/{plain}"
