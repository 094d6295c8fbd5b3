"""The local reflex of an instance: its part in the loop of its slice, and the loop itself, which all instances share.

Two releases of different ages may live on one slice, each made for its own version of the loop. The newer loop serves
both and stays; what is compared byte by byte is the version that this tfheal knows.
"""

from collections.abc import Mapping
from typing import Final

from tfheal.core.resources.place import COMPARE, PLACE
from tfheal.core.resources.reflex_loop import LOOP, UNIT, VERSION
from tfheal.core.resources.step import Step, apply_script, check_script, digest, packed
from tfheal.model import paths
from tfheal.model.release import Reflex, Release, filled

_SHARED: Final = f"""
loop={paths.REFLEX_LOOP} unit={paths.REFLEX_UNIT} parts={paths.REFLEX_PARTS} run={paths.RUN}
unit_file=/etc/systemd/system/$unit
there() {{ # the version of the loop that is there, 0 if there is none
    there=0
    [ ! -r "$loop" ] || {{ read -r _; read -r _ _ _ there; }} <"$loop" || :
    case $there in '' | *[!0-9]* | ?????*) there=0 ;; esac
}}
"""
_CHECK: Final = f"""{_SHARED}{COMPARE}
there
[ "$there" -ge "$wanted" ] || problem "the loop is version $there, wanted $wanted"
set -- "$part"
sums="$digest  $part"
modes='600 root:root'
if [ "$there" -eq "$version" ]; then
    set -- "$@" "$loop" "$unit_file"
    sums="$sums
$loop_digest  $loop
$unit_digest  $unit_file"
    modes="$modes
644 root:root
644 root:root"
fi
# Nearly always all is well, which two programs can tell; which file is not, is asked for when it is not.
if ! printf '%s\\n' "$sums" | sha256sum --status -c - 2>/dev/null || [ "$(stat -c '%a %U:%G' -- "$@")" != "$modes" ]; then
    compare "$part" "$digest" 600 root:root no
    if [ "$there" -eq "$version" ]; then
        compare "$loop" "$loop_digest" 644 root:root no "the loop"
        compare "$unit_file" "$unit_digest" 644 root:root no "$unit"
    fi
fi
state=$(systemctl show -p ActiveState -p UnitFileState -- "$unit") || unknown "systemd does not answer"
case $state in *ActiveState=active*) ;; *) problem "$unit does not run" ;; esac
case $state in *UnitFileState=enabled*) ;; *) problem "$unit is not enabled" ;; esac
verdict
"""
_CHECK_OFF: Final = """
[ ! -e "$part" ] || differs "is there, and is to be off"
"""
# Parts come and go under a lock: whoever takes away the last one stops a loop that nobody needs just then.
_ALONE: Final = """
mkdir -p -- "$run" "$parts"
exec 8>>"$run/reflex.lock"
flock -w 60 8 || fail "another run is at work on the reflex"
"""
_APPLY: Final = f"""{_SHARED}{PLACE}{_ALONE}
there
new=no
put() {{
    sum=$(sha256sum -- "$1" 2>/dev/null) || sum=none
    [ "${{sum%% *}}" != "$3" ] || [ "$(stat -c %a:%U:%G -- "$1")" != 644:root:root ] || return 0
    printf %s "$2" | base64 -d | place "$1" 644 root root "$3"
    new=yes
}}
printf %s "$content" | base64 -d | place "$part" 600 root root "$digest"
if [ "$there" -le "$version" ]; then
    put "$loop" "$loop_content" "$loop_digest"
    put "$unit_file" "$unit_content" "$unit_digest"
fi
[ "$new" = no ] || systemctl daemon-reload
systemctl --quiet enable -- "$unit"
if [ "$new" = yes ]; then systemctl restart -- "$unit"; else systemctl start -- "$unit"; fi
systemctl is-active --quiet -- "$unit" || fail "$unit does not run"
"""
_REMOVE: Final = f"""{_SHARED}{_ALONE}
rm -rf -- "${{part%/*}}/.tfheal-new-${{part##*/}}"
rm -f -- "$part" "$run/reflex/${{part##*/}}"
set -- "$parts"/*.sh
[ ! -e "$1" ] || exit 0
[ ! -e "$unit_file" ] || systemctl --quiet disable --now -- "$unit"
rm -f -- "$unit_file" "$loop"
rm -rf -- "$run/reflex"
rmdir --ignore-fail-on-non-empty -- "$parts"
systemctl daemon-reload
systemctl reset-failed -- "$unit" 2>/dev/null || :
"""


def step(release: Release, reflex: Reflex, secrets: Mapping[tuple[str, int], str]) -> Step:
    """Given a release with a unit, its reflex and the secrets it names, return its step; one that is off is taken away."""
    part = paths.reflex_part(release.app, release.component)
    remove = apply_script(_REMOVE, part=part)
    if not reflex.asks:
        return _step(release, check_script(_CHECK_OFF, part=part), remove, remove)
    data, loop, unit = part_text(release, reflex, secrets).encode(), LOOP.encode(), UNIT.encode()
    shared = {"version": str(VERSION), "loop_digest": digest(loop), "unit_digest": digest(unit)}
    own = {"part": part, "digest": digest(data)}
    contents = {"content": packed(data), "loop_content": packed(loop), "unit_content": packed(unit)}
    check = check_script(_CHECK, **own, **shared, wanted=str(reflex.loop))
    return _step(release, check, apply_script(_APPLY, **own, **shared, **contents), remove)


def part_text(release: Release, reflex: Reflex, secrets: Mapping[tuple[str, int], str]) -> str:
    """Given a release, its reflex and the secrets it names, return the file by which the loop knows the instance."""
    head = {
        "app": release.app,
        "component": release.component,
        "unit": release.unit,
        "start": round(release.start_timeout),
        "patience": f"{reflex.patience:.2f}",
    }
    lines = "".join(f"# {key} {value}\n" for key, value in head.items())
    return f"{lines}_tfheal_part() {{\n{filled(reflex.asks, secrets)}\n}}\n_tfheal_part </dev/null\n"


def _step(release: Release, check: str, apply: str, remove: str) -> Step:
    return Step(
        id=f"reflex:{release.instance.on_slice}",
        check=check,
        apply=apply,
        remove=remove,
        timeout=120.0,
    )
