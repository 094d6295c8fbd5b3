"""One POST to an address that is as good as a password: no redirect is followed, and no error quotes it."""

import http.client
import urllib.error
import urllib.request
from typing import Final
from urllib.parse import urlsplit

_ACCEPTED: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)


class _Unfollowed(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it would turn the message into a GET without one, at an address nobody wrote down."""

    def redirect_request(self, *_arguments: object, **_named: object) -> None:
        return None


def refusal(url: str, body: bytes, kind: str, seconds: float, named: str) -> str:
    """Given a URL, a message, its content type, a time-out and what names the URL, post it; return why it was not taken.

    Nothing is returned if it was taken.
    """
    try:
        request = urllib.request.Request(  # noqa: S310 - the model lets only http and https through
            url, data=body, headers={"Content-Type": kind, "User-Agent": "tfheal"}, method="POST"
        )
        with urllib.request.build_opener(_Unfollowed).open(request, timeout=seconds) as response:
            return "" if response.status in _ACCEPTED else f"it answered {response.status}"
    except urllib.error.HTTPError as error:
        error.close()
        hint = f", a redirect: write where it leads into {named}" if error.code in _REDIRECTS else ""
        return f"it answered {error.code}{hint}"
    except urllib.error.URLError as error:
        return str(error.reason)
    except (ValueError, http.client.InvalidURL):
        return f"{named} is not a valid URL"
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__


def host(url: str, named: str) -> str:
    """Given a URL and what names it, return the host alone: the path of a web hook is as good as a password."""
    try:
        return urlsplit(url).hostname or named
    except ValueError:
        return named
