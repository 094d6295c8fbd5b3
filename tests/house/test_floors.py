"""The walls of the house stand, and they would fall if somebody built through them."""

import shutil
import subprocess
from pathlib import Path

import pytest
from kept import ROOT, project
from tools import tool

THROUGH_A_WALL = {
    "tfheal/utils/__init__.py": "",
    "tfheal/core/heal/plan.py": "from tfheal.flows import demo\n",
    "tfheal/core/stray.py": "",
    "tfheal/cli/apps.py": "from tfheal.edge import clock\n",
    "tfheal/core/select.py": "import time\n",
    "tfheal/flows/status.py": "import yaml\n",
}
SAID = {
    "Floors: import downwards only": ("- tfheal.utils", "tfheal.core is not allowed to import tfheal.flows"),
    "Rooms: capabilities do not know each other": ("- tfheal.core.stray",),
    "Only wiring may take hold of the hands": ("tfheal.cli.apps -> tfheal.edge.clock",),
    "Pure: no input, output, clock, randomness or threads below the edge": ("tfheal.core.select -> time",),
    "One door per outside thing": ("tfheal.flows.status -> yaml",),
}


def contracts(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the import contracts of the package in a folder."""
    return subprocess.run(
        [tool("lint-imports"), "--no-cache", "--config", "pyproject.toml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_every_import_goes_downwards() -> None:
    """The package keeps all of its import contracts."""
    checked = contracts(ROOT)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build through every wall, in a copy of the house, and return what is said."""
    house = tmp_path_factory.mktemp("house")
    shutil.copy(ROOT / "pyproject.toml", house)
    shutil.copytree(ROOT / "tfheal", house / "tfheal", ignore=shutil.ignore_patterns("__pycache__"))
    for name, line in THROUGH_A_WALL.items():
        path = house / name
        path.parent.mkdir(exist_ok=True)
        path.write_text((path.read_text() if path.exists() else '"""A stray."""\n') + line)
    checked = contracts(house)
    assert checked.returncode != 0, checked.stdout
    return checked.stdout


@pytest.mark.parametrize("contract", SAID)
def test_every_wall_would_fall(contract: str, broken: str) -> None:
    """A contract that nothing can break guards nothing: each is broken by what it forbids."""
    assert f"{contract} BROKEN" in broken
    for words in SAID[contract]:
        assert words in broken


def test_every_contract_is_tried() -> None:
    """A new contract comes with a way to break it."""
    assert [contract["name"] for contract in project()["tool"]["importlinter"]["contracts"]] == list(SAID)


def test_new_folder_must_choose_its_floor() -> None:
    """The contracts of floors and rooms list every folder, so that a new one is refused until it is listed."""
    floors, rooms = project()["tool"]["importlinter"]["contracts"][:2]
    assert floors["exhaustive"] is True
    assert rooms["exhaustive"] is True
