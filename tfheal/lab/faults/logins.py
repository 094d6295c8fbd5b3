"""Faults of the way in: nobody logs in, while the slice and what is on it go on and serve."""

from dataclasses import replace
from typing import Final

from tfheal.lab.faults.fault import Fault, Scripts, of_scripts
from tfheal.model.lab import FaultKind

# The listener, and in newer servers a program for each session and one for each login.
_SSHD: Final = "-x 'sshd|sshd-session|sshd-auth'"
_RUNNING: Final = f"pgrep --runstates R,S,D {_SSHD} >/dev/null"

_HANGS: Final = of_scripts(
    FaultKind(
        "sshd-hangs",
        "machine",
        does="stops sshd and its sessions with SIGSTOP: connections still come about, and no greeting follows",
        proven="no sshd of the slice runs, and none has ended",
        mended="they go on",
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

_LISTENS: Final = "ss -Hltn 'sport = :22' | grep -q ."
_DEAD: Final = of_scripts(
    FaultKind(
        "sshd-dead",
        "machine",
        does="stops sshd and ends its sessions: connections to port 22 are refused; all else goes on",
        proven="nobody listens on port 22",
        mended="sshd is started",
    ),
    Scripts(
        put=f"systemctl stop ssh.socket ssh.service 2>/dev/null || true\npkill --signal KILL {_SSHD} || true\n",
        seen=f"! {_LISTENS} && echo 'nobody listens on port 22'",
        mend="""if systemctl is-enabled --quiet ssh.socket 2>/dev/null; then systemctl start ssh.socket
else systemctl start ssh.service; fi
""",
    ),
)
SSHD_DEAD: Final = replace(_DEAD, silences=True, outlives_boot=False)

FAULTS: Final[tuple[Fault, ...]] = (SSHD_HANGS, SSHD_DEAD)
