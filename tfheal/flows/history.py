"""The story of `tfheal history`: what was done to the apps, why, and how it ended."""

import difflib
from collections.abc import Callable, Collection
from dataclasses import dataclass

from tfheal.base.errors import UsageError
from tfheal.model.ports import Journal
from tfheal.model.record import ActionRecord


@dataclass(frozen=True, slots=True)
class History:
    """Actions, oldest first; `abandoned` are the ids of those that will never say how they ended."""

    actions: tuple[ActionRecord, ...]
    abandoned: frozenset[str]


def history(journal: Journal, apps: Callable[[], Collection[str]], app: str | None, limit: int) -> History:
    """Return the newest actions (of one app); raise UsageError for an app that never was, by the journal or by `apps`.

    The journal is asked first: what was done can be read while the files of the workspace hold mistakes.
    """
    actions = tuple(journal.actions(app, limit=limit))
    if app is not None and not actions:
        _known(app, {*journal.apps(), *apps()})
    return History(actions, frozenset(action.id for action in journal.unfinished()))


def _known(app: str, apps: Collection[str]) -> None:
    if app not in apps:
        near = difflib.get_close_matches(app, sorted(apps), n=1)
        raise UsageError(
            f"there is no app {app}, and there never was",
            why=f"the apps are {', '.join(sorted(apps))}" if apps else "no app was ever acted on",
            hint=f"did you mean {near[0]}?" if near else "",
        )
