"""A user of Tryton: logs in to one of its web servers over JSON-RPC, as the client in the browser does, of whichever series."""

import base64
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from running_lab import RunningLab


@dataclass(frozen=True, slots=True)
class TrytonUser:
    """Somebody who is logged in at a web server, and waits so many seconds for an answer."""

    url: str
    session: str
    patience: float = 60.0

    @classmethod
    def admin(cls, lab: RunningLab, name: str, app: str = "crm") -> "TrytonUser":
        """Log in as the admin at the web server on a slice."""
        url = f"http://[{lab.address(name)}]:8000/{app}/"
        shown = json.loads(lab.run("secret", "show", app, "admin_password", "--json").stdout)
        return cls.login(url, shown["value"])

    @classmethod
    def login(cls, url: str, password: str, patience: float = 60.0) -> "TrytonUser":
        """Log in as the admin at a web server."""
        url = f"{url}rpc/" if _is_newer(url, patience) else url
        asked = _Asked(url, "", patience)
        user, key, *_ = asked.of("common.db.login", "admin", {"password": password}, "en")
        return cls(url, base64.b64encode(f"admin:{user}:{key}".encode()).decode(), patience)

    def call(self, method: str, *words: Any) -> Any:  # noqa: ANN401 (what a method answers is its own)
        """Call a method of a model."""
        return _Asked(self.url, self.session, self.patience).of(method, *words, {})


def _is_newer(url: str, patience: float) -> bool:
    """Return whether the server is of a series that is asked in a place of its own: one of before knows no such place."""
    try:
        _Asked(f"{url.rstrip('/').rpartition('/')[0]}/rpc/", "", patience).of("common.server.version")
    except urllib.error.HTTPError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Asked:
    """Where is asked, by whom, and with how much patience."""

    url: str
    session: str
    patience: float

    def of(self, method: str, *words: Any) -> Any:  # noqa: ANN401 (what a method answers is its own)
        body = json.dumps({"id": 1, "method": method, "params": words}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        if self.session:
            request.add_header("Authorization", f"Session {self.session}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=self.patience) as answer:
            said = json.loads(answer.read())
        assert "error" not in said, said
        return said["result"]
