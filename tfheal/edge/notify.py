"""Calls a human by the provider's own route: a command that gets the message on stdin, or a URL it is posted to."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tfheal.base import untrusted
from tfheal.base.errors import ActionFailed
from tfheal.edge import local
from tfheal.edge.post import host, refusal
from tfheal.model.workspace import PageRoute

COMMAND_SECONDS: Final = 60.0
URL_SECONDS: Final = 15.0
_LAST_WORDS: Final = 300
_NAMED: Final = "[page] url"


class PageNotifier:
    """The notifier port over `[page]` of tfheal.toml."""

    def __init__(self, route: PageRoute | None, root: Path) -> None:
        """Page by that route; a relative command is found from the root of the workspace."""
        self._route = route
        self._root = root

    def page(self, message: Mapping[str, object]) -> None:
        """Send a message as one JSON document; raise ActionFailed if it did not get out."""
        body = json.dumps(message, ensure_ascii=False, default=str).encode("utf-8", "replace")
        match self._route:
            case PageRoute(command=tuple() as command):
                self._run(command, body)
            case PageRoute(url=str() as url):
                _post(url, body)
            case _:
                raise ActionFailed(
                    "nobody can be paged",
                    where="tfheal.toml",
                    why="there is no [page]",
                    hint='add it: [page] command = ["/path/to/program"], or url = "https://…"',
                )

    def _run(self, command: tuple[str, ...], body: bytes) -> None:
        program, *arguments = command
        if "/" in program:
            program = str(self._root / program)
        reply = local.run([program, *arguments], timeout=COMMAND_SECONDS, stdin=body)
        if reply.status != 0:
            words = untrusted.line((reply.stderr or reply.stdout)[-_LAST_WORDS:])
            raise ActionFailed(
                "the page did not get out", where=program, why=f"it ended with status {reply.status}: {words}"
            )


def _post(url: str, body: bytes) -> None:
    if told := refusal(url, body, "application/json", URL_SECONDS, _NAMED):
        # Only the host: the path of a web hook is as good as a password. So no cause either: it would quote the URL.
        raise ActionFailed("the page did not get out", where=host(url, _NAMED), why=untrusted.line(told))
