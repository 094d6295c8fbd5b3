"""Visitors in threads of their own, from `with` to its end."""

import threading
from collections.abc import Callable, Iterable
from typing import Self


class Visiting:
    """What is done again and again by some threads, each of which ends soon once `_over` is set."""

    def __init__(self, visits: Iterable[Callable[[], None]]) -> None:
        """Keep what each of the threads does."""
        self._over = threading.Event()
        self._threads = [threading.Thread(target=visit) for visit in visits]

    def __enter__(self) -> Self:
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, and wait for what is under way."""
        self._over.set()
        for thread in self._threads:
            thread.join()
