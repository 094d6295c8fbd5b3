"""A share of an app's traffic for one of its instances: its weight at the gateway, by HAProxy's runtime socket; in sh.

As a drain a share has an owner and an end that a timer of the gateway's slice keeps: whoever is killed leaves no instance with
less than the others for ever. A reload keeps it.
"""

from typing import Final

from tfheal.core.draining import Point, script

FULL: Final = 100  # the weight that the gateway's configuration gives to each
_MOST: Final = 256  # of HAProxy
_ONE: Final = """\
mkdir -p "$drains/weights" || fail 'no folder in /run'
note=$drains/weights/$app.$server timer=tfheal-weight-$app.$server
holder=$(sed -n 2p "$note" 2>/dev/null)
"""
_GIVE: Final = """\
case $(ask "get weight $app/$server") in
*'(initial 100)'*) ;;
*) fail "it gives no share to $server of $app: deploy the gateway" ;;
esac
if [ -n "$holder" ] && [ "$holder" != "$owner" ]; then say "anothers 0 $(packed "$holder")"; exit; fi
later "$timer" "$longest" "set server $app/$server weight 100%"
printf '%s\\n%s\\n' "$(($(date +%s) + longest))" "$owner" >"$note"
tell "set server $app/$server weight $weight"
say "ready 0 $(packed UP)"
"""
_EVEN: Final = """\
if [ "$holder" != "$owner" ]; then say "anothers 0 $(packed "$holder")"; exit; fi
tell "set server $app/$server weight 100%"
rm -f "$note"
never "$timer"
say "ready 0 $(packed UP)"
"""


def weight(percent: float, others: int) -> int:
    """Given which percent of the requests an instance is to get beside so many others, return its weight, theirs being full."""
    return max(1, min(_MOST, round(FULL * others * percent / (100 - percent))))


def given(point: Point, owner: str, weight: int, longest: float, marker: str) -> str:
    """Given a point, whose share it is, the weight and for how many seconds at most, return the script that gives it."""
    values = f"weight={weight} longest={max(1, round(longest))}\n"
    return script(point, owner, marker, values + _ONE + _GIVE)


def evened(point: Point, owner: str, marker: str) -> str:
    """Given a point, return the script that gives it a full share again, where the one that it has is this owner's."""
    return script(point, owner, marker, _ONE + _EVEN)
