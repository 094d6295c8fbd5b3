"""Where a secret could turn up, and what is found there: argvs, what was sent, what was said, what was written.

The slices of a lab are processes of this machine too, so that one look sees the argvs of both sides.
"""

import base64
import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_EVERY: Final = 0.05  # seconds between two looks at the processes


class Argvs:
    """Every command line that was seen on any process, here and on the slices."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._over = threading.Event()
        self._seen: set[bytes] = set()

    @property
    def seen(self) -> bytes:
        """Return all of them, a line each."""
        return b"\n".join(sorted(self._seen))

    def look(self) -> None:
        """Look at every process that there is now; one that ends meanwhile is passed over."""
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                self._seen.add((process / "cmdline").read_bytes())

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look again and again, until what is done here is done."""
        watcher = threading.Thread(target=self._watch)
        watcher.start()
        try:
            yield
        finally:
            self._over.set()
            watcher.join()

    def _watch(self) -> None:
        while not self._over.wait(_EVERY):
            self.look()


def written(*folders: Path) -> dict[str, bytes]:
    """Return every file below some folders, with what is in it."""
    paths = (path for folder in folders for path in folder.rglob("*"))
    return {str(path): path.read_bytes() for path in paths if path.is_file()}


def leaks(places: Mapping[str, bytes], secrets: Sequence[str]) -> set[str]:
    """Given what stands in which place, return the places where a secret stands, be it in base64."""
    return {place for place, text in places.items() if any(holds(text, secret) for secret in secrets)}


def holds(text: bytes, secret: str) -> bool:
    """Return whether a secret stands in a text, as it is or in base64, wherever in it that begins."""
    return secret.encode() in text or any(form in text for form in _in_base64(secret.encode()))


def _in_base64(secret: bytes) -> Iterator[bytes]:
    """Yield those characters of its base64 that do not depend on what stands around it, for each way to be aligned."""
    for before in range(3):
        packed = base64.b64encode(bytes(before) + secret)
        yield packed[-(-before * 8 // 6) : (before + len(secret)) * 8 // 6]
