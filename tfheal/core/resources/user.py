"""A system user that nobody logs in as."""

import re
from typing import Final

from tfheal.base.errors import UsageError
from tfheal.core.resources.directory import data_paths
from tfheal.core.resources.place import NOTE_MADE
from tfheal.core.resources.record import made_record
from tfheal.core.resources.step import Step, apply_script, check_script, slice_path, yes
from tfheal.model import paths
from tfheal.model.release import Release
from tfheal.model.resources import Directory, User, resource_id

_NAME: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}")

_SAME_SHELL: Final = r"""
same_shell() {
    case $wanted_shell in
    */nologin) case $1 in */nologin | */false) ;; *) return 1 ;; esac ;;
    *) [ "$1" = "$wanted_shell" ] ;;
    esac
}
"""
_CHECK: Final = rf"""{_SAME_SHELL}
entry=$(getent passwd "$name") || {{ [ $? -eq 2 ] && differs missing; unknown "the users cannot be read"; }}
shell=${{entry##*:}}
rest=${{entry%:*}}
have=${{rest##*:}}
[ "$have" = "$home" ] || problem "home is $have, wanted $home"
same_shell "$shell" || problem "shell is $shell, wanted $wanted_shell"
member=" $(id -Gn -- "$name" 2>/dev/null) " || {{
    ! getent group "$(id -g -- "$name")" >/dev/null || unknown "the groups cannot be read"
    problem "its group is missing"
}}
for group in $groups; do
    case $member in *" $group "*) ;; *) problem "not in the group $group" ;; esac
done
verdict
"""
_APPLY: Final = f"""{NOTE_MADE}{_SAME_SHELL}
list=$(printf %s "$groups" | tr ' ' ,)
if ! getent passwd "$name" >/dev/null; then
    note_made "$record" "$name"
    own=--user-group
    if getent group "$name" >/dev/null; then own="--no-user-group --gid $name"; fi
    # $own is one or three words of ours
    useradd --system --no-create-home --home-dir "$home" --shell "$wanted_shell" $own ${{list:+--groups "$list"}} "$name"
fi
[ "$(id -u -- "$name")" != 0 ] || fail "$name is root by another name: it is left alone"
# Users and groups are two files, and a machine may go down between them.
group=$(id -g -- "$name")
getent group "$group" >/dev/null || groupadd --system --gid "$group" "$name"
[ -z "$list" ] || usermod --append --groups "$list" "$name"
entry=$(getent passwd "$name")
same_shell "${{entry##*:}}" || usermod --shell "$wanted_shell" "$name"
rest=${{entry%:*}}
[ "${{rest##*:}}" = "$home" ] || usermod --home "$home" "$name"
"""
_REMOVE: Final = r"""
[ "$ours" = yes ] || [ -e "$record" ] || exit 0
if getent passwd "$name" >/dev/null; then userdel "$name" || fail "the user $name stays"; fi
rm -f -- "$record"
"""


def step(user: User, release: Release) -> Step:
    """Given a rendered user, return its step; one that owns data stays as long as the data."""
    for name in (user.name, *user.groups):
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} is not a name for a user or group", where=str(release.instance), hint=_NAME.pattern
            )
    values = {"name": user.name, "record": made_record(user, release)}
    wanted = {"home": slice_path(user.home), "groups": " ".join(user.groups), "wanted_shell": user.login_shell}
    return Step(
        id=resource_id(user),
        check=check_script(_CHECK, name=user.name, **wanted),
        apply=apply_script(_APPLY, **values, **wanted),
        remove=apply_script(_REMOVE, **values, ours=yes(said=user.name == paths.user(release.app, release.component))),
        timeout=60.0,
        effect="restart",
        holds_data=_owns_data(user, release),
    )


def _owns_data(user: User, release: Release) -> bool:
    kept = data_paths(release)
    return any(
        isinstance(resource, Directory) and resource.owner == user.name and slice_path(resource.path) in kept
        for resource in release.resources
    )
