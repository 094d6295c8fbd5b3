"""Taking an instance out of the traffic at its gateway and putting it back, by HAProxy's runtime socket; in sh.

A drain has an owner and an end that a timer of the gateway's slice keeps: whoever is killed leaves no instance out for ever.
The last instance that is well is never drained: its requests may wait for it instead, while it starts again.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from tfheal.base import sh, untrusted
from tfheal.base.errors import ActionFailed, BadReply, Refused
from tfheal.core.probe.script import PRELUDE, called_once, framed
from tfheal.model import paths
from tfheal.model.draining import Backend, Drain
from tfheal.model.release import InstanceName

CAP: Final = 1 << 20
_NOT_SERVERS: Final = frozenset({"FRONTEND", "BACKEND"})
_END: Final = re.compile(rb"(?:(last)|(drained) (\d{1,9})|(anothers|ready|refused|failed) 0 ([A-Za-z0-9+/=]*))")
_MOST: Final = 10**15  # requests, and whatever else is counted there
_PROCESS: Final = re.compile(r"process ([0-9]{1,9})")
_NOTE: Final = re.compile(r"([0-9A-Za-z._-]{1,200}) ([0-9]{1,12}) ([0-9A-Za-z+/=]{0,2000})")
# Of `show stat` the second word is the server, the fifth what it has under way, the eighteenth its state.
_ASK: Final = """\
say() { printf '%s %s\\n' "$marker" "$*"; }
packed() { printf %s "$1" | base64 -w 0; }
fail() { say "failed 0 $(packed "$1")"; exit; }
[ ! -e HANDS_OFF ] || { say "refused 0 $(packed 'it is paused by the owner')"; exit; }
ask() { printf '%s\\n' "$1" | timeout 5 socat -t 5 - "UNIX-CONNECT:$socket"; }
seen() { ask 'show stat' | awk -F , -v app="$app" '$1 == app && $2 != "BACKEND" { print $2, $5, $18 }'; }
state() { seen | awk -v server="$server" '$1 == server { print $3 }'; }
sessions() { seen | awk -v server="$server" '$1 == server { print $2 }'; }
others() { seen | awk -v server="$server" '$1 != server && $3 ~ /^UP/' | wc -l; }
tell() { said=$(ask "$1" 2>&1) && [ -z "$said" ] || fail "HAProxy said to \\`$1\\`: $said"; }
# After so many seconds a timer tells HAProxy something. It stands before the one that it replaces is stopped.
later() {
  new=$1 old=$1.next
  ! systemctl is-active --quiet "$1.timer" || new=$1.next old=$1
  systemctl stop "$new.timer" 2>/dev/null
  systemd-run --quiet --collect --unit="$new" --on-active="$2" --timer-property=AccuracySec=1s \\
    sh -c "echo '$3' | socat -t 5 - UNIX-CONNECT:$socket; rm -f $note" || fail 'no timer was to be had that ends it'
  systemctl stop "$old.timer" 2>/dev/null
}
never() { systemctl stop "$1.timer" "$1.next.timer" 2>/dev/null; }
command -v socat >/dev/null || fail 'socat is not there: a deploy of the gateway installs it'
ask 'show info' >/dev/null 2>&1 || fail 'the gateway does not answer on its socket'
mkdir -p "$drains" || fail 'no folder in /run'
exec 8>"$drains/lock"
flock -w 20 8 || fail 'another run is at work on it'
# A gateway that starts anew, which is no reload, leads to all: what was noted before holds no more, and needs no timer.
start=$(systemctl show -P InvocationID "$stem") before=$(cat "$drains/start" 2>/dev/null)
case $before in ''|"$start") ;; *)
  for note in "$drains"/*.* "$drains"/weights/*; do
    name=${note##*/} kind=drain
    case $note in */weights/*) kind=weight ;; *..maintenance) kind=maintenance name=${name%..maintenance} ;; esac
    [ ! -e "$note" ] || { never "tfheal-$kind-$name"; rm -f "$note"; }
  done ;;
esac
echo "$start" >"$drains/start"
"""
_ONE: Final = """\
note=$drains/$app.$server timer=tfheal-drain-$app.$server
ready="set server $app/$server state ready"
[ -n "$(state)" ] || fail "the gateway leads to no $server of $app: deploy the gateway"
holder=$(sed -n 2p "$note" 2>/dev/null)
"""
_DRAIN: Final = """\
if [ -n "$holder" ] && [ "$holder" != "$owner" ]; then say "anothers 0 $(packed "$holder")"; exit; fi
noted() { printf '%s\\n%s\\n' "$(($(date +%s) + longest))" "$owner" >"$note"; }
if [ "$(others)" -eq 0 ]; then
  # What a run of the same owner drained, which was killed, may be all that is left now.
  if [ -n "$holder" ]; then tell "$ready"; rm -f "$note"; fi
  if [ "$waits" = yes ]; then
    later "$timer" "$longest" "enable health $app/$server; $ready"
    noted
    tell "disable health $app/$server"
    tell "set server $app/$server health up"
  fi
  say last
  exit
fi
later "$timer" "$longest" "enable health $app/$server; set server $app/$server health down; $ready"
noted
tell "set server $app/$server state drain"
exec 8>&-
read -r now _ </proc/uptime
end=$((${now%.*} + patience))
while count=$(sessions); [ "${count:-0}" -gt 0 ]; do
  read -r now _ </proc/uptime
  if [ "${now%.*}" -ge "$end" ]; then
    ask "shutdown sessions server $app/$server" >/dev/null
    break
  fi
  printf . >&2
  sleep 0.2
done
say "drained ${count:-0}"
"""
# HAProxy gives little by little only to what it saw down: it is so until two of its own questions are answered well, while
# others serve. Who comes back to an app without any serves at once.
_UNDRAIN: Final = """\
if [ -n "$owner" ] && [ "$holder" != "$owner" ]; then say "anothers 0 $(packed "$holder")"; exit; fi
tell "enable health $app/$server"
case $(state) in
DRAIN*) [ "$(others)" -eq 0 ] || tell "set server $app/$server health down" ;;
esac
tell "$ready"
rm -f "$note"
never "$timer"
exec 8>&-
read -r now _ </proc/uptime
end=$((${now%.*} + patience))
while found=$(state); case $found in UP*) false ;; esac; do
  read -r now _ </proc/uptime
  [ "${now%.*}" -lt "$end" ] || break
  printf . >&2
  sleep 0.3
done
say "ready 0 $(packed "$found")"
"""
_STATUS: Final = """\
for note in "$drains"/*.*; do
  [ -e "$note" ] || continue
  say "note ${note##*/} $(sed -n 1p "$note") $(sed -n 2p "$note" | head -c 900 | base64 -w 0)"
