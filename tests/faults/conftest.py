"""The grounds of the fault table, each deployed once for those tests that share a worker, and the book of its rows."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from grounds import Ground, an_example
from rows import Row


@pytest.fixture(scope="session")
def grounds(lab_ground: Path) -> Iterator[Callable[[str], Ground]]:
    """Return what deploys an example when it is asked for the first time, `files` or `crm`."""
    made: dict[str, Ground] = {}
    with ExitStack() as stack:

        def ground(kind: str) -> Ground:
            if kind not in made:
                made[kind] = stack.enter_context(an_example(kind, lab_ground / kind))
            return made[kind]

        yield ground


@pytest.fixture
def noted() -> Callable[[Row], Any]:
    """Return what opens a row of the book, and writes it down however it ended."""

    @contextmanager
    def noting(row: Row) -> Iterator[Row]:
        try:
            yield row
        except BaseException as error:
            row.missed.append(f"{type(error).__name__}: {error}"[:500])
            raise
        finally:
            _write(row.document())

    return noting


def _write(document: dict[str, Any]) -> None:
    folder = os.environ.get("TFHEAL_FAULT_ROWS")
    if folder:
        with (Path(folder) / f"rows-{os.getpid()}.jsonl").open("a") as book:
            book.write(json.dumps(document) + "\n")
