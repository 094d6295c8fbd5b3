"""Small builders, so that a test says only what it is about."""

import os
from pathlib import Path

import tfheal
from tfheal.model.inventory import Slice


def a_slice(name: str = "s1", **changes: object) -> Slice:
    """Return a slice on loopback; any field can be changed."""
    fields: dict[str, object] = {"name": name, "owner": "lab", "address": "127.0.0.1"} | changes
    return Slice(**fields)  # type: ignore[arg-type]


def can_become_nobody() -> bool:
    """Return whether a test can go on as the user nobody: only root can, and not from a checkout in root's own home."""
    return os.geteuid() == 0 and all(folder.stat().st_mode & 0o001 for folder in Path(tfheal.__file__).parents)
