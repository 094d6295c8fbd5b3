"""Public names, pure: at which addresses an app answers, the file of names on a slice, the words of a program."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Final

from tfheal.base import sh
from tfheal.base.errors import Refused
from tfheal.core.probe.script import PRELUDE, called_once
from tfheal.model import paths
from tfheal.model.inventory import SliceEntry
from tfheal.model.publication import NamesWay
from tfheal.model.release import Release

_FILE: Final = "/etc/hosts"
_WRITTEN: Final = re.compile(r"[0-9A-Fa-f.:]{2,45}")
_WORD: Final = re.compile(r"\{(action|name|type|address|ttl)\}")


def addresses(releases: Iterable[Release], slices: Mapping[str, SliceEntry]) -> tuple[str, ...]:
    """Given the releases of an app, return the addresses of those that people reach, sorted; raise Refused for one that is a name."""
    return tuple(sorted({_address(one.slice, slices[one.slice].address) for one in releases if one.url}))


def strangers(found: Iterable[str], slices: Mapping[str, SliceEntry]) -> tuple[str, ...]:
    """Given addresses, return those that no slice has."""
    ours = {ipaddress.ip_address(entry.address) for entry in slices.values() if _is_address(entry.address)}
    return tuple(each for each in found if ipaddress.ip_address(each) not in ours)


def record_type(address: str) -> str:
    """Return the type of the record that an address stands in."""
    return "AAAA" if ":" in address else "A"


def challenged(host: str) -> str:
    """Return the name at which an authority looks for what shows that a name is ours (RFC 8555, section 8.4)."""
    return f"_acme-challenge.{host}"


def words(way: NamesWay, action: str, host: str, value: str, kind: str = "") -> tuple[str, ...]:
    """Given a way by a program, what it is to do, a name and an address (or the value of another `kind` of record), return its argv."""
    said = {
        "action": action,
        "name": host,
        "type": kind or record_type(value),
        "address": value,
        "ttl": str(round(way.ttl)),
    }
    return tuple(_WORD.sub(lambda match: said[match[1]], word) for word in way.command)


def asked(host: str, marker: str) -> str:
    """Given a name, return the script that tells the addresses that the file of a slice has for it."""
    body = f'{PRELUDE}grep -F {sh.quote(_end(host))} {_FILE} | while read -r address _; do echo {marker} "$address"; done\n'
    return called_once(f"{body}echo {marker} end\n", marker)


def told(reply: bytes, marker: str) -> tuple[str, ...] | None:
    """Given what the script said, return what is an address of it, None if it is not whole."""
    lines = [
        line.removeprefix(f"{marker} ") for line in reply.decode("utf-8", "replace").splitlines() if marker in line
    ]
    if "end" not in lines:
        return None
    written = [line for line in lines if _WRITTEN.fullmatch(line) and _is_address(line)]
    return tuple(sorted({str(ipaddress.ip_address(line)) for line in written}))


def written(host: str, addresses: tuple[str, ...], marker: str) -> str:
    """Given a name and its addresses, return the script that puts them into the file of a slice, in place of others of ours."""
    lines = "".join(f"{address}{_end(host)}\n" for address in addresses)
    body = (
        f"{PRELUDE}[ ! -e {paths.HANDS_OFF} ] || {{ echo {marker} paused; return; }}\n"
        f"{{ grep -v -F {sh.quote(_end(host))} {_FILE}; printf %s {sh.quote(lines)}; }} >{_FILE}.tfheal || return\n"
        # Where the file is one of a container's host it cannot be replaced, only filled.
        f"chmod 0644 {_FILE}.tfheal && sync {_FILE}.tfheal && {{ mv -T {_FILE}.tfheal {_FILE} 2>/dev/null || cp {_FILE}.tfheal {_FILE}; }} || return\n"
        f"echo {marker} end\n"
    )
    return called_once(body, marker)


def _is_address(written: str) -> bool:
    try:
        ipaddress.ip_address(written)
    except ValueError:
        return False
    return True


def _address(slice_name: str, written: str) -> str:
    try:
        return str(ipaddress.ip_address(written))
    except ValueError:
        why = f"the inventory has {written} as its address, which is a name"
        raise Refused("it has no address to publish", where=slice_name, why=why) from None


def _end(host: str) -> str:
    return f" {host} # tfheal"
