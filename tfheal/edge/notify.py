"""Calls a human, and tells owners, by the provider's own routes: a command that gets the message on stdin, or a URL it is posted to."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tfheal.base import untrusted
from tfheal.base.errors import ActionFailed
from tfheal.edge import local
from tfheal.edge.post import host, refusal
from tfheal.model.workspace import NoticeRoute, PageRoute

COMMAND_SECONDS: Final = 60.0
URL_SECONDS: Final = 15.0
_LAST_WORDS: Final = 300


class PageNotifier:
    """The notifier port over `[page]` of tfheal.toml."""

    def __init__(self, route: PageRoute | None, root: Path) -> None:
        """Page by that route; a relative command is found from the root of the workspace."""
        self._route = route
        self._root = root

    def page(self, message: Mapping[str, object]) -> None:
        """Send a message as one JSON document; raise ActionFailed if it did not get out."""
        if self._route is None:
            raise ActionFailed(
                "nobody can be paged",
                where="tfheal.toml",
                why="there is no [page]",
                hint='add it: [page] command = ["/path/to/program"], or url = "https://…"',
            )
        _send(message, self._route, self._root, ("the page", "[page] url"))


class OwnerNotices:
    """The port of notices over `[notices]` of tfheal.toml."""

    def __init__(self, route: NoticeRoute, root: Path) -> None:
        """Tell by that route; a relative command is found from the root of the workspace."""
        self._route = route
        self._root = root

    def tell(self, message: Mapping[str, object]) -> None:
        """Send a message as one JSON document; raise ActionFailed if it did not get out."""
        _send(message, self._route, self._root, ("the notice", "[notices] url"))


def _send(message: Mapping[str, object], route: PageRoute, root: Path, names: tuple[str, str]) -> None:
    """Send a message by a route; `names` are that of the message, and that of the URL, which is never shown."""
    what, named = names
    body = json.dumps(message, ensure_ascii=False, default=str).encode("utf-8", "replace")
    if route.command:
        _run(route.command, body, root, what)
    elif route.url and (told := refusal(route.url, body, "application/json", URL_SECONDS, named)):
        # Only the host: the path of a web hook is as good as a password. So no cause either: it would quote the URL.
        raise ActionFailed(f"{what} did not get out", where=host(route.url, named), why=untrusted.line(told))


def _run(command: tuple[str, ...], body: bytes, root: Path, what: str) -> None:
    program, *arguments = command
    if "/" in program:
        program = str(root / program)
    reply = local.run([program, *arguments], timeout=COMMAND_SECONDS, stdin=body)
    if reply.status != 0:
        words = untrusted.line((reply.stderr or reply.stdout)[-_LAST_WORDS:])
        raise ActionFailed(
            f"{what} did not get out", where=program, why=f"it ended with status {reply.status}: {words}"
        )
