"""Selectors: app names, `owner:acme`, `slice:acme-*`, `label:role=database`, `playbook:tryton`; the same everywhere."""

import difflib
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

from tfheal.base.errors import UsageError
from tfheal.model.app import AppSpec
from tfheal.model.workspace import Workspace

KINDS: Final = ("owner", "slice", "label", "playbook")
_SHOWN: Final = 20  # names in one message: a fleet may have thousands of slices
_HINT: Final = "tfheal status lists the apps, tfheal slice list the slices"


def selected(workspace: Workspace, selectors: Iterable[str], excluded: Iterable[str] = ()) -> tuple[str, ...]:
    """Given selectors, return the names of the apps that match any of them and none of the excluded, in order.

    No selector matches every app. Raise UsageError for a selector that is malformed or matches nothing.
    """
    wanted, unwanted = tuple(selectors), tuple(excluded)
    for selector in wanted + unwanted:
        apps = any(_matches(workspace, app, selector) for app in workspace.apps.values())
        if not apps and not any(_is_meant(workspace, name, selector) for name in workspace.inventory.slices):
            raise UsageError(f"nothing matches {selector}", why=_why(workspace, selector), hint=_HINT)
    return tuple(
        name
        for name, app in workspace.apps.items()
        if (not wanted or any(_matches(workspace, app, selector) for selector in wanted))
        and not any(_matches(workspace, app, selector) for selector in unwanted)
    )


def named(workspace: Workspace, app: str) -> str:
    """Given the name of an app, return it; raise UsageError with the nearest name if there is no such app."""
    if app not in workspace.apps:
        raise UsageError(f"there is no app {app}", why=_why(workspace, app), hint=_HINT)
    return app


def slices_of(workspace: Workspace, apps: Iterable[str], selectors: Iterable[str] = ()) -> tuple[str, ...]:
    """Given names of apps and selectors, return the slices of these apps and those meant themselves, in inventory order."""
    placed = {name for app in apps for slices in workspace.apps[app].place.values() for name in slices}
    meant = tuple(selectors)
    return tuple(
        name
        for name in workspace.inventory.slices
        if name in placed or any(_is_meant(workspace, name, selector) for selector in meant)
    )


def machines(workspace: Workspace, selectors: Iterable[str], excluded: Iterable[str] = ()) -> tuple[str, ...]:
    """Given selectors, return the slices to work on that any of them means and none of the excluded, in inventory order.

    `slice:`, `label:` and `owner:` mean slices themselves, and no other slice of an app that is there; the rest the slices
    that apps are on. No selector means every slice. Raise UsageError for a selector that is malformed or matches nothing.
    """
    wanted, unwanted = tuple(selectors), tuple(excluded)
    selected(workspace, wanted, unwanted)
    return tuple(
        name
        for name in workspace.inventory.slices
        if (not wanted or any(_is_under(workspace, name, selector) for selector in wanted))
        and not any(_is_under(workspace, name, selector) for selector in unwanted)
    )


def _is_under(workspace: Workspace, name: str, selector: str) -> bool:
    """Return whether a selector means this slice itself, or an app that is on it."""
    kind, colon, pattern = selector.partition(":")
    if colon and kind == "owner":
        return fnmatchcase(workspace.inventory.slices[name].owner, pattern)
    if colon and kind in {"slice", "label"}:
        return _is_meant(workspace, name, selector)
    there = (app for app in workspace.apps.values() if any(name in slices for slices in app.place.values()))
    return any(_matches(workspace, app, selector) for app in there)


def _matches(workspace: Workspace, app: AppSpec, selector: str) -> bool:
    kind, colon, pattern = selector.partition(":")
    if not colon:
        return fnmatchcase(app.app, selector)
    match kind:
        case "owner":
            return fnmatchcase(app.owner, pattern)
        case "playbook":
            return fnmatchcase(app.playbook, pattern)
        case "slice" | "label":
            placed = {name for slices in app.place.values() for name in slices}
            return any(_is_meant(workspace, name, selector) for name in placed)
    raise UsageError(f"{selector} is not a selector", why=f"{kind} is none of {', '.join(KINDS)}")


def _is_meant(workspace: Workspace, name: str, selector: str) -> bool:
    """Return whether a selector means this slice itself, whatever runs there."""
    kind, _, pattern = selector.partition(":")
    if kind == "slice":
        return fnmatchcase(name, pattern)
    if kind != "label" or name not in workspace.inventory.slices:
        return False
    key, _, value = pattern.partition("=")
    return fnmatchcase(workspace.inventory.slices[name].labels.get(key, ""), value or "?*")


def _why(workspace: Workspace, selector: str) -> str:
    kind, colon, pattern = selector.partition(":")
    of_kind: dict[str, Iterable[str]] = {
        "owner": workspace.inventory.owners,
        "slice": workspace.inventory.slices,
        "playbook": workspace.playbooks,
    }
    known = of_kind.get(kind, ()) if colon else workspace.apps
    near = difflib.get_close_matches(pattern if colon else selector, list(known), n=1)
    if near:
        return f"did you mean {kind + colon if colon else ''}{near[0]}?"
    if colon and (there := list(of_kind.get(kind, ()))):
        return f"the {kind}s are {', '.join(there[:_SHOWN])}{f' and {len(there) - _SHOWN} more' if len(there) > _SHOWN else ''}"
    return f"the apps are {', '.join(workspace.apps)}" if workspace.apps else "there are no apps yet"