done
say "process $(ask 'show info' | sed -n 's/^Pid: //p')"
say "stat $(ask 'show stat' | base64 -w 0)"
say end
"""


@dataclass(frozen=True, slots=True)
class Point:
    """An instance at one of the gateways that lead to it."""

    gateway: InstanceName
    instance: InstanceName


def drained(point: Point, owner: str, times: tuple[float, float], marker: str, *, waits: bool = False) -> str:
    """Given a point, who drains, for how long at most and how long what is under way has, return the script that drains it.

    Times in seconds. Where it is the last, its requests wait for it (`waits`), or nothing is done.
    """
    longest, patience = (max(1, round(one)) for one in times)
    values = f"longest={longest} patience={patience} waits={'yes' if waits else 'no'}\n"
    return script(point, owner, marker, values + _ONE + _DRAIN)


def undrained(point: Point, owner: str, patience: float, marker: str) -> str:
    """Given a point, whose drain it is (nobody's: anybody's) and how long to wait until it is well, return the script."""
    return script(point, owner, marker, f"patience={max(1, round(patience))}\n{_ONE}{_UNDRAIN}")


def status(gateway: InstanceName, marker: str) -> str:
    """Given a gateway, return the script that tells of all that it leads to."""
    return script(Point(gateway, gateway), "", marker, _STATUS)


def script(point: Point, owner: str, marker: str, body: str) -> str:
    """Given a point, for whom and what is to be done there in sh, return the script that does it, whole or not at all."""
    stem = paths.unit(point.gateway.app, point.gateway.component).removesuffix(".service")
    values = (
        f"marker={marker}\nstem={stem} socket=/run/{stem}/admin.sock drains={paths.RUN}/drains/{stem}\n"
        f"app={sh.quote(point.instance.app)} server={sh.quote(point.instance.slice)} owner={sh.quote(owner)}\n"
    )
    return called_once(PRELUDE + values + _ASK.replace("HANDS_OFF", paths.HANDS_OFF) + body, marker)


def ended(reply: bytes, gateway: InstanceName, marker: str) -> Drain:
    """Given the reply of a drain or its end, return how it ended; raise Refused or ActionFailed with the slice's reason."""
    for rest in framed(reply, marker):
        if match := _END.fullmatch(rest):
            word = (match[1] or match[2] or match[4]).decode()
            detail = untrusted.line(sh.unencoded(match[5] or b"") or b"", 300)
            if word == "refused":
                raise Refused("the gateway may not be touched", where=str(gateway), why=detail)
            if word == "failed":
                raise ActionFailed("the gateway did not do it", where=str(gateway), why=detail)
            if word == "ready":
                return Drain(gateway, "back" if detail.startswith("UP") else "ill", detail=detail)
            if word == "drained":
                return Drain(gateway, "drained", int(match[3]))
            return Drain(gateway, "last" if word == "last" else "anothers", detail=detail)
    raise BadReply("the gateway did not say how it ended", where=str(gateway))


