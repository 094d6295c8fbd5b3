"""The command around every script: whatever outlives its time-out is ended on the slice, by the slice.

So it holds when the connection is gone or the controller is dead, and needs no second round trip. `timeout` ends the
shell and its process group; then everything that is left of the login session is ended, which finds background
children, and those that made a process group of their own (a nested `timeout`). Processes that started a session of
their own (`setsid`, daemons) are not found: they meant to stay.
"""

from typing import Final

from tfheal.base.sh import quote

# What `timeout` and the shell answer for a command that was ended.
ENDED: Final = frozenset({124, 137})

# One line without a quote of the other kind, backslash or exclamation mark: any login shell passes it on unchanged.
# $1 is the time-out, $2 how long TERM has before KILL. A stat file is read to its last line and split after the last
# parenthesis, because a process may name itself anything; state, parent, group and session follow. Spared are this
# shell, its parent (sudo) and the leader of the session (the login shell): they carry the exit status home.
_BOUNDED: Final = (
    'timeout -k "$2" "$1" sh; status=$?; '
    "if [ $status = 124 ] || [ $status = 137 ]; then "
    "read -r x x x parent x session x </proc/$$/stat; "
    "end_rest() { left=0; for file in /proc/[0-9]*/stat; do "
    "last=; { while read -r line; do last=$line; done <$file; } 2>/dev/null; "
    "pid=${file#/proc/}; pid=${pid%/stat}; set -- $1 ${last##*) }; "
    "case $pid:$2 in $$:*|$parent:*|$session:*|*:Z) continue;; esac; "
    '[ "$5" = $session ] || continue; left=1; kill -$1 $pid 2>/dev/null; done; }; '
    "for signal in TERM TERM KILL KILL KILL; do "
    "end_rest $signal; [ $left = 0 ] && break; sleep 0.5; done; "
    "fi; exit $status"
)


def bounded_shell(user: str, timeout: float, grace: float) -> str:
    """Given who logs in, return the command that runs a script from stdin as root and ends it after `timeout`."""
    # A time-out of 0 would mean none at all.
    shell = f"sh -c {quote(_BOUNDED)} tfheal {max(timeout, 0.001):.3f} {grace / 3:.3f}"
    return shell if user == "root" else f"sudo -n {shell}"
