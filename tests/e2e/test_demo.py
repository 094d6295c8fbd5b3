"""The demo, which is the README's first line: from nothing to a healed application, twice, and away again."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running_lab import name_of_ours

pytestmark = pytest.mark.lab
NAME = name_of_ours("demo")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, lab_ground: Path) -> Iterator[Path]:
    """Return a folder to play the demo in, and take the demo away at the end, however it went."""
    assert lab_ground.is_dir()
    folder = tmp_path_factory.mktemp("demo")
    yield folder
    _tfheal(folder, "demo", "--down", "--name", NAME)


def test_the_demo_heals_what_it_breaks(ground: Path) -> None:
    """It ends with 0, and its table tells of a file that outlived two faults."""
    steps = _played(ground)
    told = {step["what"]: step["outcome"] for step in steps["steps"]}
    assert told["read the file again"] == told["upload a file over WebDAV and read it back"]
    assert [step["outcome"] for step in steps["steps"] if step["what"] == "heal --auto"] == [
        "restart done, exit 0",
        "redeploy done, exit 0",
    ]


def test_the_demo_can_be_played_again(ground: Path) -> None:
    """A second time it finds its slices and its app as they are, and does the same."""
    steps = _played(ground)["steps"]
    assert [step["outcome"] for step in steps if step["what"].startswith("deploy")] == ["files/web@s1 unchanged"]


def test_the_demo_is_taken_away(ground: Path) -> None:
    """Afterwards there is neither its lab nor its folder; what somebody else made in its place stays."""
    _tfheal(ground, "demo", "--down", "--name", NAME)
    assert list(ground.glob("tfheal-demo")) == []
    labs = json.loads(_tfheal(ground, "lab", "list", "--json"))["labs"]
    assert NAME not in {lab["lab"] for lab in labs}
    (ground / "tfheal-demo").mkdir()
    (ground / "tfheal-demo" / "mine.txt").touch()
    assert "holds something else" in _tfheal(ground, "demo", "--yes", "--name", NAME, "--json", check=2)
    _tfheal(ground, "demo", "--down", "--name", NAME)
    assert (ground / "tfheal-demo" / "mine.txt").exists()


def _played(ground: Path) -> dict[str, Any]:
    return dict(json.loads(_tfheal(ground, "demo", "--yes", "--json", "--name", NAME)))


def _tfheal(ground: Path, *words: str, check: int = 0) -> str:
    environment = {**os.environ, "TFHEAL_AGE_KEY_FILE": str(ground / "age.key")}
    command = [sys.executable, "-m", "tfheal", *words]
    ran = subprocess.run(command, cwd=ground, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == check, ran.stdout + ran.stderr
    return ran.stdout
