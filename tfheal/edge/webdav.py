"""A WebDAV client as small as the demo needs: put a file and get it back, as a customer would."""

import base64
import http.client
import urllib.error
import urllib.request
from typing import Final

from tfheal.base.errors import ActionFailed
from tfheal.base.secret import Secret

SECONDS: Final = 20.0
MOST: Final = 64 << 20


class WebDav:
    """The port to files over WebDAV, with basic auth."""

    def put(self, url: str, user: str, password: Secret, data: bytes) -> None:
        """Upload a file; raise ActionFailed if it was not taken."""
        self._ask("PUT", url, user, password, data)

    def get(self, url: str, user: str, password: Secret) -> bytes:
        """Return a file's content; raise ActionFailed if it was not given."""
        return self._ask("GET", url, user, password, None)

    @staticmethod
    def _ask(method: str, url: str, user: str, password: Secret, data: bytes | None) -> bytes:
        word = base64.b64encode(f"{user}:{password.reveal()}".encode()).decode()
        request = urllib.request.Request(url, data, {"Authorization": f"Basic {word}"}, method=method)  # noqa: S310 (an address of ours)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=SECONDS) as answer:
                content: bytes = answer.read(MOST)
                return content
        except urllib.error.HTTPError as error:
            with error:
                raise ActionFailed(f"{method} was refused", where=url, why=f"HTTP {error.code}") from None
        except (OSError, http.client.HTTPException) as error:
            raise ActionFailed(f"{method} got no answer", where=url, why=str(error)) from error
