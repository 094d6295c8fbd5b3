"""The stories of `init` and `validate`: a workspace is made, and looked through from end to end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tfheal.base.errors import ConfigError
from tfheal.core.manual import commented
from tfheal.core.rehearse import of_apps
from tfheal.model.ports import NewFolder, Templates
from tfheal.model.workspace import Workspace

_INVENTORY: Final = """\
# Owners and their slices. `tfheal slice add` writes here too; `tfheal explain inventory` says what belongs in it.
#
# [owners.acme]
# contact = "it@acme.example"
#
# [slices.acme-1]
# owner = "acme"
# address = "2001:db8::10"          # IPv6 without brackets, IPv4, or a name
# labels = { role = "application" }
"""
_KNOWN_HOSTS: Final = "# The host keys of the slices. `tfheal slice add` and `tfheal slice trust` write here.\n"
_IGNORED: Final = (
    "# The journal, caches and locks of this machine; everything else is made to be kept in git.\n.tfheal/\n"
)


@dataclass(frozen=True, slots=True)
class Started:
    """What `init` made, and what was there already."""

    made: tuple[str, ...]
    kept: tuple[str, ...]


def init(folder: NewFolder) -> Started:
    """Given a folder, make what a workspace lacks in it."""
    start: Mapping[str, str | None] = {
        "tfheal.toml": commented("workspace"),
        "inventory.toml": _INVENTORY,
        "known_hosts": _KNOWN_HOSTS,
        ".gitignore": _IGNORED,
        "apps": None,
        "playbooks": None,
        "secrets": None,
    }
    made = {path: folder.add(path, text) for path, text in start.items()}
    return Started(
        tuple(path for path, missing in made.items() if missing),
        tuple(path for path, missing in made.items() if not missing),
    )


def validate(load: Callable[[], Workspace], templates: Templates) -> Workspace:
    """Given what reads the workspace, return it valid, each release of each app made once; raise ConfigError if not."""
    workspace = load()
    if found := of_apps(workspace, templates):
        raise ConfigError(tuple(found))
    return workspace
