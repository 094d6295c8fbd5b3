"""A container: its image, its Quadlet unit, and whether it runs. systemd runs it like any other service.

An image has a name of ours, after what it is made of. What Podman calls it by, its id, is kept beside it: an image that
somebody else gave our name is not taken for it, and one that is gone is made or fetched anew.
"""

from typing import Final

from tfheal.core.resources.image import family, image_id
from tfheal.core.resources.look import LOOK, RUNS, STAYS
from tfheal.core.resources.place import COMPARE, PLACE
from tfheal.core.resources.quadlet import quadlet_text
from tfheal.core.resources.software import trees
from tfheal.core.resources.step import Step, apply_script, check_script, digest, packed, slice_path
from tfheal.core.resources.tree import tree_id
from tfheal.core.resources.unit import mark
from tfheal.model import paths
from tfheal.model.release import Release
from tfheal.model.resources import Container, resource_id

_FOLDER: Final = "/etc/containers/systemd"
_MAKING: Final = 600.0  # seconds to fetch, load or build an image

_KNOWN: Final = r"""
id_of() { podman image inspect --format '{{.Id}}' "$1" 2>/dev/null; }
known() { [ -s "$records/$tag" ] && [ "$(id_of "$family:$tag")" = "$(cat "$records/$tag")" ]; }
"""
# forget TAG: takes our name from an image, and the image itself away, unless somebody else has a name for it
_FORGET: Final = r"""
forget() {
    was=$(cat "$records/$1" 2>/dev/null) || :
    podman rmi "$family:$1" >/dev/null 2>&1 || :
    if [ -n "$was" ] && [ -z "$(podman image inspect --format '{{join .RepoTags " "}}' "$was" 2>/dev/null)" ]; then
        podman rmi "$was" >/dev/null 2>&1 || :
    fi
    rm -f -- "$records/$1"
}
"""
_CHECK: Final = f"""{COMPARE}{LOOK}{RUNS}{_KNOWN}
command -v podman >/dev/null || differs "podman is missing"
if ! known; then
    podman image exists "$family:$tag"
    case $? in
    0) problem "the image is another than the one that was made for it" ;;
    1) problem "the image is missing" ;;
    *) unknown "podman does not answer" ;;
    esac
fi
compare "$path" "$digest" 644 root:root yes "unit file"
look "$name" || unknown "systemd does not answer"
if [ "$load" = masked ]; then problem "is masked"
elif [ -e "$over" ]; then problem "another unit of its name stands in its way: $over"
fi
[ "$stale" != yes ] || problem "systemd has not read its new text"
if ! runs; then problem "not running: $active ($sub, $result)"
elif [ -e "$restart" ]; then problem "a restart is due"
fi
verdict
"""
_MADE: Final = r"""
made() {
    case $source in
    image) podman pull --quiet "$what" && podman tag "$what" "$family:$tag" ;;
    binary)
        printf %s "$what" | base64 -d >"$scratch/image" || return
        loaded=$(podman load --quiet --input "$scratch/image") || return
        loaded=${loaded##* }
        podman tag "$loaded" "$family:$tag" || return
        case $loaded in sha256:* | "$family:$tag") ;; *) podman untag "$loaded" "$loaded" ;; esac
        ;;
    content)
        printf %s "$what" | base64 -d >"$scratch/Containerfile" || return
        podman build --quiet --layers=false --timestamp 0 --tag "$family:$tag" --file "$scratch/Containerfile" "$context/."
        ;;
    esac
}
"""
_APPLY: Final = f"""{PLACE}{LOOK}{RUNS}{STAYS}{_KNOWN}{_FORGET}{_MADE}
reload=$restart
command -v podman >/dev/null || fail "podman is missing: the playbook's packages name it"
mkdir -p -- "${{path%/*}}" "${{restart%/*}}" "$records"
if ! known; then
    : >"$restart"
    scratch=$records/.new # one name: a run that was killed left it, and the lock of the app lets in one at a time
    rm -rf -- "$scratch"
    mkdir -m 0700 -- "$scratch"
    trap 'rm -rf -- "$scratch"' EXIT
    if ! made >"$scratch/said" 2>&1 </dev/null; then
        tail -n 8 "$scratch/said"
        fail "there is no image, what was there is untouched"
    fi
    id_of "$family:$tag" >"$scratch/id"
    sync "$scratch/id"
    mv -T -- "$scratch/id" "$records/$tag"
fi
sum=none
[ -L "$path" ] || [ ! -f "$path" ] || sum=$(sha256sum <"$path")
if [ "${{sum%% *}}" != "$digest" ]; then : >"$restart"; fi
if [ "${{sum%% *}}" != "$digest" ] || [ "$(stat -c %a:%U:%G -- "$path")" != 644:root:root ]; then
    printf %s "$text" | base64 -d | place "$path" 644 root root "$digest"
    systemctl daemon-reload
fi
if [ -e "$over" ] || [ -L "$over" ]; then : >"$restart"; rm -f -- "$over"; systemctl daemon-reload; fi
look "$name" || fail "systemd does not answer"
if [ "$load" = masked ]; then systemctl unmask --runtime --quiet -- "$name"; look "$name"; fi
if [ "$stale" = yes ] || [ "$load" != loaded ]; then systemctl daemon-reload; look "$name"; fi
if [ "$load" != loaded ]; then
    /usr/libexec/podman/quadlet --dryrun 2>&1 | grep -F "$name" | head -n 3 || :
    fail "systemd cannot load $name: $load"
fi
if [ -e "$restart" ] || ! runs; then
    systemctl reset-failed -- "$name" 2>/dev/null || :
    systemctl restart -- "$name" || complain "did not restart"
    settled || complain "did not stay up"
    rm -f -- "$restart"
fi
for other in "$records"/*; do
    other=${{other##*/}}
    [ "$other" = "$tag" ] || grep -qsw -- "$other" "$good" || forget "$other"
done
"""
_REMOVE: Final = f"""{_FORGET}
systemctl stop -- "$name" 2>/dev/null || :
rm -rf -- "${{path%/*}}/.tfheal-new-${{path##*/}}"
rm -f -- "$path" "$over" "$restart"
systemctl daemon-reload
systemctl reset-failed -- "$name" 2>/dev/null || :
command -v podman >/dev/null || exit 0
podman rm --force --ignore "$stem" >/dev/null || fail "its container is still there"
for other in "$records"/*; do
    [ ! -f "$other" ] || forget "${{other##*/}}"
done
rm -rf -- "$records"
"""
_DISCARD: Final = r"""
mkdir -p -- "${restart%/*}"
: >"$restart"
rm -f -- "$records/$tag"
systemctl stop -- "$name" 2>/dev/null || :
command -v podman >/dev/null || exit 0
podman rm --force --ignore "$stem" >/dev/null || :
podman rmi --force "$family:$tag" >/dev/null 2>&1 || :
"""
# Of what we made, all but the image that the unit names and those of the newest release that is known good.
_FREED: Final = f"""{_FORGET}
cd "$states" 2>/dev/null && command -v podman >/dev/null || exit 0
for unit in */*/images/*/; do
    [ -d "$unit" ] || continue
    stem=${{unit%/}} stem=${{stem##*/}} home=${{unit%/images/*}} other=${{unit%%/*}} records=${{unit%/}}
    (
        [ "$other" = "$app" ] || flock -n 8 || exit 0
        now=$(sed -n 's/^Image=//p' "$folder/$stem.container" 2>/dev/null) || :
        [ -n "$now" ] || exit 0
        family=${{now%:*}} good=$(head -n 1 "$home/good" 2>/dev/null) || :
        for tag in "$records"/*; do
            tag=${{tag##*/}}
            [ "$tag" != "${{now##*:}}" ] || continue
            case " $good " in *" $tag "*) continue ;; esac
            [ ! -f "$records/$tag" ] || forget "$tag"
        done
    ) 8>>"$locks/$other.lock"
done
"""


