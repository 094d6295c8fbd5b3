"""The lease of an app on a slice: at most one run acts there at a time, and whoever falls silent has lost it.

The lock is a file that an apply trip holds as its descriptor 9, and that whatever it starts inherits: who has it open is
still at work. That needs no list of processes, and no number that may by now be another's. The controller says every few
seconds that it is there, on the open stdin of the trip. When nothing came for too long, or the connection is gone, the
trip ends itself and all that it started. Who finds the lock taken waits for such a word: one that comes means that the
lease is refused; if none does, what still runs is ended. In neither case is done what was planned while another was at work.

An app on several slices has one more lock on each of them, which a run that acts on any holds by trips of their own (`vigil`),
taken in the order of the slices' names: two runs that have one slice in common that both reach never act at one time.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from tfheal.base import sh, untrusted
from tfheal.core.probe.script import PRELUDE, called_once
from tfheal.model import paths
from tfheal.model.lease import SILENCE

_POLL: Final = 0.25
_SIGN: Final = 2  # seconds between two signs of life of a vigil
_TOLD: Final = re.compile(rb"(held|refused busy|refused late) ?([A-Za-z0-9+/=]*)")
# Descriptor 6 tries the lock, so that who waits does not look like who holds it; 7 is what the controller sends. Ended
# is only whose name is still on the lease, and so nobody who came after.
_LIBRARY: Final = """\
named() { name=; IFS= read -r name 2>/dev/null <"$lease.holder"; }
beaten() { now=; read -r now 2>/dev/null <"$lease.beat"; }
beat() { read -r now _ </proc/uptime; echo "$now" >"$lease.beat"; }
end_held() {
  for signal in TERM TERM TERM TERM TERM KILL KILL KILL KILL KILL; do
    named
    [ "$name" = "$1" ] || return 0
    held=
    for nine in /proc/[0-9]*/fd/9; do
      [ "$nine" -ef "$lease.lock" ] || continue
      held=${nine#/proc/}
      kill -s "$signal" "${held%%/*}" 2>/dev/null
    done
    [ -n "$held" ] || return 0
    sleep 0.2
  done
}
keep() {
  while timeout "$silence" sh -c 'read -r beat'; do beat; done
  end_held "$1"
}
take() {
  exec 6>>"$lease.lock"
  flock -n 6 && return 0
  named
  late=yes who=$name left=$polls
  beaten
  first=$now
  until flock -n 6; do
    beaten
    [ -z "$now" ] || [ "$now" = "$first" ] || return 1
    [ "$left" -ne 0 ] || end_held "$who"
    [ "$left" -gt -8 ] || return 1
    left=$((left - 1))
    sleep 0.25
  done
}
hold() {
  exec 9>&6 6>&-
  name="$1, since $(date -u +%Y-%m-%dT%H:%M:%SZ), process $$"
  printf '%s\\n' "$name" >"$lease.holder"
  beat
  ( exec <&7 7<&- 9>&- >/dev/null 2>&1; keep "$name" ) &
  keeper=$!
  trap 'kill "$keeper" 2>/dev/null' EXIT
  exec 7<&-
}
"""


def taken(app: str, who: str) -> str:
    """Given an app and who acts on it, return sh that takes its lease, or leaves its function, and keeps it to the end.

    It says `refused busy HOLDER` when another holds it, and `refused late HOLDER` when another did until just now.
    """
    return (
        f"lease={sh.quote(f'{paths.RUN}/{app}')} silence={SILENCE:g} polls={round(SILENCE / _POLL)} late= who=\n"
        + _LIBRARY
        + 'take || { say "refused busy $(packed "$who")"; return; }\n'
        + '[ -z "$late" ] || { say "refused late $(packed "$who")"; return; }\n'
        + f"hold {sh.quote(untrusted.line(who, 300))}\n"
    )


@dataclass(frozen=True, slots=True)
class Word:
    """What a vigil says: that it holds the lock, or who else does (`busy`) or did until just now (`late`)."""

    state: Literal["held", "busy", "late"]
    who: str = ""


def vigil(app: str, who: str, marker: str) -> str:
    """Given an app, who acts on it and a random marker, return the script that holds its lock among slices, and says so.

    It ends, and lets go, when its stdin does or when no word came for too long.
    """
    return called_once(
        f"{PRELUDE}marker={marker}\n"
        'say() { printf \'%s %s\\n\' "$marker" "$*"; }\n'
        'packed() { printf %s "$1" | base64 -w 0; }\n'
        f"mkdir -p {paths.RUN}\n{taken(f'{app}.slices', who)}"
        f"while say held; do ( exec 9>&- >/dev/null 2>&1; sleep {_SIGN} ); done\n",  # dash keeps what it closes otherwise
        marker,
    )


def word(line: bytes, marker: str) -> Word | None:
    """Given a line of a vigil, return what it says, or None for noise."""
    head = f"{marker} ".encode()
    match = _TOLD.fullmatch(line[len(head) :]) if line.startswith(head) else None
    if match is None:
        return None
    states: dict[bytes, Literal["held", "busy", "late"]] = {b"refused busy": "busy", b"refused late": "late"}
    return Word(states.get(match[1], "held"), untrusted.line(sh.unencoded(match[2]) or b"", 300))
