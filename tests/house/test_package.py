"""What is shipped is whole: the wheel holds playbooks, examples and SQL, and works from nothing but itself."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from kept import ROOT, kept_files, named, project

from tfheal import __version__

EXAMPLES = sorted(path for path in (ROOT / "examples").iterdir() if path.is_dir())
INVENTORY = "[owners.lab]\n" + "".join(f'[slices.s{n}]\nowner = "lab"\naddress = "fd00::{n}"\n' for n in (1, 2, 3))
PLAYBOOKS = sorted(path for path in (ROOT / "playbooks").iterdir() if path.is_dir())


def tfheal(*words: str, folder: Path, package: Path) -> subprocess.CompletedProcess[str]:
    """Run tfheal in a folder, from a package that need not be the one that is installed."""
    return python(["-m", "tfheal", *words], folder, package)


def python(words: Sequence[str], folder: Path, package: Path) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, with a package before all others."""
    around = {name: value for name, value in os.environ.items() if not name.startswith("TFHEAL_")}
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**around, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    words = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), "."]
    built = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def unpacked(wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the wheel, as an installer does."""
    folder = tmp_path_factory.mktemp("unpacked")
    wheel.extractall(folder)
    return folder


def test_wheel_holds_everything(wheel: zipfile.ZipFile) -> None:
    """Every file of the package, of playbooks and of examples is in it; playbooks and examples inside the package."""
    inside = set(wheel.namelist())
    wanted = {named(path) for path in kept_files("tfheal")}
    wanted |= {f"tfheal/{named(path)}" for path in kept_files("playbooks", "examples")}
    assert wanted - inside == set()
    rest = {name for name in inside - wanted if not name.startswith(f"tfheal-{__version__}.dist-info/")}
    assert rest == set()


def test_wheel_needs_what_pyproject_says(wheel: zipfile.ZipFile) -> None:
    """Name, version, Python and dependencies come out as they were written."""
    said = wheel.read(f"tfheal-{__version__}.dist-info/METADATA").decode()
    assert f"\nVersion: {__version__}\n" in said
    assert "\nRequires-Python: >=3.11\n" in said
    needed = re.findall(r"^Requires-Dist: ([\w-]+)[^;\n]*$", said, flags=re.MULTILINE)
    assert needed == sorted(re.findall(r"^[\w-]+", line)[0] for line in project()["project"]["dependencies"])


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_wheel_works_without_the_repository(example: Path, unpacked: Path, tmp_path: Path) -> None:
    """From the wheel alone an example is valid, and the playbook that it names is the wheel's own."""
    folder = shutil.copytree(example, tmp_path / "example")
    (folder / "inventory.toml").write_text(INVENTORY)
    where = python(["-c", "import tfheal.edge.files as f; print(f.shipped('playbooks'))"], folder, unpacked)
    assert where.stdout.strip() == str(unpacked / "tfheal" / "playbooks"), where.stderr
    checked = tfheal("validate", folder=folder, package=unpacked)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.startswith("valid:")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_valid(example: Path, tmp_path: Path) -> None:
    """Each example validates as its own first lines say: once the lab has written its slices into it."""
    folder = shutil.copytree(example, tmp_path / "example")
    (folder / "inventory.toml").write_text(INVENTORY)
    checked = tfheal("validate", folder=folder, package=ROOT)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_playbook_has_an_example() -> None:
    """A playbook that is shipped can be tried."""
    used = {line for path in kept_files("examples") for line in path.read_text().splitlines()}
    assert [path.name for path in PLAYBOOKS if f"playbook: {path.name}" not in used] == []


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.name)
def test_every_version_of_a_playbook_is_valid(playbook: Path, tmp_path: Path) -> None:
    """Each version that a playbook lists validates, with its lock file."""
    example = next(path for path in EXAMPLES if path.name == playbook.name)
    folder = shutil.copytree(example, tmp_path / "example")
    (folder / "inventory.toml").write_text(INVENTORY)
    used = f"playbook: {playbook.name}\n"
    (spec,) = (path for path in (folder / "apps").glob("*.yaml") if used in path.read_text())
    written = spec.read_text()
    for lock in sorted((playbook / "locks").iterdir()):
        spec.write_text(re.sub(r'^version: ".*"$', f'version: "{lock.stem}"', written, flags=re.MULTILINE))
        checked = tfheal("validate", folder=folder, package=ROOT)
        assert checked.returncode == 0, f"{lock.stem}: {checked.stdout}{checked.stderr}"
