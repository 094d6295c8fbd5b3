"""A shipped example as a workspace of its own, made for trying out and taken away again."""

import shutil
from pathlib import Path
from typing import Final

from tfheal.base.errors import ActionFailed, UsageError
from tfheal.edge.files import shipped

_MARK: Final = ".tfheal/made-for-trying-out"
# What is tried out is what the provider does; now and then the slice itself would be faster.
_NO_REFLEX: Final = "heal: {reflex: off} # so that tfheal heal finds something to do; the slice itself would restart it"


def copy_example(name: str, folder: Path) -> None:
    """Given the name of a shipped example, make it a workspace in a new folder; one made before is left as it is."""
    if (folder / _MARK).is_file():
        return
    if folder.exists() and any(folder.iterdir()):
        raise UsageError("the folder holds something else", where=str(folder), hint="--folder names another one")
    try:
        shutil.copytree(shipped("examples") / name, folder, dirs_exist_ok=True)
        for spec in (folder / "apps").glob("*.yaml"):
            spec.write_text(f"{spec.read_text()}{_NO_REFLEX}\n")
        (folder / _MARK).parent.mkdir(mode=0o700, exist_ok=True)
        (folder / _MARK).touch()
    except OSError as error:
        raise ActionFailed("the workspace could not be made", where=str(folder), why=str(error)) from error


def add_apps(name: str, folder: Path) -> None:
    """Given the name of another shipped example, add its apps to a workspace that `copy_example` made."""
    try:
        for spec in sorted((shipped("examples") / name / "apps").iterdir()):
            if not (folder / "apps" / spec.name).exists():
                (folder / "apps" / spec.name).write_text(f"{spec.read_text()}{_NO_REFLEX}\n")
    except OSError as error:
        raise ActionFailed("the workspace could not be made", where=str(folder), why=str(error)) from error


def remove_example(folder: Path) -> None:
    """Given a folder, remove it if `copy_example` made it."""
    if not (folder / _MARK).is_file():
        return
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise ActionFailed("the workspace could not be removed", where=str(folder), why=str(error)) from error
