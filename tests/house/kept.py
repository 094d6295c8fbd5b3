"""The files that are kept in the repository, found without git, so that an unpacked archive is tested too."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TOP = (
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "examples",
    "playbooks",
    "pyproject.toml",
    "tests",
    "tfheal",
)
NOT_KEPT = ("__pycache__", ".hypothesis", ".tfheal")


def kept_files(*tops: str) -> list[Path]:
    """Return the files of the repository, or those of some of its top folders."""
    return sorted(path for top in tops or TOP for path in _files(ROOT / top))


def modules(*tops: str) -> list[Path]:
    """Return the Python files of the repository, or those of some of its top folders."""
    return [path for path in kept_files(*tops) if path.suffix == ".py"]


def named(path: Path) -> str:
    """Return a file's name as people of the house say it."""
    return str(path.relative_to(ROOT))


def project() -> dict[str, Any]:
    """Return what pyproject.toml says."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from (each for each in path.rglob("*") if each.is_file() and not set(NOT_KEPT) & set(each.parts))
