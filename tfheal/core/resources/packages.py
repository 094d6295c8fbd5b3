"""Debian packages: installed, at the pinned version where one is pinned; never purged, and the owner's are left alone."""

from collections.abc import Iterable
from typing import Final

from tfheal.base.errors import UsageError
from tfheal.core.resources.step import Step, apply_script, check_script
from tfheal.model import paths
from tfheal.model.resources import Packages, resource_id

# One file per package that was not there before tfheal asked for it.
_RECORDS: Final = f"{paths.STATE}/packages"

# What a power cut left empty of a list apt takes for one that did not change, and does not fetch.
LISTS_LOST: Final = "find /var/lib/apt/lists -maxdepth 1 -type f -name '*_*' -empty -delete 2>/dev/null; "

_INSPECT: Final = r"""
inspect() {
    command -v dpkg-query >/dev/null || { echo "dpkg is not on this machine"; return 2; }
    # shellcheck disable=SC2086 # names without blanks, by the model
    known=$(printf '%s\n' $wanted | cut -d= -f1 \
        | xargs dpkg-query -W -f='${Package} ${db:Status-Status} ${Version}\n' 2>/dev/null) || :
    for entry in $wanted; do
        package=${entry%%=*}
        found=$(printf '%s\n' "$known" | grep "^$package " | head -n 1)
        rest=${found#* }
        case $rest in
        "installed "*) ;;
        "" | not-installed* | config-files*) echo "$package is not installed"; continue ;;
        *) echo "$package is ${rest%% *}"; continue ;;
        esac
        case $entry in
        *=*) [ "${rest#* }" = "${entry#*=}" ] || echo "$package is ${rest#* }, wanted ${entry#*=}" ;;
        esac
    done
}
"""
_CHECK: Final = f"""{_INSPECT}
wrong=$(inspect) || unknown "$wrong"
[ -z "$wrong" ] || differs "$wrong"
"""

# patient COMMAND…: as long as another holds a lock of apt or dpkg, try again; keeps what it said in $log
_PATIENT: Final = r"""
waited=0
patient() {
    while :; do
        status=0
        log=$("$@" 2>&1 </dev/null) || status=$?
        [ "$status" -ne 0 ] || return 0
        holder=$(printf '%s\n' "$log" | grep -i -m 1 -e 'could not get lock' -e 'unable to acquire' -e 'locked by another') \
            || return "$status"
        if [ "$waited" -ge "$patience" ]; then
            fail "another process holds the package system for more than $patience s: $holder"
        fi
        sleep 3
        waited=$((waited + 3))
    done
}
apt() {
    patient apt-get -q -y -o Dpkg::Use-Pty=0 -o APT::Install-Recommends=0 \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
}
# A run that was killed leaves dpkg half way, and packages without others that were to come with them, with which apt does nothing;
# what is broken for other reasons shows in what comes then.
mended() { patient dpkg --configure -a --force-confdef --force-confold || apt --no-remove --fix-broken install || :; }
DEBIAN_FRONTEND=noninteractive APT_LISTCHANGES_FRONTEND=none NEEDRESTART_MODE=l NEEDRESTART_SUSPEND=1
export DEBIAN_FRONTEND APT_LISTCHANGES_FRONTEND NEEDRESTART_MODE NEEDRESTART_SUSPEND
"""
_APPLY: Final = f"""{_INSPECT}{_PATIENT}
mkdir -p -- "$records"
# Lists are fetched once a day. When they came is their ctime, as their mtime is the server's.
fresh() {{
    lists=$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' 2>/dev/null)
    [ -n "$lists" ] && [ -n "$(find "$records/.lists" $lists -cmin -1440 2>/dev/null)" ]
}}
updated=no
update() {{ {LISTS_LOST}apt update || return 1; : >"$records/.lists"; updated=yes; }}
for package in $(inspect | sed -n 's/ is not installed$//p'); do : >"$records/$package"; done
fresh || update || :
# shellcheck disable=SC2086 # words of ours, and names without blanks
install() {{ mended; apt install $options -- $wanted; }}
install || {{ [ "$updated" = no ] && update && install; }} || {{ printf '%s\\n' "$log" | tail -n 15; exit 1; }}
wrong=$(inspect)
[ -z "$wrong" ] || fail "$wrong"
"""
_REMOVAL: Final = f"""{_PATIENT}
mended
for package in $wanted; do
    [ -e "$records/$package" ] || {{ echo "$package was here before, it stays"; continue; }}
    with=$(apt-get -s remove -- "$package" </dev/null 2>/dev/null | sed -n 's/^Remv \\([^ ]*\\) .*/\\1/p') || with=
    for other in $with; do
        case " $wanted " in *" $other "*) [ ! -e "$records/$other" ] || continue ;; esac
        echo "$package stays: $other needs it"
        continue 2
    done
    [ -z "$with" ] || apt remove -- "$package" || {{ printf '%s\\n' "$log" | tail -n 15; exit 1; }}
    rm -f -- "$records/$package"
done
"""


def step(packages: Packages) -> Step:
    """Given packages, return their step; a pin may lower a version, and nothing is ever removed by it; raise UsageError for a name that is none."""
    for name in packages.names:
        if "{" in name:
            raise UsageError(f"{name!r} is not the name of a package")
    wanted = " ".join(packages.names)
    options = "--allow-downgrades" if "=" in wanted else ""
    return Step(
        id=resource_id(packages),
        check=check_script(_CHECK, wanted=wanted),
        apply=apply_script(_APPLY, wanted=wanted, options=options, records=_RECORDS, patience="120"),
        remove=None,
        timeout=900.0,
        check_timeout=20.0,
        effect="restart",
    )


def packages_removal(names: Iterable[str]) -> str:
    """Given names of packages, return the script that removes (never purges) those that tfheal itself installed.

    One that a package needs which is not to go as well stays; the script says so.
    """
    wanted = " ".join(sorted({name.partition("=")[0] for name in names}))
    return apply_script(_REMOVAL, wanted=wanted, records=_RECORDS, patience="120")
