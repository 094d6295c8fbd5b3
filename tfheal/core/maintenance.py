"""The answer that a gateway gives in place of an app while all of that is stopped: 503, and when to come back; in sh.

Its backend of its own has one server that nothing is ever sent to: whether that is up is the switch, which a reload keeps, and
what is answered there is counted apart from what fails. Like a drain it has an owner, and an end that a timer of the
gateway's slice keeps: whoever is killed leaves no app closed for ever.
"""

import re
from dataclasses import dataclass
from typing import Final

from tfheal.base.errors import BadReply, Refused
from tfheal.core import draining
from tfheal.core.draining import Point
from tfheal.core.probe.script import framed
from tfheal.model.release import InstanceName

_END: Final = re.compile(rb"(?:closed (anew|already)|open (\d{1,15}))")
# Of `show stat` the second word is the server, the fifth what is under way, the eighth what was taken, the eighteenth the state.
_ONE: Final = """\
note=$drains/$app..maintenance timer=tfheal-maintenance-$app switch=maintenance.$app
row() { ask 'show stat' | awk -F , -v name="$1" -v server="$2" '$1 == name && $2 == server { print $5, $8, $18 }'; }
answered() { row "$switch" BACKEND | cut -d ' ' -f 2; }
found=$(row "$switch" switch)
[ -n "$found" ] || fail "the gateway has no maintenance answer for $app: deploy the gateway"
holder=$(sed -n 2p "$note" 2>/dev/null)
if [ -n "$holder" ] && [ "$holder" != "$owner" ]; then say "anothers 0 $(packed "$holder")"; exit; fi
case $holder:$found in ?*:*MAINT*|:*) was=anew ;; *) was=already ;; esac
"""
_ASK: Final = 'say "closed $was"\n'
_CLOSE: Final = """\
later "$timer" "$longest" "set server $switch/switch state maint"
before=$(answered)
[ "$was" = anew ] || before=$(sed -n 3p "$note")
printf '%s\\n%s\\n%s\\n' "$(($(date +%s) + longest))" "$owner" "$before" >"$note"
tell "set server $switch/switch state ready"
exec 8>&-
read -r now _ </proc/uptime
end=$((${now%.*} + patience))
while busy=$(row "$app" BACKEND); [ "${busy%% *}" -gt 0 ] 2>/dev/null; do
  read -r now _ </proc/uptime
  [ "${now%.*}" -lt "$end" ] || break
  printf . >&2
  sleep 0.2
done
say "closed $was"
"""
_OPEN: Final = """\
tell "set server $switch/switch state maint"
now=$(answered) before=$(sed -n 3p "$note" 2>/dev/null)
rm -f "$note"
never "$timer"
[ "${before:-0}" -le "$now" ] || before=0 # the gateway was reloaded, and counts anew
say "open $((now - ${before:-0}))"
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a gateway said: whether it was closed `already`, by the same owner; once it is open, how often it answered meanwhile."""

    already: bool = False
    answered: int = 0


def closed(gateway: InstanceName, app: str, owner: str, times: tuple[float, float], marker: str) -> str:
    """Given a gateway, an app, who closes it, for how long at most and how long what is under way has, return the script.

    Closed by the same owner it is closed anew: its end is then that much later.
    """
    longest, patience = (max(1, round(one)) for one in times)
    return _script(gateway, app, owner, f"longest={longest} patience={patience}\n{_ONE}{_CLOSE}", marker)


def asked(gateway: InstanceName, app: str, owner: str, marker: str) -> str:
    """Given a gateway, an app and who closed it, return the script that says whether it is closed still; it changes nothing."""
    return _script(gateway, app, owner, _ONE + _ASK, marker)


def opened(gateway: InstanceName, app: str, owner: str, marker: str) -> str:
    """Given a gateway, an app and who closed it, return the script that leads to the app again."""
    return _script(gateway, app, owner, _ONE + _OPEN, marker)


def _script(gateway: InstanceName, app: str, owner: str, body: str, marker: str) -> str:
    return draining.script(Point(gateway, InstanceName(app, "", "")), owner, marker, body)


def answer(reply: bytes, gateway: InstanceName, marker: str) -> Answer:
    """Given the reply of a gateway, return what it says; raise Refused, ActionFailed or BadReply."""
    for rest in framed(reply, marker):
        if match := _END.fullmatch(rest):
            return Answer(match[1] == b"already", int(match[2] or 0))
    found = draining.ended(reply, gateway, marker)
    if found.state == "anothers":
        raise Refused("the gateway answers in its place for somebody else", where=str(gateway), why=found.detail)
    raise BadReply("the gateway did not say how it ended", where=str(gateway))
