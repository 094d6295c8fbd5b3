"""Whether requests pass a gateway: each public name asked through it and, where that is no good, its instances without it.

Both are asked on the gateway's slice. What fails through it alone is the gateway's fault, and no instance is touched for it.
Whether the name leads there at all is asked from where we are: that may be wrong while all of it is well.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tfheal.base import sh
from tfheal.base.errors import BadReply
from tfheal.core.probe.script import PRELUDE, called_once, framed
from tfheal.model.findings import Cause
from tfheal.model.release import InstanceName
from tfheal.model.route import Route
from tfheal.model.visit import Visit

CAP: Final = 1 << 18
LONGEST: Final = 30.0  # seconds
_WELL: Final = 200  # what the gateway's own checks ask for
_FAILURE: Final = 500
_SAID: Final = re.compile(r"(\d{1,4}) (\d{3})((?: \d{3})*)")
# Whether a certificate holds is asked for apart: here any one will do.
# An instance that came up just now is well for its gateway only after its second question there, 4 s later.
_ASK: Final = """\
say() { printf '%s %s\\n' "$marker" "$*"; }
code() { curl -skg --noproxy '*' -o /dev/null -w '%{http_code}' --max-time 3 -H "Host: $1" "$2"; }
since() { read -r now _ </proc/uptime; echo "$((${now%.*} - begun))"; }
pass() {
  number=$1 host=$2 front=$3
  shift 3
  while through=$(code "$host" "$front") alone=; [ "$through" != 200 ]; do
    for url; do alone="$alone $(code "$host" "$url")"; done
    case $alone in *200*) ;; *) break ;; esac
    [ "$(since)" -lt 6 ] || break
    sleep 1
  done
  say "$number $through$alone"
}
command -v curl >/dev/null || { say nothing; exit; }
begun=0 begun=$(since)
"""


@dataclass(frozen=True, slots=True)
class Passage:
    """What was answered for a route through its gateway, and by each instance alone where that was no good; 0: nothing."""

    route: Route
    through: int
    alone: Mapping[str, int]


def script(front: str, routes: Sequence[Route], marker: str, more: str = "") -> str:
    """Given the URL of a gateway without its path and what it leads to, return the script for its slice that asks for all of it, and does `more`."""
    lines = []
    for number, route in enumerate(routes):
        urls = [
            f"{front}{route.health}",
            *(url(server.address, route.port) + route.health for server in route.servers),
        ]
        lines.append(" ".join(["pass", str(number), *map(sh.quote, (route.host, *urls))]) + " &\n")
    return called_once(f"{PRELUDE}marker={marker}\n{_ASK}{''.join(lines)}{more}wait\nsay end\n", marker)


def passages(reply: bytes, routes: Sequence[Route], marker: str) -> tuple[Passage, ...]:
    """Given the reply to that script, return what was answered for each route; raise BadReply if some of it is missing."""
    found: dict[int, Passage] = {}
    for rest in framed(reply, marker):
        match = _SAID.fullmatch(rest.decode("ascii", "replace"))
        if match and int(match[1]) < len(routes):
            route, codes = routes[int(match[1])], [int(code) for code in match[3].split()]
            names = [server.name for server in route.servers]
            found[int(match[1])] = Passage(route, int(match[2]), dict(zip(names, codes, strict=False)))
    if len(found) != len(routes):
        raise BadReply("the gateway's slice did not say whether requests pass it")
    return tuple(found[number] for number in sorted(found))


def fault(passage: Passage, well: Sequence[InstanceName]) -> str:
    """Given what was answered and the instances that are well by what their own slices say, return what is wrong with the gateway; empty if nothing is, or the app itself is to blame."""
    if passage.through == _WELL:
        return ""
    host, said = passage.route.host, _said(passage.through)
    if able := [name for name, code in passage.alone.items() if code == _WELL]:
        return f"{host} {said} through it, and {passage.route.app} on {', '.join(able)} answers it without"
    if well:
        told = ", ".join(f"{name} {_said(code)}" for name, code in passage.alone.items())
        return f"{host} {said} through it: {passage.route.app} is well on its slices, but asked from here {told}"
    return ""


@dataclass(frozen=True, slots=True)
class PublicName:
    """Where people meet an app by its name: at which URLs, and at which addresses, as far as we say that to the world.

    `exact`: a path of health is asked for, which answers 200 alone; else whatever is no failure will do.
    """

    app: str
    host: str
    urls: tuple[str, ...]
    addresses: tuple[str, ...]
    exact: bool


def visited(public: PublicName, visit: Visit, *, well: bool, near: Collection[str]) -> tuple[Cause, str] | None:
    """Given a public name, what was met there, whether the app is well and the addresses that can be reached, return what is wrong with the name, if anything.

    What this machine cannot resolve, or not get at, says nothing of what others can.
    """
    if not visit.addresses:
        return (
            "name-unasked",
            f"{public.host} cannot be resolved here, so whether it leads to the app is not known: {visit.why}",
        )
    there = ", ".join(visit.addresses)
    if public.addresses and not {*visit.addresses} <= {*public.addresses}:
        return (
            "name-astray",
            f"{public.host} leads to {there} from here, and should lead to {', '.join(public.addresses)}",
        )
    if not public.urls or not well or visit.status == _WELL or (not public.exact and 0 < visit.status < _FAILURE):
        return None
    said = f"{visit.url} {_said(visit.status)} from here, at {there}{f' ({visit.why})' if visit.why else ''}"
    if visit.status or visit.refused or {*visit.addresses} <= {*near}:
        return "name-astray", f"{said}, and {public.app} is well on its slices"
    return "name-unasked", f"{said}: this machine may have no way there"


def _said(code: int) -> str:
    return f"answers {code}" if code else "does not answer"


def url(address: str, port: int, scheme: str = "http") -> str:
    """Given an address of a slice and a port, return the URL of what answers there, without a path."""
    return f"{scheme}://{f'[{address}]' if ':' in address else address}:{port}"
