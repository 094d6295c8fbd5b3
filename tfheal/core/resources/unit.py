"""A systemd unit: its text, whether it is enabled, whether it runs, and whether a restart is still due.

A change that needs a restart is marked on the slice before it is made, and the mark goes only when the restart worked.
So a run that is killed between writing a file and restarting the service is finished by the next one.
"""

import re
from typing import Final

from tfheal.base.errors import UsageError
from tfheal.core.resources.look import LOOK, RUNS, STAYS
from tfheal.core.resources.place import COMPARE, PLACE
from tfheal.core.resources.step import Effect, Step, apply_script, check_script, digest, packed, yes
from tfheal.model import paths
from tfheal.model.release import SECRET_TOKEN, Release
from tfheal.model.resources import Unit, resource_id

_FOLDER: Final = "/etc/systemd/system"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9:_.-]{0,200}\.(service|timer|socket|path|target)")
_STOP_TIMEOUT: Final = re.compile(r"^TimeoutStopSec=(\d+(\.\d+)?)$", re.MULTILINE)
_SYSTEMD_STOPS_AFTER: Final = 90.0
_SLACK: Final = 60.0

_CHECK: Final = f"""{COMPARE}{LOOK}{RUNS}
compare "$path" "$digest" 644 root:root yes "unit file"
look "$name" || unknown "systemd does not answer"
[ "$load" != masked ] || problem "is masked"
[ "$stale" != yes ] || problem "systemd has not read its new text"
case $enabled:$file in
yes:enabled | yes:linked | yes:alias | any:*) ;;
yes:*) problem "is not enabled" ;;
no:enabled | no:enabled-runtime) problem "is enabled" ;;
esac
if [ "$running" = yes ]; then
    # One that does not run is not as it should be for that alone: whether it is to be restarted as well is no drift.
    if ! runs; then problem "not running: $active ($sub, $result)"
    elif [ -e "$restart" ]; then problem "a restart is due"
    elif [ -e "$reload" ]; then problem "a reload is due"
    fi
fi
verdict
"""
_APPLY: Final = f"""{PLACE}{LOOK}{RUNS}{STAYS}
new=no
sum=none
[ -L "$path" ] || [ ! -f "$path" ] || sum=$(sha256sum <"$path")
if [ "${{sum%% *}}" != "$digest" ]; then
    new=yes
    [ "$running" = no ] || {{ mkdir -p -- "${{restart%/*}}"; : >"$restart"; }}
fi
if [ "$new" = yes ] || [ "$(stat -c %a:%U:%G -- "$path")" != 644:root:root ]; then
    printf %s "$content" | base64 -d | place "$path" 644 root root "$digest"
    systemctl daemon-reload
fi
look "$name" || fail "systemd does not answer"
if [ "$load" = masked ]; then systemctl unmask --runtime --quiet -- "$name"; look "$name"; fi
if [ "$stale" = yes ] || [ "$load" != loaded ]; then systemctl daemon-reload; look "$name"; fi
[ "$load" = loaded ] || fail "systemd cannot load $name: $load"
case $enabled in
yes)
    # What wants the unit may be another now; and a run killed before this line has left the restart due.
    if [ "$new" = yes ] || [ -e "$restart" ]; then systemctl --quiet reenable -- "$name"
    else systemctl --quiet enable -- "$name"
    fi
    ;;
no) systemctl --quiet disable -- "$name" ;;
esac
[ "$running" = yes ] || exit 0
action=
if [ -e "$restart" ]; then action=restart
elif ! runs; then action=restart
elif [ -e "$reload" ]; then action=reload-or-restart
fi
if [ -n "$action" ]; then
    systemctl reset-failed -- "$name" 2>/dev/null || :
    systemctl "$action" -- "$name" || complain "did not $action"
    settled || complain "did not stay up"
    rm -f -- "$restart" "$reload"
fi
"""
_REMOVE: Final = f"""{LOOK}
look "$name" || fail "systemd does not answer"
case $active in inactive | failed) ;; *) systemctl stop -- "$name" || : ;; esac
[ ! -e "$path" ] || [ -L "$path" ] || systemctl --quiet disable -- "$name" || :
find /etc/systemd/system -mindepth 2 -maxdepth 2 -type l -name "$name" -delete
rm -rf -- "${{path%/*}}/.tfheal-new-$name"
rm -f -- "$path" "$restart" "$reload"
systemctl daemon-reload
systemctl reset-failed -- "$name" 2>/dev/null || :
look "$name" || fail "systemd does not answer"
case $active in inactive | failed) ;; *) fail "$name is still $active" ;; esac
"""


def step(unit: Unit, release: Release) -> Step:
    """Given a unit, return its step; the service of the release carries out the restarts that other steps made due."""
    if not _NAME.fullmatch(unit.name):
        raise UsageError(f"{unit.name!r} is not the name of a unit", where=str(release.instance), hint="NAME.service")
    if SECRET_TOKEN.search(unit.content):
        hint = "use `credentials:` of the service, or a file of mode 0600"
        raise UsageError(
            f"the unit {unit.name} would show a secret to everybody", where=str(release.instance), hint=hint
        )
    data, path = unit.content.encode(), f"{_FOLDER}/{unit.name}"
    installable = "[Install]" in unit.content
    values = {
        "name": unit.name,
        "path": path,
        "digest": digest(data),
        "enabled": yes(said=unit.enabled) if installable else "any",
        "running": yes(said=unit.running),
        "restart": mark(release, unit.name, "restart"),
        "reload": mark(release, unit.name, "reload"),
    }
    return Step(
        id=resource_id(unit),
        check=check_script(_CHECK, **values),
        apply=apply_script(_APPLY, **values, content=packed(data)),
        remove=apply_script(_REMOVE, **values),
        timeout=release.start_timeout + _stop_timeout(unit) + _SLACK,
        diff=(path, unit.content),
    )


def _stop_timeout(unit: Unit) -> float:
    found = _STOP_TIMEOUT.search(unit.content)
    return float(found[1]) if found else _SYSTEMD_STOPS_AFTER


def mark(release: Release, unit: str, effect: Effect) -> str:
    """Return the file on the slice that says what is due for a unit of a release; its own service has one for all."""
    own = "" if unit == release.unit else f".{unit}"
    return f"{paths.state(release.app, release.component)}/{effect}-needed{own}"
