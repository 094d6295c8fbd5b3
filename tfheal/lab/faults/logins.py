"""Faults of the way in: nobody logs in, while the slice and what is on it go on and serve."""

from dataclasses import replace
from typing import Final

from tfheal.lab import machine, network
from tfheal.lab.faults.fault import Fault, Scripts, Target, of_scripts
from tfheal.model.lab import FaultKind


def _cut_ssh(target: Target) -> None:
    network.cut(target.lab, target.slice, "cut_ssh")


def _is_cut_ssh(target: Target) -> str:
    if not network.is_cut(target.lab, target.slice, "cut_ssh") or machine.answers(target.lab, target.kept.number):
        return ""
    return "nothing passes to its port 22, and its sshd is not heard"


def _join_ssh(target: Target) -> None:
    network.join(target.lab, target.slice, "cut_ssh")


DROP_SSH: Final = Fault(
    FaultKind(
        "drop-ssh",
        does="drops every packet to port 22 of the slice, as a firewall on the way would; all else passes",
        proven="its sshd is not heard any more",
        mended="the packets pass again",
        of_app=False,
    ),
    _cut_ssh,
    _is_cut_ssh,
    _join_ssh,
    outside=True,
    silences=True,
)

# The listener, and in newer servers a program for each session and one for each login.
_SSHD: Final = "-x 'sshd|sshd-session|sshd-auth'"
_RUNNING: Final = f"pgrep --runstates R,S,D {_SSHD} >/dev/null"

_HANGS: Final = of_scripts(
    FaultKind(
        "sshd-hangs",
        does="stops sshd and its sessions with SIGSTOP: connections still come about, and no greeting follows",
        proven="no sshd of the slice runs, and none has ended",
        mended="they go on",
        of_app=False,
    ),
    Scripts(
        put=f"""pgrep {_SSHD} >/dev/null || {{ echo "no sshd runs" >&2; exit 1; }}
for attempt in $(seq 50); do
    pkill --signal STOP {_SSHD} || true
    sleep 0.1
    {_RUNNING} || exit 0
done
echo "there is always another sshd that runs" >&2
exit 1
""",
        seen=f"""! {_RUNNING} && stopped=$(pgrep --count --runstates T {_SSHD}) && echo "$stopped processes of sshd are stopped"
""",
        mend=f"pkill --signal CONT {_SSHD} || true",
    ),
)
SSHD_HANGS: Final = replace(_HANGS, silences=True, outlives_boot=False)

FAULTS: Final[tuple[Fault, ...]] = (DROP_SSH, SSHD_HANGS)
