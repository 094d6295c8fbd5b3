"""The dead-man ping in the manner of Healthchecks: URL/start, URL, URL/fail and URL/log, with a summary as the body."""

import os
import re
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from tfheal.base import untrusted
from tfheal.base.errors import ActionFailed, TfhealError
from tfheal.base.secret import Secret
from tfheal.edge.post import host, refusal
from tfheal.model.ports import Vault
from tfheal.model.tick import Signal
from tfheal.model.workspace import PING_SECRET, PingRoute

SECONDS: Final = 10.0  # what Healthchecks' own clients allow
_CAP: Final = 10_000  # bytes of a body that Healthchecks keeps
_NAMED: Final = "[ping]"
_URL: Final = re.compile(r"https?://[^\s]+")


class DeadManPing:
    """The pinger port over `[ping]` of tfheal.toml; without it nothing is sent."""

    def __init__(self, route: PingRoute | None, vault: Vault) -> None:
        """Ping by that route; a URL that is a secret is asked for when it is needed."""
        self._route = route
        self._vault = vault

    def ping(self, signal: Signal, summary: str) -> None:
        """Send a signal with its summary; raise ActionFailed, which quotes no URL, if it did not get out."""
        if self._route is None:
            return
        url = self._url(self._route).reveal()
        body = untrusted.text(summary, _CAP).encode("utf-8", "replace")[:_CAP]
        if told := refusal(_address(url, signal), body, "text/plain; charset=utf-8", SECONDS, f"{_NAMED} url"):
            raise ActionFailed("the ping did not get out", where=host(url, _NAMED), why=untrusted.line(told))

    def _url(self, route: PingRoute) -> Secret:
        if route.url:
            return Secret(route.url)
        if route.env:
            found, where = os.environ.get(route.env, ""), f"the variable {route.env}"
        else:
            found, where = self._kept(), f"the secret {' '.join(PING_SECRET)}"
        if not _URL.fullmatch(found):
            raise ActionFailed("there is no address to ping", where="tfheal.toml", why=f"{where} is not a URL")
        return Secret(found)

    def _kept(self) -> str:
        app, name = PING_SECRET
        try:
            version = self._vault.latest(app, name)
            return self._vault.get(app, name, version).reveal() if version else ""
        except TfhealError as error:
            raise ActionFailed("there is no address to ping", where=error.where, why=error.what) from error


def _address(url: str, signal: Signal) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    end = "" if signal == "success" else f"/{signal}"
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + end))
