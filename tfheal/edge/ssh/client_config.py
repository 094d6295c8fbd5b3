"""The operator's own SSH configuration, with what it includes: paramiko, which reads it, does not know Include."""

import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import paramiko

from tfheal.base.errors import UsageError

_INCLUDE: Final = re.compile(r"\s*include(?:\s+|\s*=\s*)(.+)", re.IGNORECASE)
_BLOCK: Final = re.compile(r"\s*(?:host|match)[\s=]", re.IGNORECASE)
_EVERYWHERE: Final = "Host *"
_DEEPEST: Final = 16  # as in OpenSSH


def client_config() -> paramiko.SSHConfig:
    """Return ~/.ssh/config, then /etc/ssh/ssh_config; raise OSError, UsageError or what the library raises."""
    config = paramiko.SSHConfig()
    for path in (Path("~/.ssh/config").expanduser(), Path("/etc/ssh/ssh_config")):
        if path.is_file():
            config.parse(io.StringIO("\n".join(_lines(path, path.parent))))
    return config


def _lines(path: Path, folder: Path, depth: int = 0) -> Iterator[str]:
    """Yield the lines of a file with its inclusions in their place; after one, the block around it goes on."""
    if depth > _DEEPEST:
        raise UsageError("files include each other without end", where=str(path))
    block = _EVERYWHERE
    yield block
    for line in path.read_text(errors="replace").splitlines():
        if included := _INCLUDE.fullmatch(line):
            for pattern in shlex.split(included[1], comments=True):
                for file in _matching(pattern, folder):
                    yield from _lines(file, folder, depth + 1)
            yield block
            continue
        block = line if _BLOCK.match(line) else block
        yield line


def _matching(pattern: str, folder: Path) -> list[Path]:
    path = folder / Path(pattern).expanduser()
    return sorted(one for one in Path(path.anchor).glob(str(path.relative_to(path.anchor))) if one.is_file())
