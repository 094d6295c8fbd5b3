"""Archives that the slice fetches and unpacks into one immutable folder, once each has the hash that is pinned for it.

Every hash is compared before anything is unpacked. What is unpacked belongs to root and is read by all; a name, a link
or a special file that leads out of its part is refused, though the hash says that it is what the playbook wanted.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from tfheal.base.errors import UsageError
from tfheal.core.resources.step import Step
from tfheal.core.resources.tree import Tree, tree_step
from tfheal.model.release import Release
from tfheal.model.resources import Archive, resource_id

_URL: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+/[A-Za-z0-9._~:/?@!$&()*+,;=%-]*")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_FOLDER: Final = re.compile(r"[A-Za-z0-9_@][A-Za-z0-9._@+~-]*(/[A-Za-z0-9_@][A-Za-z0-9._@+~-]*)*")
_WHOLE: Final = "."

BUILD: Final = r"""
# What npm does with a lock: its own registry stands for the one that the machine is set to use.
npm=https://registry.npmjs.org/
registry=${NPM_CONFIG_REGISTRY-$(sed -n 's/^registry *= *//p' /root/.npmrc /etc/npmrc 2>/dev/null | head -n 1)}
each() { while read -r hash strip folder into url; do
    case $url in "$npm"*) [ -z "$registry" ] || url=${registry%/}/${url#"$npm"} ;; esac
    number=$((number + 1))
    "$1" </dev/null
done; }
wanted() { printf 'url = "%s"\noutput = "%s/%s"\n' "$url" "$parts" "$number"; }
compared() {
    have=$("${hash%%:*}sum" <"$parts/$number")
    [ "${have%% *}" = "${hash#*:}" ] || fail "$url is another than the pinned one: its ${hash%%:*} is ${have%% *}"
}
needed() { command -v "$1" >/dev/null || fail "$1 is missing, for $url: the playbook's packages name ${2-$1}"; }
unpacked() {
    file=$parts/$number new=$parts/new
    rm -rf -- "$new"
    mkdir -- "$new"
    list='tar -tf' unpack="tar -C $new --no-same-owner --no-same-permissions -xf"
    case $(head -c 4 "$file" | od -An -tx1 | tr -d ' ') in
    504b0304) needed unzip; list='unzip -Z1' unpack="unzip -q -d $new" ;;
    fd377a58) needed xz xz-utils ;;
    28b52ffd) needed zstd ;;
    425a68*) needed bzip2 ;;
    esac
    # shellcheck disable=SC2086 # our own words
    names=$($list "$file") || fail "$url is not an archive that can be read"
    ! printf '%s\n' "$names" | grep -qE '^/|(^|/)\.\.(/|$)' || fail "$url holds a name that leads out of it"
    # shellcheck disable=SC2086
    $unpack "$file" || fail "$url does not unpack"
    rm -f -- "$file"
    if [ "$strip" -gt 0 ]; then
        mkdir -- "$new.stripped"
        (cd -- "$new" && find . -mindepth "$((strip + 1))" -maxdepth "$((strip + 1))" -exec mv -t "$new.stripped" -- {} +)
        rm -rf -- "$new"
        mv -T -- "$new.stripped" "$new"
    fi
    (taken)
}
taken() {
    cd -P -- "$new/$folder" || fail "$url holds no folder $folder"
    case $(pwd -P)/ in "$(readlink -f "$new")"/*) ;; *) fail "$url: $folder leads out of it" ;; esac
    [ -n "$(ls -A)" ] || fail "of $url nothing is left to take"
    odd=$(find . ! -type f ! -type d ! -type l -print -quit)
    [ -z "$odd" ] || fail "$url holds a special file: $odd"
    odd=$(find . -type l -exec realpath -m -- {} + | awk -v root="$(pwd -P)/" 'index($0 "/", root) != 1' | head -n 1)
    [ -z "$odd" ] || fail "$url holds a link that leads out of it, to $odd"
    chmod -R a-st,u+rwX,go+rX,go-w -- .
    mkdir -p -- "$place/$into"
    cp -a -- . "$place/$into"
}
linked() { while read -r link target; do # a program of a package is not always executable
    mkdir -p -- "$place/${link%/*}"
    [ ! -f "$place/${link%/*}/$target" ] || chmod a+x -- "$place/${link%/*}/$target"
    ln -sfn -- "$target" "$place/$link"
done; }

command -v curl >/dev/null || fail "curl is missing: the playbook's packages name it"
mkdir -- "$parts"
number=0
each wanted >"$parts/wanted" <<END
$pinned
END
curl -q --fail --silent --show-error --location --proto =http,https --retry 3 --connect-timeout 20 \
    --speed-limit 1 --speed-time 60 --parallel --parallel-max 8 -K "$parts/wanted" || fail "not everything could be fetched"
number=0
each compared <<END
$pinned
END
number=0
each unpacked <<END
$pinned
END
[ -z "$links" ] || linked <<END
$links
END
"""


@dataclass(frozen=True, slots=True)
class Pinned:
    """One archive: where it is fetched, its hash in hexadecimal, what of it is taken, and where that goes."""

    url: str
    digest: str
    strip: int = 0
    folder: str = ""
    into: str = ""
    algorithm: Literal["sha256", "sha512"] = "sha256"

    def line(self) -> str:
        """Return it as the build reads it; raise UsageError for what could mislead there."""
        for folder in (self.folder, self.into):
            if folder and not _FOLDER.fullmatch(folder):
                raise UsageError(f"{folder!r} is not a folder in an archive", why=self.url, hint="package/dist")
        if not _URL.fullmatch(self.url):
            raise UsageError(f"{self.url!r} is not the URL of an archive", hint="https://…")
        return f"{self.algorithm}:{self.digest} {self.strip} {self.folder or _WHOLE} {self.into or _WHOLE} {self.url}"


def step(archive: Archive, release: Release) -> Step:
    """Given rendered archives, return their step; raise UsageError for a hash, URL or folder that is none."""
    return tree_step(resource_id(archive), tree_of(archive), release)


def tree_of(archive: Archive) -> Tree:
    """Given rendered archives, return their tree; raise UsageError for a hash, URL or folder that is none."""
    for part in archive.parts:
        if not _SHA256.fullmatch(part.sha256.strip()):
            raise UsageError(f"{part.sha256!r} is not a SHA-256", where=part.url, hint="64 hexadecimal digits")
    pinned = (Pinned(part.url, part.sha256.strip(), part.strip, part.folder, part.into) for part in archive.parts)
    return tree(archive.home, archive.keep, pinned)


def tree(home: str, keep: int, pinned: Iterable[Pinned], links: Iterable[tuple[str, str]] = ()) -> Tree:
    """Given archives, and links (each with its target) that are laid into what they become, return the tree of them."""
    lines = "\n".join(part.line() for part in pinned)
    laid = "\n".join(f"{link} {target}" for link, target in links)
    return Tree(home=home, content=f"{lines}\0{laid}", keep=keep, build=BUILD, values={"pinned": lines, "links": laid})
