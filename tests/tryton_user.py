"""A user of Tryton: logs in to one of its web servers over JSON-RPC, as the client in the browser does."""

import base64
import json
import urllib.request
from dataclasses import dataclass
from typing import Any

from running_lab import RunningLab


@dataclass(frozen=True, slots=True)
class TrytonUser:
    """Somebody who is logged in at a web server."""

    url: str
    session: str

    @classmethod
    def admin(cls, lab: RunningLab, name: str, app: str = "crm") -> "TrytonUser":
        """Log in as the admin at the web server on a slice."""
        url = f"http://[{lab.slices()[name]['address']}]:8000/{app}/"
        shown = json.loads(lab.run("secret", "show", app, "admin_password", "--json").stdout)
        user, key, *_ = _asked(url, "", "common.db.login", "admin", {"password": shown["value"]}, "en")
        return cls(url, base64.b64encode(f"admin:{user}:{key}".encode()).decode())

    def call(self, method: str, *words: Any) -> Any:  # noqa: ANN401 (what a method answers is its own)
        """Call a method of a model."""
        return _asked(self.url, self.session, method, *words, {})


def _asked(url: str, session: str, method: str, *words: Any) -> Any:  # noqa: ANN401 (what a method answers is its own)
    body = json.dumps({"id": 1, "method": method, "params": words}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    if session:
        request.add_header("Authorization", f"Session {session}")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        said = json.loads(answer.read())
    assert "error" not in said, said
    return said["result"]
