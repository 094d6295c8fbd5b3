"""CISA's catalogue of known exploited vulnerabilities, as a file of this machine."""

from pathlib import Path
from typing import Final

from tfheal.base.errors import UsageError
from tfheal.core.exploited import catalogue
from tfheal.edge.disk import read_bytes

_CAP: Final = 50_000_000


def known_exploited(path: Path) -> frozenset[str]:
    """Given the path of the catalogue, return the ids of its vulnerabilities; raise UsageError if it is none."""
    content = read_bytes(path, str(path), _CAP)
    try:
        return catalogue(content)
    except ValueError as error:
        hint = "known_exploited_vulnerabilities.json or .csv, as CISA publishes it"
        raise UsageError("it is no catalogue", where=str(path), why=str(error)[:200], hint=hint) from error
