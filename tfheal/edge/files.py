"""The workspace as files: found, read whole, and valid, or refused with every mistake in every file at once."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel

import tfheal
from tfheal.base.errors import ConfigError, Mistake, UsageError
from tfheal.core.mistakes import checked
from tfheal.core.stores import with_stores
from tfheal.core.validate import Parts, mistakes
from tfheal.edge.disk import MAX_LIST, read_bytes, read_text
from tfheal.edge.toml_text import parse_toml
from tfheal.edge.yaml_text import parse_yaml
from tfheal.model.app import AppSpec
from tfheal.model.document import Document, Written
from tfheal.model.inventory import Inventory
from tfheal.model.playbook import Playbook
from tfheal.model.workspace import PlaybookFolder, Provider, Workspace

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")
MARK: Final = "tfheal.toml"
_BESIDE_LIMIT: Final = 10_000_000
_FOLDER_LIMIT: Final = 50_000_000
_MOST_FILES: Final = 1_000


def find_workspace(start: Path, given: str | None = None) -> Path:
    """Given where we are and what `--workspace` says, return the workspace's folder; raise UsageError if none is.

    Without `given` it is the nearest folder upwards that has a tfheal.toml.
    """
    first = Path(given).expanduser().resolve() if given else start.resolve()
    for folder in [first] if given else [first, *first.parents]:
        if (folder / MARK).exists():
            return folder
    raise UsageError(
        "there is no workspace here",
        where=str(first),
        why=f"no {MARK} in it" + ("" if given else " or in a folder above"),
        hint="`tfheal init` makes one; --workspace or TFHEAL_WORKSPACE names one elsewhere",
    )


def shipped(what: str) -> Path:
    """Given `playbooks` or `examples`, return the folder of those that come with tfheal."""
    package = Path(tfheal.__file__).parent
    inside = package / what  # in an installed package; in a checkout they stand beside it
    return inside if inside.is_dir() else package.parent / what


class WorkspaceFiles:
    """Reads a workspace."""

    def __init__(self, root: Path) -> None:
        """Keep the folder."""
        self._root = root

    def load(self) -> Workspace:
        """Return everything that the provider wrote; raise ConfigError with all mistakes of all files."""
        from tfheal.edge.templates import JinjaTemplates

        reading = _Reading(self._root)
        provider = reading.part(MARK, Provider, "workspace")
        inventory = reading.part("inventory.toml", Inventory, "inventory", missing=Inventory())
        apps = [app for file in reading.app_files() if (app := reading.part(file, AppSpec, "app"))]
        wanted = {app.value.playbook for app in apps}
        playbooks = {
            name: reading.playbook(folder)
            for name, folder in self.playbooks().items()
            if name in wanted or folder.parent.parent == self._root
        }
        levels = provider.value.levels if provider else None
        parts = Parts(
            inventory,
            tuple(apps),
            playbooks,
            tuple(self.playbooks()),
            levels,
            provider.value.names if provider else None,
        )
        found = [*reading.mistakes, *mistakes(parts, JinjaTemplates())]
        if found or provider is None or inventory is None:
            raise ConfigError(reading.in_order(found))
        written = Workspace(
            root=str(self._root),
            provider=provider.value,
            inventory=inventory.value,
            apps={app.value.app: app.value for app in apps},
            playbooks={name: folder.value for name, folder in playbooks.items() if folder},
        )
        return with_stores(written)

    def inventory(self) -> Inventory:
        """Return the inventory alone; raise ConfigError with its mistakes."""
        reading = _Reading(self._root)
        written = reading.part("inventory.toml", Inventory, "inventory", missing=Inventory())
        if written is None:
            raise ConfigError(tuple(reading.mistakes))
        return written.value

    def playbooks(self) -> dict[str, Path]:
        """Return the folder of every playbook by name; the workspace's own win over shipped ones."""
        found: dict[str, Path] = {}
        for home in (self._root / "playbooks", shipped("playbooks")):
            for folder in sorted(home.glob("[!._]*/")):
                found.setdefault(folder.name, folder)
        return found


