"""The step that brings the data of an instance to its version, right before its service starts.

What was done is kept on the slice, so whoever finishes an upgrade that was cut off, healing too, starts no service on data
that is not of its version. Of data of a newer version nothing is run: the way back is a restore, or needs none.
"""

from collections.abc import Mapping
from typing import Final

from tfheal.core.resources.step import Step, apply_script, check_script
from tfheal.model import paths
from tfheal.model.playbook import Migrate
from tfheal.model.release import Release, filled

MIGRATE: Final = "migrate"
_CHECK: Final = """
[ "$(cat -- "$kept" 2>/dev/null)" = "$version" ] || differs "the data was not brought to version $version yet"
"""
_ADOPT: Final = r"""
printf '%s\n' "$version" >"$kept.new"
sync -- "$kept.new"
mv -T -- "$kept.new" "$kept"
"""
# The command comes on stdin, and not as an argument that others could read.
_APPLY: Final = (
    r"""
cd /
there=$(cat -- "$kept" 2>/dev/null) || there=$version
newest=$(printf '%s\n' "$there" "$version" | sort -V | tail -n 1)
if [ "$newest" = "$version" ]; then
    systemctl stop -- "$unit" 2>/dev/null || ! systemctl is-active --quiet -- "$unit" || fail "$unit does not stop"
    printf '%s\n' "$run" | runuser -u "$user" -- sh -c 'script=$(cat); eval "$script"' ||
        fail "it failed with status $?"
fi"""
    + _ADOPT
)
_REMOVE: Final = """
rm -f -- "$kept" "$kept.new"
"""


def series(release: Release) -> str | None:
    """Given a release, return of which version the data is that it works on; None if nothing is ever migrated for it."""
    return (release.migrate.series or release.version) if release.migrate else None


def adopted(release: Release) -> Step:
    """Given a release with a migration, return its step where another instance has done that: it is only written down."""
    kept = _kept(release)
    there = {"kept": kept, "version": series(release) or ""}
    return Step(
        MIGRATE,
        check_script(_CHECK, **there),
        apply_script(_ADOPT, **there),
        apply_script(_REMOVE, kept=kept),
        timeout=30,
    )


def _kept(release: Release) -> str:
    return f"{paths.state(release.app, release.component)}/{paths.DATA_VERSION}"


def step(release: Release, migrate: Migrate, secrets: Mapping[tuple[str, int], str]) -> Step:
    """Given a release with a service, its migration and the secrets it names, return its step."""
    kept = _kept(release)
    there = {"kept": kept, "version": series(release) or ""}
    done = {"run": filled(migrate.command, secrets), "user": migrate.user, "unit": release.unit or ""}
    return Step(
        id=MIGRATE,
        check=check_script(_CHECK, **there),
        apply=apply_script(_APPLY, **there, **done),
        remove=apply_script(_REMOVE, kept=kept),
        timeout=migrate.timeout + release.stop_timeout,
        effect="restart",
    )
