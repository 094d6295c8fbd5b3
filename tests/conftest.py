"""What all tests share: one lab of real slices, made once for the whole run."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from longest_first import longest_first
from running_lab import RunningLab, clear_left_behind, name_of_ours, new_workspace


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long are given out first."""
    items[:] = longest_first(items)


@pytest.fixture(scope="session")
def lab_ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for labs, once what killed test runs left behind is gone."""
    ground = tmp_path_factory.mktemp("labs")
    clear_left_behind(ground)
    return ground


@pytest.fixture(scope="session")
def lab(lab_ground: Path) -> Iterator[RunningLab]:
    """Three slices for all tests of the run; a test leaves them as it found them."""
    running = RunningLab(name_of_ours(), new_workspace(lab_ground / "shared"))
    try:
        running.run("lab", "up", "--slices", "3", "--name", running.name, "--yes")
        yield running
    finally:
        running.run("lab", "down", "--name", running.name)
