"""How a slice is made anew by whoever holds its contract: the words of the command, and what its output tells."""

import ipaddress
import re
import shlex
from typing import Final

from tfheal.model.inventory import SliceEntry
from tfheal.model.ssh import fingerprint

FIRST_CONTACT: Final = 900.0  # seconds after our own recreate in which a host key is taken at its first sight
MYCELIUM: Final = ipaddress.ip_network("400::/7")  # an address there is derived from the key of its machine
_PLACE: Final = re.compile(r"\{([a-z][a-z0-9_.-]*)\}")
_FINGERPRINT: Final = re.compile(r"SHA256:[A-Za-z0-9+/]{43}(?![A-Za-z0-9+/])")
_KEY: Final = re.compile(r"(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp\d{3}) [A-Za-z0-9+/]{60,2000}={0,2}")
_PAUSED: Final = re.compile(r"\bpaused\b", re.IGNORECASE)
_DESTROYED: Final = re.compile(r"\s*destroyed\b", re.IGNORECASE)


def command(template: str, name: str, entry: SliceEntry) -> tuple[str, ...]:
    """Given a template and its slice, return the words of the command; raise ValueError that says what is wrong.

    The text is split into words as a shell does before anything is filled in, so a value never becomes two words.
    """
    values = {"slice": name, "owner": entry.owner, "address": entry.address}
    values |= {f"labels.{key}": value for key, value in entry.labels.items()}

    def filled(match: re.Match[str]) -> str:
        if match[1] not in values:
            msg = f"names {{{match[1]}}}, which {name} does not have"
            raise ValueError(msg)
        return values[match[1]]

    try:
        words = tuple(shlex.split(template))
    except ValueError as error:
        msg = f"cannot be split into words: {str(error).lower()}"
        raise ValueError(msg) from error
    if not words:
        msg = "is empty"
        raise ValueError(msg)
    return tuple(_PLACE.sub(filled, word) for word in words)


def is_mycelium(address: str) -> bool:
    """Return whether an address is one of the overlay's, which nobody else can have."""
    try:
        return ipaddress.ip_address(address) in MYCELIUM
    except ValueError:
        return False


def fingerprints(said: str) -> frozenset[str]:
    """Given what a provisioner said, return the fingerprint of every host key in it, however it was written."""
    found = set(_FINGERPRINT.findall(said))
    for key in _KEY.findall(said):
        try:
            found.add(fingerprint(key))
        except ValueError:
            continue
    return frozenset(found)


def obstacle(said: str, status: int) -> str:
    """Given what a `state` command said and its exit status, return why nothing may be made anew; empty: it may."""
    if status != 0:
        return f"its state command failed with status {status}"
    return "its platform says that the contract is paused" if _PAUSED.search(said) else ""


def is_destroyed(said: str, status: int) -> bool:
    """Given what a `state` command said and its exit status, return whether that machine is there no more, for certain."""
    return status == 0 and _DESTROYED.match(said) is not None