def backends(reply: bytes, gateway: InstanceName, routed: Mapping[str, str], marker: str) -> tuple[Backend, ...]:
    """Given the reply of a gateway and the routed component of each app, return what it leads to; raise BadReply or Refused."""
    notes: dict[str, tuple[int, str]] = {}
    table, process, whole = "", 0, False
    for rest in framed(reply, marker):
        line = untrusted.line(rest, CAP)
        if line.startswith(("refused ", "failed ")):
            ended(reply, gateway, marker)
        if line.startswith("stat "):
            table = untrusted.text(sh.unencoded(rest.removeprefix(b"stat ")) or b"", CAP)
        elif line.startswith("note ") and (match := _NOTE.fullmatch(line.removeprefix("note "))):
            owner = untrusted.line(sh.unencoded(match[3].encode()) or b"", 200)
            notes[match[1]] = (int(match[2]), owner)
        elif match := _PROCESS.fullmatch(line):
            process = int(match[1])
        whole = whole or line == "end"
    if not whole:
        raise BadReply("the gateway did not say all", where=str(gateway))
    try:
        return tuple(replace(row, process=process) for row in _rows(table, gateway, routed, notes))
    except csv.Error as error:
        raise BadReply("the gateway's table cannot be read", where=str(gateway)) from error


def _rows(
    table: str, gateway: InstanceName, routed: Mapping[str, str], notes: Mapping[str, tuple[int, str]]
) -> Iterator[Backend]:
    for row in csv.DictReader(io.StringIO(table.removeprefix("# "))):
        app, server = row.get("pxname") or "", row.get("svname") or ""
        if app not in routed or server in _NOT_SERVERS:
            continue
        until, owner = notes.get(f"{app}.{server}") or notes.get(f"{app}..maintenance", (0, ""))
        yield Backend(
            gateway,
            InstanceName(app, routed[app], server),
            (row.get("status") or "?")[:40],
            _number(row.get("scur")),
            _number(row.get("stot")),
            sum(_number(row.get(key)) for key in ("econ", "eresp")),
            owner,
            until,
            _number(row.get("uweight")),
            sum(_number(row.get(f"hrsp_{kind}")) for kind in ("1xx", "2xx", "3xx", "4xx", "5xx", "other")),
            _number(row.get("hrsp_5xx")),
        )


def _number(text: str | None) -> int:
    return untrusted.whole(text, _MOST) or 0
