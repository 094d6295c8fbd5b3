"""What the tests of the lab itself share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox import Sandbox, sandbox


@pytest.fixture(scope="module")
def apart(lab_ground: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Return a machine for labs of its own, once what killed test runs left behind is gone."""
    assert lab_ground
    with sandbox(tmp_path_factory.mktemp("apart")) as machine:
        yield machine
