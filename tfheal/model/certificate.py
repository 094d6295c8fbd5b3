"""Certificates that a gateway ends TLS with, as its slice tells of them."""

from dataclasses import dataclass
from typing import Literal

from tfheal.base.exits import Exit
from tfheal.model.release import InstanceName

CertificateSource = Literal["none", "acme", "internal", "given"]


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate at a gateway: of which name (`given`: of all), by which way it came, and when it holds, in seconds since 1970.

    `none`: nobody has one yet, and it serves a stand-in that no browser trusts. `due`: it is to be renewed; `why` the last
    try failed, and `again` when the slice tries by itself, 0 if none failed.
    """

    host: str
    source: CertificateSource
    begins: int
    ends: int
    due: bool = False
    again: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Renewal:
    """What became of a certificate that was asked for: `detail` says why it was not to be had, and is empty if it was.

    It was `refused` where its gateway may not be touched now.
    """

    gateway: InstanceName
    host: str
    detail: str = ""
    refused: bool = False

    @property
    def exit(self) -> Exit:
        """Return the exit code of it."""
        return Exit.OK if not self.detail else Exit.REFUSED if self.refused else Exit.FAILED
