"""`tfheal place` where nothing is connected to: what it shows, and words that are no places."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from workspaces import write_workspace


def ran(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `tfheal place` in a workspace."""
    argv = [sys.executable, "-m", "tfheal", "place", *words, "--workspace", str(root)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL)


def test_it_shows_where_an_app_runs(tmp_path: Path) -> None:
    """Each component, where it runs, where the spec says, and who placed it."""
    root = write_workspace(tmp_path)
    told = json.loads(ran(root, "site", "--json").stdout)
    assert told["schema"] == "tfheal/place/1"
    web = {"component": "web", "slices": ["a1", "a2"], "written": ["a1", "a2"], "pinned": False}
    assert web in told["components"]
    assert "the app spec" in ran(root, "site").stdout


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (("sit",), "did you mean site?"),
        (("site", "web"), "says no place"),
        (("site", "wep=a1"), "did you mean web?"),
        (("site", "web=a9"), "there is no slice a9"),
        (("site", "web=a1,a1"), "each once"),
        (("site", "web="), "there is no slice"),
    ],
)
def test_what_is_no_place_is_told(tmp_path: Path, words: tuple[str, ...], wrong: str) -> None:
    """Nothing is touched, and the nearest right word is named."""
    said = ran(write_workspace(tmp_path), *words)
    assert (said.returncode, wrong in said.stderr) == (2, True), said.stderr
