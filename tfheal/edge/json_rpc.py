"""A client of JSON-RPC as small as the demo needs: logs in to Tryton and calls methods, as the one in the browser does."""

import base64
import http.client
import json
import urllib.error
import urllib.request
from typing import Any, Final

from tfheal.base import untrusted
from tfheal.base.errors import ActionFailed
from tfheal.base.secret import Secret
from tfheal.model.demo import RpcLogin

SECONDS: Final = 60.0
MOST: Final = 1 << 20


class JsonRpc:
    """The port to an app that is used by JSON-RPC."""

    def login(self, url: str, user: str, password: Secret) -> RpcLogin:
        """Log in; raise ActionFailed if that is refused."""
        answer = _asked(url, None, "common.db.login", user, {"password": password.reveal()}, "en")
        match answer:
            case [int(number), str(key), *_]:
                words = f"{user}:{number}:{key}"
                return RpcLogin(url, Secret(base64.b64encode(words.encode()).decode()))
        raise ActionFailed("the login was refused", where=url)

    def call(self, login: RpcLogin, method: str, *words: object) -> Any:  # noqa: ANN401 (what a method answers is its own)
        """Call a method and return what it answers; raise ActionFailed if it is refused."""
        return _asked(login.url, login.session, method, *words, {})


def _asked(url: str, session: Secret | None, method: str, *words: object) -> Any:  # noqa: ANN401
    body = json.dumps({"id": 1, "method": method, "params": words}).encode()
    headers = {"Content-Type": "application/json"}
    if session is not None:
        headers["Authorization"] = f"Session {session.reveal()}"
    request = urllib.request.Request(url, body, headers)  # noqa: S310 (an address of ours)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=SECONDS) as answer:
            said = json.loads(answer.read(MOST))
    except urllib.error.HTTPError as error:
        with error:
            raise ActionFailed(f"{method} was refused", where=url, why=f"HTTP {error.code}") from None
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        raise ActionFailed(f"{method} got no answer", where=url, why=untrusted.line(str(error), 300)) from None
    if not isinstance(said, dict) or "result" not in said:
        raise ActionFailed(f"{method} was refused", where=url, why=untrusted.line(json.dumps(said), 300))
    return said["result"]
