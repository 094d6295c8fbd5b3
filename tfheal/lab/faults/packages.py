"""Faults of the operating system's packages: one is gone, or a stranger keeps everybody from installing any."""

from typing import Final

from tfheal.lab.faults.fault import Fault, Scripts, of_scripts
from tfheal.model import paths
from tfheal.model.lab import FaultKind

# tfheal notes each package that was not there before it asked for it.
_RECORDS: Final = f"{paths.STATE}/packages"
_INSTALLED: Final = """installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
"""
_MISSING: Final = (
    _INSTALLED + f"missing=$(ls {_RECORDS} 2>/dev/null | while read -r one; do installed $one || echo $one; done)\n"
)
REMOVE_PACKAGE: Final = of_scripts(
    FaultKind(
        "remove-package",
        "packages",
        does="removes the package that tfheal installed last, whatever depends on it",
        proven="a package that tfheal installed is not there",
        mended="it is installed again",
    ),
    Scripts(
        put=f"""{_INSTALLED}
for package in $(ls -t {_RECORDS} 2>/dev/null); do if installed "$package"; then break; fi; package=; done
[ -n "${{package-}}" ] || {{ echo "tfheal has installed no package there" >&2; exit 1; }}
dpkg --remove --force-depends "$package"
""",
        seen=f'{_MISSING}[ -n "$missing" ] && echo $missing is not installed',
        mend=f"""{_MISSING}[ -n "$missing" ] || exit 0
apt-get -qq -y --no-install-recommends install $missing </dev/null
""",
    ),
)

# The lock as apt and dpkg take it: of fcntl, write, the whole file (struct flock of 64-bit Linux).
_LOCK: Final = """my @held;
for (@ARGV) {
    my $lock = pack("s s x4 q q i x4", 1, 0, 0, 0, 0);
    open my $one, ">>", $_ or exit 2;
    fcntl($one, 6, $lock) or exit 1;
    push @held, $one;
}"""
_LOCKS: Final = "/var/lib/dpkg/lock-frontend /var/lib/dpkg/lock"
HOLD_DPKG_LOCK: Final = of_scripts(
    FaultKind(
        "hold-dpkg-lock",
        "packages",
        does="has a stranger hold the lock of dpkg: nobody installs or removes a package",
        proven="the lock cannot be taken",
        mended="he lets go",
    ),
    Scripts(
        put=f"systemd-run --quiet --collect --expand-environment=no --unit=dpkg-holder perl -e '{_LOCK} sleep 1 while 1' {_LOCKS}",
        seen=f"""systemctl is-active --quiet dpkg-holder && ! perl -e '{_LOCK}' {_LOCKS} && echo "the lock of dpkg is taken" """,
        mend="systemctl stop dpkg-holder 2>/dev/null || true",
    ),
)

FAULTS: Final[tuple[Fault, ...]] = (HOLD_DPKG_LOCK, REMOVE_PACKAGE)
