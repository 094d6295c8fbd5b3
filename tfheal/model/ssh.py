"""How slices are reached: the numbers of the transport, and host keys as people compare them."""

import base64
import binascii
import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SshSettings:
    """Every number of the transport; seconds, counts and bytes. The defaults suit an overlay network such as Mycelium."""

    connect_timeout: float = 10.0  # one attempt at one address
    banner_timeout: float = 10.0  # banner and key exchange
    auth_timeout: float = 10.0  # one key
    patience: float = 20.0  # how long time-outs and missing routes are tried again: an overlay learns its routes late
    retries: int = 2  # of a server that hangs up before its banner (too many starting connections)
    silence: float = (
        30.0  # a peer that acknowledges nothing for so long is gone; so is one that acts without a sign of life
    )
    grace: float = 10.0  # what a slice gets on top of a command's time-out to end it and to say so
    connections: int = 32  # at work at once, from the first word of a server on
    starts: int = 16  # of these, shaking hands at once
    starts_per_host: int = 8  # of these, with one address: sshd refuses at random above 10
    channels: int = 8  # on one connection: sshd permits 10
    # Bytes of one reply after which we hang up. The largest that is kept takes 8 MiB on each of two streams; measured:
    # 32 MiB cost 0.15 s of CPU, 256 MiB cost 1.4 s; memory is the same, as what is beyond the cap is dropped at once.
    flood: int = 32 << 20


def fingerprint(key: str) -> str:
    """Given a host key as `TYPE KEY`, return it as `SHA256:…`, as ssh-keygen prints it; raise ValueError if it is none."""
    fields = key.split()
    try:
        blob = base64.b64decode(fields[1], validate=True)
    except (IndexError, binascii.Error) as error:
        msg = "a host key is written TYPE KEY, the key in base64"
        raise ValueError(msg) from error
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
