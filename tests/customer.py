"""A customer of the example: reaches it over WebDAV, knows nothing of tfheal."""

import base64
import json
import urllib.request
from dataclasses import dataclass

from running_lab import RunningLab

USER = "admin"


@dataclass(frozen=True, slots=True)
class Customer:
    """Where the store answers, the password, and for how many seconds an answer is waited for."""

    url: str
    password: str
    patience: float = 10.0

    @classmethod
    def of(cls, lab: RunningLab, name: str, app: str = "files") -> "Customer":
        """Return a customer of the app on that slice."""
        shown = json.loads(lab.run("secret", "show", app, "admin_password", "--json").stdout)
        return cls(f"http://[{lab.address(name)}]:3923/", shown["value"])

    def put(self, path: str, data: bytes) -> None:
        """Upload a file."""
        self._ask("PUT", path, data)

    def get(self, path: str) -> bytes:
        """Return a file."""
        return self._ask("GET", path, None)

    def _ask(self, method: str, path: str, data: bytes | None) -> bytes:
        word = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        request = urllib.request.Request(self.url + path, data, {"Authorization": f"Basic {word}"}, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=self.patience) as answer:
            return bytes(answer.read())
