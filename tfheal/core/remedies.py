"""Remedies that are not a release: restarting a unit, freeing a disk, throwing software away, as steps like any other."""

from typing import Final

from tfheal.base import sh
from tfheal.core.apply import Secrets, alive_script, wait_script
from tfheal.core.resources import container
from tfheal.core.resources.software import containers, trees
from tfheal.core.resources.step import Step
from tfheal.core.resources.tree import discarded
from tfheal.model import paths
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


def discard(release: Release) -> tuple[Step, ...]:
    """Given a release, return the steps that disown its software, so that the steps of the release make it anew.

    A folder stays in use until the new one is complete; a container is gone until its image is there again. A run that
    is killed in between leaves a drift.
    """
    folders = tuple(discarded(tree) for tree in trees(release))
    return folders + tuple(container.discarded(one, release) for one in containers(release))


def free_disk(app: str, full_share: float) -> tuple[Step, ...]:
    """Given the app that acts and the used share that counts as full, return the step that frees caches, journals, old releases and images.

    The owner's data is never touched, nor what another run is just putting there.
    """
    most = round(full_share * 100)
    check = f"""\
df -B1024 --output=used,avail {paths.DISKS} 2>/dev/null | {{ while read -r used free; do
  case $used$free in *[!0-9]*) continue;; esac
  [ $((100 * used)) -lt $(({most} * (used + free))) ] || {{ echo "a disk is full: $((free / 1024)) MiB free"; exit 1; }}
done; }} || exit 1
df --output=iused,iavail {paths.DISKS} 2>/dev/null | {{ while read -r used free; do
  case $used$free in *[!0-9]*|00) continue;; esac
  [ $((100 * used)) -lt $(({most} * (used + free))) ] || {{ echo "a disk is full: $free inodes free"; exit 1; }}
done; }} || exit 1
"""
    # All but the release that `current` points to and the newest that is known good: while the one that runs has not
    # proven itself, that one is the only way back; once it has, they are the same. The lock of our own app is ours
    # already; of another app it says that a run may be putting a release there just now.
    apply = f"""\
apt-get clean
journalctl --rotate --vacuum-size={_KEPT_JOURNAL} 2>&1 | tail -n 1
for home in /opt/tfheal/*/*/; do
  [ -L "${{home}}current" ] && [ -d "${{home}}current" ] || continue
  other=${{home#/opt/tfheal/}}
  other=${{other%%/*}}
  (
    [ "$other" = {sh.quote(app)} ] || flock -n 8 || exit 0
    now=$(readlink -f "${{home}}current")
    good=$(head -n 1 "{paths.STATE}/${{home#/opt/tfheal/}}good" 2>/dev/null)
    for release in "${{home}}releases"/*; do
      [ -d "$release" ] && [ ! -L "$release" ] || continue
      case " $good " in *" ${{release##*/}} "*) continue ;; esac
      [ "$(readlink -f "$release")" = "$now" ] || rm -rf --one-file-system -- "$release"
    done
  ) 8>>"{paths.RUN}/$other.lock"
done
( {container.freed(app)}
) 2>&1 | tail -n 3
exit 0
"""
    step = Step(id="free-disk", check=check, apply=apply, remove=None, timeout=120, check_timeout=10, effect="nothing")
    return (step,)
