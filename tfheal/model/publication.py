"""Public names: how the provider publishes them, what was published of an app, and the hands that it takes."""

import ipaddress
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Protocol

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from tfheal.model.names import Duration, Name, Strict

_NEEDS: Final = {"rfc2136": ("server", "zone", "key"), "hosts": ("slices",), "command": ("command",), "none": ()}
_PORT: Final = 53
_LAST_PORT: Final = 65_535


def server_of(written: str) -> tuple[str, int]:
    """Given an address with or without a port, return both; raise ValueError for what is none."""
    host, port = written, str(_PORT)
    if written.startswith("[") or written.count(":") == 1:
        host, _, port = written.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) <= _LAST_PORT:
        msg = "a port is a number from 1 to 65535"
        raise ValueError(msg)
    return str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))), int(port)


def _server(written: str) -> str:
    try:
        server_of(written)
    except ValueError:
        msg = "a name server is an address, with a port if that is not 53: 192.0.2.53, [2001:db8::53]:5353"
        raise ValueError(msg) from None
    return written


DomainName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_]([a-zA-Z0-9_.-]{0,251}[a-zA-Z0-9_.])?$")]


class NamesWay(Strict):
    """One way by which host names of apps are published: a DNS server, a file on slices, a program, or none."""

    via: Literal["rfc2136", "hosts", "command", "none"] = Field(description="how")
    server: Annotated[str, AfterValidator(_server)] | None = Field(
        default=None, description="rfc2136: the primary server, an address, with a port if that is not 53"
    )
    zone: DomainName | None = Field(default=None, description="rfc2136: the zone that takes updates")
    key: DomainName | None = Field(
        default=None, description="rfc2136: the name of the TSIG key; its secret: `tfheal secret set tfheal names_NAME`"
    )
    algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = Field(
        default="hmac-sha256", description="rfc2136: the algorithm of the key"
    )
    ttl: Duration = Field(default=300.0, ge=1, le=604_800, description="how long others may keep a record")
    slices: tuple[Name, ...] = Field(default=(), description="hosts: the slices whose /etc/hosts has the names")
    command: tuple[str, ...] = Field(
        default=(),
        description="command: argv, run without a shell; {action} add or remove, {name}, {type} A or AAAA (TXT for certificates), {address}, {ttl}",
    )

    @model_validator(mode="after")
    def _whole(self) -> "NamesWay":
        lacking = [word for word in _NEEDS[self.via] if not getattr(self, word)]
        if lacking:
            msg = f"via {self.via} needs {', '.join(lacking)}"
            raise ValueError(msg)
        return self


@dataclass(frozen=True, slots=True)
class Publication:
    """The addresses that were published of an app by one way under one host name; or were about to be, if it is not `done`."""

    app: str
    way: str
    host: str
    addresses: tuple[str, ...]
    done: bool = True


def secret_of(way: str) -> tuple[str, str]:
    """Return where the vault keeps the secret of a way's key; the first is an app there."""
    return "tfheal", f"names_{way.replace('-', '_')}"


class Publisher(Protocol):
    """One way by which host names are published."""

    def published(self, host: str) -> tuple[str, ...] | None:
        """Return the addresses of a name, sorted; None where nobody can be asked. Raise ActionFailed if it did not answer."""

    def change(self, host: str, before: tuple[str, ...], after: tuple[str, ...]) -> None:
        """Replace the addresses of a name, all at once where that can be; raise ActionFailed if it did not come to be."""

    def prove(self, host: str, value: str | None) -> None:
        """Publish what an authority asks for to see that a name is ours (`_acme-challenge`, a TXT record), or withdraw it; raise Refused where this way cannot."""


class Publications(Protocol):
    """What was published of apps."""

    def of(self, app: str) -> tuple[Publication, ...]:
        """Return what was published of an app."""

    def put(self, publication: Publication) -> None:
        """Record what is published from now on; without addresses it is forgotten."""