class _Reading:
    """One pass over the files, which collects mistakes instead of stopping at the first."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._order: dict[str, int] = {}
        self.mistakes: list[Mistake] = []

    def part(self, file: str, model: type[M], kind: str, missing: M | None = None) -> Written[M] | None:
        """Return the valid content of a file in the workspace; None if it has mistakes, which are kept."""
        if missing is not None and not os.path.lexists(self._root / file):
            return Written(missing, Document(file, {}))
        return self._collected(lambda: self._checked(self._root / file, model, kind))

    def app_files(self) -> list[str]:
        """Return the app specs; a file that looks like one but would not be read is a mistake."""
        folder = self._root / "apps"
        entries = self._collected(lambda: _entries(folder, "apps")) if os.path.lexists(folder) else None
        names = [path.name for path in entries or ()]
        for name in names:
            if name.endswith(".yml") and not name.startswith("."):
                self._note(f"apps/{name}", "is not read, because its name ends in .yml", "rename it to end in .yaml")
        return [f"apps/{name}" for name in names if name.endswith(".yaml") and not name.startswith(".")]

    def playbook(self, folder: Path) -> Written[PlaybookFolder] | None:
        """Return a playbook with the files beside it; None if it has mistakes, which are kept."""
        written = self._collected(lambda: self._checked(folder / "playbook.yaml", Playbook, "playbook"))
        before = len(self.mistakes)
        files = {name: data for name, data in self._beside(folder) if data is not None}
        if written is None or len(self.mistakes) > before:
            return None
        return Written(PlaybookFolder(written.value, files), written.document)

    def in_order(self, found: list[Mistake]) -> tuple[Mistake, ...]:
        """Return mistakes by file, as the files were read, then by place."""
        last = len(self._order)
        order = sorted(found, key=lambda m: (self._order.get(m.file, last), m.file, m.line, m.column))
        return tuple(dict.fromkeys(order))

    def _checked(self, path: Path, model: type[M], kind: str) -> Written[M]:
        name = self._name(path)
        if path.suffix == ".toml":
            document = parse_toml(name, read_text(path, name, MAX_LIST))
        else:
            document = parse_yaml(name, read_text(path, name))
        return Written(checked(model, kind, document), document)

    def _name(self, path: Path) -> str:
        """Return how a file is called in messages, and remember that it came now."""
        name = str(path.relative_to(self._root)) if path.is_relative_to(self._root) else str(path)
        self._order.setdefault(name, len(self._order))
        return name

    def _collected(self, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except ConfigError as error:
            self.mistakes.extend(error.mistakes)
            return None

    def _note(self, file: str, what: str, hint: str = "") -> None:
        self._order.setdefault(file, len(self._order))
        self.mistakes.append(Mistake(file, 1, 1, "", what, hint))

    def _beside(self, folder: Path) -> Iterator[tuple[str, bytes | None]]:
        """Yield each file beside a playbook by its path in the folder; what leads out of the folder is a mistake."""
        left, count = _FOLDER_LIMIT, 0
        for path in self._collected(lambda: list(_files_in(folder, self._name(folder)))) or []:
            count += 1
            if count > _MOST_FILES or left < 0:
                self._note(
                    self._name(folder), f"holds more than {_MOST_FILES} files or {_FOLDER_LIMIT // 1_000_000} MB"
                )
                return
            if not path.resolve().is_relative_to(folder.resolve()):
                self._note(self._name(path), "is a link that leads out of the playbook's folder", "copy the file here")
                continue
            data = self._collected(lambda path=path: read_bytes(path, self._name(path), _BESIDE_LIMIT))  # type: ignore[misc]
            left -= len(data or b"")
            yield str(path.relative_to(folder)), data


def _files_in(folder: Path, name: str) -> Iterator[Path]:
    """Yield the files of a folder and its sub-folders, in order, without what editors and Python leave behind."""
    for path in _entries(folder, name):
        if path.name.startswith(".") or path.name.endswith("~") or path.name == "__pycache__":
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _files_in(path, f"{name}/{path.name}")
        elif path.name != "playbook.yaml":
            yield path


def _entries(folder: Path, name: str) -> list[Path]:
    """Given a folder and the name to call it by, return what is in it, in order; raise ConfigError if that fails."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        what = f"cannot be read as a folder: {(error.strerror or str(error)).lower()}"
        raise ConfigError((Mistake(name, 1, 1, "", what),)) from error
