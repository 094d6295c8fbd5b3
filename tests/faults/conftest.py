"""The grounds of the fault table, each deployed once for those tests that share a worker, and the book of its rows.

A run that goes on with an earlier one plays what that did not play, and what was not as expected.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from book import kept, latest, played_well, write
from grounds import Ground, an_example
from rows import Row, wall_clock


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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where a run goes on, leave out what was played already and came out as expected."""
    if not os.environ.get("TFHEAL_FAULTS_GO_ON"):
        return
    well = played_well(latest(kept(Path(os.environ["TFHEAL_FAULT_ROWS"]))))
    config.hook.pytest_deselected(items=[item for item in items if _name(item) in well])
    items[:] = [item for item in items if _name(item) not in well]


@pytest.fixture
def noted(request: pytest.FixtureRequest) -> Callable[[Row], Any]:
    """Return what opens a row of the book, and writes it down however it ended."""
    played = wall_clock().timestamp()

    @contextmanager
    def noting(row: Row) -> Iterator[Row]:
        row.test, row.played = _name(request.node), played
        try:
            yield row
        except BaseException as error:
            row.missed.append(f"{type(error).__name__}: {error}"[:500])
            raise
        finally:
            if folder := os.environ.get("TFHEAL_FAULT_ROWS"):
                write(Path(folder), row.document())

    return noting


def _name(item: pytest.Item) -> str:
    return item.nodeid.rpartition("/")[2]
