"""Faults of the network: packets of a slice are dropped, all or some, or become slow. They are made on this side of its link."""

from typing import Final

from tfheal.lab import groups, host, machine, network, places, record
from tfheal.lab.faults.fault import Fault, Target
from tfheal.model.lab import FaultKind


def _of_packets(kind: FaultKind, cut: network.Cut, proof: str) -> Fault:
    """Given which packets are dropped and the words for it, return the fault; the slice's sshd is then not heard."""

    def put(target: Target) -> None:
        network.cut(target.lab, target.slice, cut)

    def seen(target: Target) -> str:
        dropped = network.is_cut(target.lab, target.slice, cut)
        return proof if dropped and not machine.answers(target.lab, target.kept.number) else ""

    def mend(target: Target) -> None:
        network.join(target.lab, target.slice, cut)

    return Fault(kind, put, seen, mend, outside=True, silences=True)


PARTITION: Final = _of_packets(
    FaultKind(
        "partition",
        "network",
        does="drops every packet between the slice and everybody else; inside, it goes on",
        proven="its sshd is not heard any more",
        mended="the packets pass again",
    ),
    "cut",
    "nothing passes its link, and its sshd is not heard",
)

DROP_REPLIES: Final = _of_packets(
    FaultKind(
        "drop-replies",
        "network",
        does="drops every packet that the slice sends, and none that it is sent: it hears, and is not heard",
        proven="its sshd is not heard any more",
        mended="the packets pass again",
    ),
    "cut_out",
    "nothing that it sends passes its link, and its sshd is not heard",
)

DROP_SSH: Final = _of_packets(
    FaultKind(
        "drop-ssh",
        "network",
        does="drops every packet to port 22 of the slice, as a firewall on the way would; all else passes",
        proven="its sshd is not heard any more",
        mended="the packets pass again",
    ),
    "cut_ssh",
    "nothing passes to its port 22, and its sshd is not heard",
)


def _cut_peers(target: Target) -> None:
    network.cut(target.lab, target.slice, "cut_peers")


def _is_cut_from_peers(target: Target) -> str:
    """Return the proof: no slice that runs is reached from this one."""
    if not network.is_cut(target.lab, target.slice, "cut_peers"):
        return ""
    others = [
        name for name in record.slice_names(target.lab) if name != target.slice and groups.leader(target.lab, name)
    ]
    asked = [_reaches(target, other) for other in others]
    return "" if any(asked) else f"it reaches none of {', '.join(others) or 'no other slice'}"


def _reaches(target: Target, other: str) -> bool:
    kept = record.load_slice(target.lab, other)
    url = f"telnet://[{places.address6(target.lab, kept.number)}]:22" if kept else ""
    asked = f"curl -q -s -m 1 -o /dev/null -w '%{{time_connect}}' '{url}' </dev/null | grep -q '[1-9]'"
    return machine.enter(target.lab, target.slice, asked).status == 0


def _join_peers(target: Target) -> None:
    network.join(target.lab, target.slice, "cut_peers")


CUT_PEERS: Final = Fault(
    FaultKind(
        "cut-peers",
        "network",
        does="drops every packet between the slice and other slices; everybody else still reaches it",
        proven="it reaches no other slice",
        mended="the packets pass again",
    ),
    _cut_peers,
    _is_cut_from_peers,
    _join_peers,
)

# About what a bad line of a village has; more makes no odds, less makes every login take longer than our patience.
_RATE: Final = ("rate", "256kbit", "burst", "16kb", "latency", "2s")
_INSIDE: Final = "host0"


def _slow(target: Target) -> None:
    host.run("tc", "qdisc", "replace", "dev", places.link(target.lab, target.slice), "root", "tbf", *_RATE)
    machine.enter(target.lab, target.slice, f"tc qdisc replace dev {_INSIDE} root tbf {' '.join(_RATE)}")


def _is_slow(target: Target) -> str:
    outside = host.ask("tc", "qdisc", "show", "dev", places.link(target.lab, target.slice)).stdout
    inside = machine.enter(target.lab, target.slice, f"tc qdisc show dev {_INSIDE}").stdout
    return f"{_RATE[1]} each way, and no more" if b"qdisc tbf" in outside and b"qdisc tbf" in inside else ""


def _quicken(target: Target) -> None:
    host.ask("tc", "qdisc", "delete", "dev", places.link(target.lab, target.slice), "root")
    machine.enter(target.lab, target.slice, f"tc qdisc delete dev {_INSIDE} root")


SLOW_LINK: Final = Fault(
    FaultKind(
        "slow-link",
        "network",
        does=f"lets {_RATE[1]} a second pass to the slice and from it, and no more",
        proven="both ends of its link are limited",
        mended="they are not any more",
    ),
    _slow,
    _is_slow,
    _quicken,
    outlives_boot=False,
)

FAULTS: Final[tuple[Fault, ...]] = (PARTITION, DROP_REPLIES, DROP_SSH, CUT_PEERS, SLOW_LINK)
