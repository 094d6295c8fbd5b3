"""Remedies that are not a release: restarting a unit and freeing a disk, as steps like any other."""

from typing import Final

from tfheal.base import sh
from tfheal.core.apply import Secrets, alive_script, wait_script
from tfheal.core.resources.step import Step
from tfheal.model.release import Release

_KEPT_JOURNAL: Final = "16M"


def restart(release: Release, secrets: Secrets) -> tuple[Step, ...]:
    """Given a release with a unit, return the step that restarts it and waits until it is alive."""
    if release.unit is None:
        return ()
    unit = sh.quote(release.unit)
    apply = "\n".join(
        [
            f"systemctl reset-failed -- {unit} 2>/dev/null",
            f"systemctl restart -- {unit} || {{ journalctl -u {unit} -n 15 --no-pager -o cat; exit 1; }}",
            f"( {wait_script(release, secrets)}\n) || {{ journalctl -u {unit} -n 15 --no-pager -o cat; exit 1; }}",
        ]
    )
    return (
        Step(
            id=f"restart:{release.unit}",
            check=alive_script(release, secrets),
            apply=apply,
            remove=None,
            timeout=release.start_timeout + release.stop_timeout + 60,
            check_timeout=20,
            effect="nothing",
        ),
    )


def free_disk(full_share: float) -> tuple[Step, ...]:
    """Given the used share that counts as full, return the step that frees caches, journals and old releases, never data."""
    check = "\n".join(
        [
            "for place in / /srv; do",
            "  [ -d $place ] || continue",
            "  df -PB1024 $place | { read -r _; read -r _ size used free _;",
            f"    [ $((100 * used)) -lt $(({round(full_share * 100)} * (used + free))) ] ||",
            '      { echo "$place is full: $((free / 1024)) MiB free"; exit 1; }; } || exit 1',
            "done",
        ]
    )
    apply = "\n".join(
        [
            "apt-get clean",
            f"journalctl --rotate --vacuum-size={_KEPT_JOURNAL} 2>&1 | tail -n 1",
            # All but the release that `current` points to: a way back is worth less than a disk that takes writes.
            "for home in /opt/tfheal/*/*/; do",
            '  [ -L "${home}current" ] || continue',
            '  now=$(readlink -f "${home}current")',
            '  for release in "${home}releases"/*/; do',
            '    [ -d "$release" ] || continue',
            '    [ "$(readlink -f "$release")" = "$now" ] || rm -rf -- "$release"',
            "  done",
            "done",
            "exit 0",
        ]
    )
    step = Step(id="free-disk", check=check, apply=apply, remove=None, timeout=120, check_timeout=10, effect="nothing")
    return (step,)
