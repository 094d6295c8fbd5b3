"""What `tfheal remove` takes away: what tfheal made and no other app claims, in the reverse order of its making."""

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from tfheal.base import sh
from tfheal.core.resources.directory import data_paths
from tfheal.core.resources.packages import packages_removal
from tfheal.core.resources.step import Step
from tfheal.model import paths
from tfheal.model.release import Release
from tfheal.model.resources import Packages

_ALWAYS: Final = ""  # a removal has no guard: its text does nothing where there is nothing


def removal(
    release: Release, steps: tuple[Step, ...], claimed: Collection[str], *, data: bool, packages: bool
) -> tuple[Step, ...]:
    """Given a release, its steps and the resources that others claim on the slice, return the steps that take it away.

    Data goes only with `data`, packages only with `packages`; what tfheal remembers on the slice goes last.
    """
    gone = [
        replace(step, id=f"remove {step.id}", check=_ALWAYS, apply=step.remove, effect="nothing", diff=None)
        for step in reversed(steps)
        if step.remove is not None and step.id not in claimed and (data or not step.holds_data)
    ]
    if packages:
        names = _packages(release, claimed)
        if names:
            text = packages_removal(names)
            gone.append(Step(f"remove packages:{','.join(names)}", _ALWAYS, text, None, timeout=300.0))
    return (*gone, _forgotten(release, data=data))


def _packages(release: Release, claimed: Collection[str]) -> tuple[str, ...]:
    """Return the names of the packages of a release that nobody else on the slice claims, in whatever company."""
    lists = (one.removeprefix("packages:") for one in claimed if one.startswith("packages:"))
    others = {name for names in lists for name in names.split(",")}
    packages = (resource for resource in release.resources if isinstance(resource, Packages))
    ours = (name.partition("=")[0] for resource in packages for name in resource.names)
    return tuple(name for name in ours if name not in others)


def _forgotten(release: Release, *, data: bool) -> Step:
    home, state = paths.home(release.app, release.component), paths.state(release.app, release.component)
    kept = not data and any(path.startswith(f"{home}/") for path in data_paths(release))
    lines = [
        f"rm -rf -- {sh.quote(state) if kept else sh.join(home, state)}",
        f"rmdir -- {sh.join(home.rpartition('/')[0], state.rpartition('/')[0], paths.PAUSES)} 2>/dev/null",
        "exit 0",
    ]
    return Step("remove state", _ALWAYS, "\n".join(lines), None, timeout=60.0)
