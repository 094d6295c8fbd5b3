"""The Python package index that pip is set to on this machine: which versions it has, asked once a day and kept in a file.

It is asked as pip asks it (PEP 691). Whatever goes wrong is as good as no answer, and is not tried again before the next day.
"""

import configparser
import contextlib
import http.client
import json
import os
import re
import ssl
import sys
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tfheal.base.errors import TfhealError
from tfheal.edge.disk import replace_file

_AGAIN: Final = timedelta(days=1)
_PATIENCE: Final = 3.0  # seconds
_CAP: Final = 8 << 20
_MOST: Final = 1_000
_PYPI: Final = "https://pypi.org/simple"
_FORM: Final = "application/vnd.pypi.simple.v1+json"
# Releases that are made of numbers alone: what else there is nobody should come to by a hint.
_FILE: Final = re.compile(r"[^/]{1,100}?-([0-9]{1,9}(?:\.[0-9]{1,9}){0,5})(?:-[^/]{1,200}\.whl|\.tar\.gz|\.zip)")
_VERSION: Final = re.compile(r"[0-9.]{1,60}")


class PipIndex:
    """An index that is asked over HTTP, and a file of what it said."""

    def __init__(self, file: Path) -> None:
        """Keep in that file what is heard."""
        self._file = file

    def ask(self, packages: Collection[str], now: datetime) -> None:
        """Ask for packages that were not asked for since a day."""
        known = self._known()
        stale = [name for name in packages if not _is_fresh(known.get(name), now)]
        if not stale or not (url := _url(settings := _settings())):
            return
        for name in stale:
            heard = _heard(f"{url.rstrip('/')}/{re.sub(r'[-_.]+', '-', name).lower()}/", settings.get("cert", ""))
            kept = heard or known.get(name, {}).get("versions", [])
            known[name] = {"asked": now.isoformat(), "versions": kept}
        with contextlib.suppress(OSError, TfhealError):
            replace_file(self._file, json.dumps(known).encode())

    def versions(self, package: str) -> tuple[str, ...]:
        """Return what is kept of a package."""
        found = self._known().get(package, {}).get("versions", ())
        return tuple(one for one in found if isinstance(one, str) and _VERSION.fullmatch(one))

    def _known(self) -> dict[str, dict[str, Any]]:
        try:
            found = json.loads(self._file.read_bytes())
        except (OSError, ValueError):
            return {}
        return {name: one for name, one in found.items() if isinstance(one, dict)} if isinstance(found, dict) else {}


def _is_fresh(known: Mapping[str, Any] | None, now: datetime) -> bool:
    try:
        return known is not None and abs(now - datetime.fromisoformat(known["asked"])) < _AGAIN
    except (KeyError, TypeError, ValueError):
        return False


def _url(settings: Mapping[str, str]) -> str:
    """Return the address of the index; nothing where pip is to ask none, or one that is no web server."""
    if settings.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
        return ""
    url = settings.get("index-url", _PYPI)
    return url if url.startswith(("https://", "http://")) else ""


def _settings() -> dict[str, str]:
    """Return how pip is set on this machine: by its files, the later ones first, and above all by the environment."""
    found: dict[str, str] = {}
    for file in _files():
        read = configparser.RawConfigParser()
        with contextlib.suppress(OSError, ValueError, configparser.Error):
            read.read_string(file.read_text(encoding="utf-8"))
            if read.has_section("global"):
                found.update({key.replace("_", "-"): value for key, value in read.items("global")})
    for key in ("index-url", "no-index", "cert"):
        if value := os.environ.get(f"PIP_{key.upper().replace('-', '_')}"):
            found[key] = value
    return found


def _files() -> Iterator[Path]:
    given = os.environ.get("PIP_CONFIG_FILE", "")
    if given == os.devnull:
        return
    home = Path(os.environ.get("HOME", "/root"))
    yield from (Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf"), home / ".pip/pip.conf")
    yield Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip/pip.conf"
    yield Path(sys.prefix) / "pip.conf"
    if given:
        yield Path(given)


def _heard(url: str, cert: str) -> list[str]:
    """Return the versions of which the page of a package has files that were not withdrawn; none where it cannot be read."""
    try:
        context = ssl.create_default_context(cafile=cert or None)
        request = urllib.request.Request(url, headers={"Accept": _FORM, "User-Agent": "tfheal"})  # noqa: S310 - a URL of http or https
        with urllib.request.urlopen(request, timeout=_PATIENCE, context=context) as response:  # noqa: S310 - the same
            files = json.loads(response.read(_CAP))["files"]
        names = [one["filename"] for one in files if not one.get("yanked")]
        matches = [_FILE.fullmatch(name) for name in names]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError):
        return []
    return list(dict.fromkeys(match[1] for match in matches if match))[-_MOST:]