def freed(app: str) -> str:
    """Given the app that acts, return sh that removes images that no container uses and no release goes back to."""
    return apply_script(_FREED, app=app, states=paths.STATE, folder=_FOLDER, locks=paths.RUN)


def step(container: Container, release: Release) -> Step:
    """Given a rendered container, return its step; raise UsageError for a value that a unit cannot hold."""
    values = _values(container, release)
    text = quadlet_text(container, f"{values['family']}:{values['tag']}", release)
    values |= {"digest": digest(text.encode())}
    source, what = _source(container)
    made = {"source": source, "what": what, "context": slice_path(container.context), "text": packed(text.encode())}
    good = f"{paths.state(release.app, release.component)}/good"
    return Step(
        id=resource_id(container),
        check=check_script(_CHECK, **values),
        apply=apply_script(_APPLY, **values, **made, good=good),
        remove=apply_script(_REMOVE, **values),
        timeout=container.start_timeout + container.stop_timeout + _MAKING,
        check_timeout=20.0,
        diff=(values["path"], text),
    )


def discarded(container: Container, release: Release) -> Step:
    """Given a rendered container, return the step that throws it and its image away, so that both are made anew."""
    apply = apply_script(_DISCARD, **_values(container, release))
    timeout = container.stop_timeout + 60.0
    return Step(id=f"discard:{container.name}", check="", apply=apply, remove=None, timeout=timeout)


def _source(container: Container) -> tuple[str, str]:
    """Return of what an image comes, and that: a name, or content packed for the way."""
    if container.image is not None:
        return "image", container.image
    if container.base64 is not None:
        return "binary", container.base64
    return "content", packed((container.content or "").encode())


def _values(container: Container, release: Release) -> dict[str, str]:
    unit = f"{container.name}.service"
    return {
        "name": unit,
        "stem": container.name,
        "path": f"{_FOLDER}/{container.name}.container",
        "over": f"/etc/systemd/system/{unit}",
        "family": family(container),
        "tag": image_id(container, (tree_id(tree.content) for tree in trees(release))),
        "records": f"{paths.state(release.app, release.component)}/images/{container.name}",
        "restart": mark(release, unit, "restart"),
    }
