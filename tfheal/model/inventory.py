"""`inventory.toml`: who owns which slices, and how each is reached."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tfheal.model.names import Duration, Name, Size, Strict


def _address(written: str) -> str:
    if "[" in written or "]" in written:
        msg = f"an IPv6 address is written without brackets: {written.strip('[]')}"
        raise ValueError(msg)
    if (
        not written
        or any(character.isspace() or character in "@/\"'`$;|&<>" for character in written)
        or written[0] == "-"
    ):
        msg = "an address is an IPv6 or IPv4 address or a host name, without user or port"
        raise ValueError(msg)
    return written


Address = Annotated[str, AfterValidator(_address)]


class Owner(Strict):
    """A customer: owns slices and data."""

    contact: str = Field(default="", description="whom to write to about this owner's slices")
    recipient: str | None = Field(
        default=None,
        pattern=r"^(age1[0-9a-z]{58}|ssh-ed25519 [A-Za-z0-9+/]{68}( .*)?)$",
        description="the owner's own key of age or SSH, to which is encrypted what only the owner may read",
    )


class SliceSize(Strict):
    """What the owner rented."""

    cpu: int = Field(ge=1, description="virtual processors")
    memory: Size = Field(description="memory, as 4G")
    disk: Size = Field(description="disk, as 200G")


class Provisioner(Strict):
    """How a slice is made anew by whoever holds its contract."""

    recreate: str = Field(
        min_length=1,
        description="the command, run without a shell; {slice}, {owner}, {address} and {labels.X} are filled in",
    )
    state: str | None = Field(
        default=None,
        min_length=1,
        description="a command that says how the contract is; while it says `paused`, or fails, nothing is made anew; `destroyed` is what lets data move elsewhere",
    )
    host_key: Literal["output", "first-contact"] = Field(
        default="output",
        description="how the new host key is known: `recreate` prints it or its fingerprint; or, at a Mycelium address, "
        "it is the first one shown within 15 minutes",
    )
    timeout: Duration = Field(default=900.0, gt=0, description="how long it may take until the slice answers")
    backoff: Duration = Field(default=600.0, description="the least time between two of them for one slice")


class SliceEntry(Strict):
    """One slice, as written in `[slices.NAME]`."""

    owner: Name = Field(description="a name from [owners]")
    address: Address = Field(description="IPv6 (Mycelium) without brackets, IPv4, or a host name")
    port: int | None = Field(default=None, ge=1, le=65535, description="default: from ~/.ssh/config, else 22")
    user: str | None = Field(
        default=None, pattern=r"^[a-z_][a-z0-9_-]{0,31}$", description="default: ~/.ssh/config, else root"
    )
    key: str | None = Field(default=None, description="private key file; a relative path starts at the workspace")
    proxy_jump: str | None = Field(default=None, description="a host to go through, as in ssh -J")
    labels: dict[Name, str] = Field(default_factory=dict, description="free words for selectors: role, node, …")
    size: SliceSize | None = Field(default=None, description="cpu, memory and disk as rented")
    provisioner: Provisioner | None = Field(default=None, description="how this slice is made anew")


class Inventory(Strict):
    """The whole of `inventory.toml`."""

    owners: dict[Name, Owner] = Field(default_factory=dict, description="the customers, by name")
    slices: dict[Name, SliceEntry] = Field(default_factory=dict, description="their machines, by name")

    def slice(self, name: str) -> "Slice":
        """Given the name of a slice in the inventory, return it; raise KeyError if there is none."""
        entry = self.slices[name]
        return Slice(
            name=name,
            owner=entry.owner,
            address=entry.address,
            port=entry.port,
            user=entry.user,
            key=entry.key,
            proxy_jump=entry.proxy_jump,
            labels=dict(entry.labels),
        )


@dataclass(frozen=True, slots=True)
class Slice:
    """One machine of an owner, and how it is reached; None means that ~/.ssh/config or the default decides."""

    name: str
    owner: str
    address: str
    port: int | None = None
    user: str | None = None
    key: str | None = None
    proxy_jump: str | None = None
    labels: dict[str, str] = field(default_factory=dict, hash=False)
