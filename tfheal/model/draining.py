"""Instances behind a gateway, as the gateway sees them, and one that gets no new requests for a while: it is drained."""

from dataclasses import dataclass
from typing import Literal

from tfheal.model.release import InstanceName

DrainState = Literal["drained", "last", "anothers", "back", "ill"]


@dataclass(frozen=True, slots=True)
class Drain:
    """How a drain of an instance, or its end, came out at one gateway.

    `last`: it is the only one that is well; `anothers`: somebody else drains it, as the detail says. Of what was under way
    when its time was over, `cut` sessions were closed. Once it is over the instance is `back`, or `ill` by the gateway's own
    word, which the detail has.
    """

    gateway: InstanceName
    state: DrainState
    cut: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Backend:
    """One instance as a gateway sees it: its state by HAProxy's own word, what is under way, and what there was so far.

    `owner` drains it until the moment `until`, in seconds since 1970 by the gateway's clock; nobody: 0. Of 100 parts of a full
    share it gets `weight`. Its `answers` were counted by the `process`, the `failures` among them were of status 5xx.
    """

    gateway: InstanceName
    instance: InstanceName
    state: str
    sessions: int
    requests: int
    errors: int
    owner: str = ""
    until: int = 0
    weight: int = 0
    answers: int = 0
    failures: int = 0
    process: int = 0
