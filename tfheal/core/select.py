"""Selectors: app names, `owner:acme`, `slice:acme-*`, `label:role=database`, `playbook:tryton`; the same everywhere."""

import difflib
from collections.abc import Iterable
from fnmatch import fnmatchcase

from tfheal.base.errors import UsageError
from tfheal.model.app import AppSpec
from tfheal.model.workspace import Workspace

KINDS = ("owner", "slice", "label", "playbook")


def selected(workspace: Workspace, selectors: Iterable[str], excluded: Iterable[str] = ()) -> tuple[str, ...]:
    """Given selectors, return the names of the apps that match any of them and none of the excluded, in order.

    No selector matches every app. Raise UsageError for a selector that is malformed or matches nothing.
    """
    wanted, unwanted = tuple(selectors), tuple(excluded)
    for selector in wanted + unwanted:
        if not any(_matches(workspace, app, selector) for app in workspace.apps.values()):
            raise UsageError(
                f"nothing matches {selector}", why=_why(workspace, selector), hint="tfheal status lists the apps"
            )
    return tuple(
        name
        for name, app in workspace.apps.items()
        if (not wanted or any(_matches(workspace, app, selector) for selector in wanted))
        and not any(_matches(workspace, app, selector) for selector in unwanted)
    )


def slices_of(workspace: Workspace, apps: Iterable[str]) -> tuple[str, ...]:
    """Given names of apps, return the slices that they are placed on, in the order of the inventory."""
    placed = {name for app in apps for slices in workspace.apps[app].place.values() for name in slices}
    return tuple(name for name in workspace.inventory.slices if name in placed)


def _matches(workspace: Workspace, app: AppSpec, selector: str) -> bool:
    kind, colon, pattern = selector.partition(":")
    if not colon:
        return fnmatchcase(app.app, selector)
    placed = {name for slices in app.place.values() for name in slices}
    match kind:
        case "owner":
            return fnmatchcase(app.owner, pattern)
        case "playbook":
            return fnmatchcase(app.playbook, pattern)
        case "slice":
            return any(fnmatchcase(name, pattern) for name in placed)
        case "label":
            key, _, value = pattern.partition("=")
            slices = workspace.inventory.slices
            return any(
                fnmatchcase(slices[name].labels.get(key, ""), value or "?*") for name in placed if name in slices
            )
    raise UsageError(f"{selector} is not a selector", why=f"{kind} is none of {', '.join(KINDS)}")


def _why(workspace: Workspace, selector: str) -> str:
    near = difflib.get_close_matches(selector, list(workspace.apps), n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"the apps are {', '.join(workspace.apps)}" if workspace.apps else "there are no apps yet"
