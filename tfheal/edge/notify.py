"""Calls a human by the provider's own route: a command that gets the message on stdin, or a URL it is posted to."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tfheal.base import untrusted
from tfheal.base.errors import ActionFailed
from tfheal.edge import local
from tfheal.model.workspace import PageRoute

COMMAND_SECONDS: Final = 60.0
URL_SECONDS: Final = 15.0
_LAST_WORDS: Final = 300
_ACCEPTED: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)


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


class _Unfollowed(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it would turn the message into a GET without one, at an address nobody wrote down."""

    def redirect_request(self, *_arguments: object, **_named: object) -> None:
        return None


def _post(url: str, body: bytes) -> None:
    refusal = _refusal(url, body)
    if refusal:
        # Only the host: the path of a web hook is as good as a password. So no cause either: it would quote the URL.
        raise ActionFailed("the page did not get out", where=_host(url), why=untrusted.line(refusal))


def _refusal(url: str, body: bytes) -> str:
    """Given a URL and a message, post it, and return why it was not taken; nothing if it was."""
    try:
        request = urllib.request.Request(  # noqa: S310 - the model lets only http and https through
            url, data=body, headers={"Content-Type": "application/json", "User-Agent": "tfheal"}, method="POST"
        )
        with urllib.request.build_opener(_Unfollowed).open(request, timeout=URL_SECONDS) as response:
            return "" if response.status in _ACCEPTED else f"it answered {response.status}"
    except urllib.error.HTTPError as error:
        error.close()
        hint = ", a redirect: write where it leads into [page] url" if error.code in _REDIRECTS else ""
        return f"it answered {error.code}{hint}"
    except urllib.error.URLError as error:
        return str(error.reason)
    except (ValueError, http.client.InvalidURL):
        return "[page] url is not a valid URL"
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "[page] url"
    except ValueError:
        return "[page] url"
