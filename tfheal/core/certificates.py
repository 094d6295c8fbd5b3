"""Certificates at gateways: what is asked of a gateway's slice about them, when one is a finding, how one is got from here.

The slice gets and renews them by itself (`certificates.sh` of the playbook `gateway`), so that they live while we are away.
Only what has to be published in DNS takes two: the slice says what an authority asks for, and goes on once that is there.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, get_args

from tfheal.base import sh, untrusted
from tfheal.base.errors import ActionFailed, BadReply, Refused
from tfheal.base.moments import rfc3339
from tfheal.core.probe.script import PRELUDE, called_once, framed
from tfheal.model import paths
from tfheal.model.certificate import Certificate, CertificateSource
from tfheal.model.findings import Cause, Severity
from tfheal.model.release import InstanceName

CAP: Final = 1 << 20
LONGEST: Final = 900.0  # seconds for all names of a gateway
CHALLENGED: Final = 180.0  # seconds until an authority asks, and again until it is content
_SOON: Final = (
    21 * 86_400
)  # seconds; a certificate that holds for less than this, and a quarter of its life, was not renewed
_OF_ALL: Final = "given"  # the source of a certificate that is of all names, and what a slice calls it
_SOURCES: Final = "|".join(get_args(CertificateSource))
_SAID: Final = re.compile(
    rf"certificate ([a-z0-9.-]{{1,253}}) ({_SOURCES}) ([0-9]{{1,12}}) ([0-9]{{1,12}}) (yes|no) ([0-9]{{1,12}})(?: ([A-Za-z0-9+/=]{{0,2000}}))?"
)
_CHALLENGE: Final = re.compile(r"challenge ([A-Za-z0-9_-]{43})")  # a digest of SHA-256 (RFC 8555, section 8.4)
_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]{100,16000}-----END CERTIFICATE-----")
_SAY: Final = """\
say() { printf '%s %s\\n' "$marker" "$*"; }
packed() { printf %s "$1" | base64 -w 0; }
said() {
  why=$(sed -n 3p "$kept/$host.failed" 2>/dev/null)
  if systemctl is-active --quiet "$unit"; then
    systemctl stop "$unit"
    why='it took too long'
  fi
  # Who was killed says nothing, and is not done for that.
  [ -n "$why" ] || ! sh "$program" tell | grep -q "^$host [a-z]* [0-9]* [0-9]* yes " || why='it ended without saying why'
  if [ -n "$why" ]; then say "failed $(packed "$why")"; else say done; fi
}
"""
_RENEW: Final = """\
sh "$program" renew now 2>&1 | head -c 2000 >&2
"""
_START: Final = """\
systemctl stop "$unit" 2>/dev/null
rm -f "$run/challenge" "$run/published"
systemd-run --quiet --collect --unit="$unit" sh "$program" publish "$host" || { say "failed $(packed 'it could not be started')"; exit; }
waited=0
until [ -s "$run/challenge" ]; do
  systemctl is-active --quiet "$unit" && [ "$waited" -lt 150 ] || { said; exit; }
  printf . >&2
  sleep 1
  waited=$((waited + 1))
done
say "challenge $(sed -n '1s/.* //p' "$run/challenge")"
"""
_FINISH: Final = """\
: >"$run/published"
waited=0
while systemctl is-active --quiet "$unit" && [ "$waited" -lt 150 ]; do
  printf . >&2
  sleep 1
  waited=$((waited + 1))
done
said
"""


def asked(gateway: InstanceName) -> str:
    """Given a gateway, return the lines of a script that tell of its certificates; one without TLS tells of none."""
    return f'program={_program(gateway)}\n[ ! -x "$program" ] || sh "$program" tell | while read -r line; do say "certificate $line"; done\n'


def question(gateway: InstanceName, marker: str) -> str:
    """Given a gateway, return the script that tells of its certificates and nothing else."""
    return called_once(f"{_head(gateway, '', marker)}{asked(gateway)}say end\n", marker)


def renewed(gateway: InstanceName, marker: str) -> str:
    """Given a gateway whose slice gets certificates by itself, return the script that has it get now what is due."""
    return called_once(f"{_head(gateway, '', marker)}{_held()}{_RENEW}{asked(gateway)}say end\n", marker)


def started(gateway: InstanceName, host: str, marker: str) -> str:
    """Given a gateway and a name, return the script that asks an authority for its certificate, and tells what that wants published."""
    return called_once(f"{_head(gateway, host, marker)}{_held()}{_START}", marker)


def finished(gateway: InstanceName, host: str, marker: str) -> str:
    """Given a gateway and a name of which all is published, return the script that goes on, and tells how it ended."""
    return called_once(f"{_head(gateway, host, marker)}{_FINISH}", marker)


def rooted(gateway: InstanceName, marker: str) -> str:
    """Given a gateway with an authority of its own, return the script that tells that one's certificate."""
    return called_once(f'{_head(gateway, "", marker)}say "root $(sh {_program(gateway)} root | base64 -w 0)"\n', marker)


def _head(gateway: InstanceName, host: str, marker: str) -> str:
    stem = paths.unit(gateway.app, gateway.component).removesuffix(".service")
    return (
        f"{PRELUDE}marker={marker} program={_program(gateway)} run=/run/{stem}-certificates\n"
        f"unit={stem}-challenge.service host={sh.quote(host)}\n"
        f"kept={paths.home(gateway.app, gateway.component)}/certificates\n{_SAY}"
    )


def _held() -> str:
    return f"[ ! -e {paths.HANDS_OFF} ] || {{ say paused; exit; }}\n"


def _program(gateway: InstanceName) -> str:
    return f"{paths.config(gateway.app, gateway.component)}/certificates.sh"


def certificates(reply: bytes, gateway: InstanceName, hosts: Collection[str], marker: str) -> tuple[Certificate, ...]:
    """Given a reply and the names that are led through a gateway, return the certificates of these that it tells of; raise Refused where the owner said stop.

    The slice is its owner's: what it says of a name of somebody else is nothing, else we would prove that name to an authority for it.
    """
    found: dict[str, Certificate] = {}
    for rest in framed(reply, marker):
        line = untrusted.line(rest, 4_000)
        if line == "paused":
            raise Refused("certificates are not renewed", where=str(gateway), why="it is paused by the owner")
        if (match := _SAID.fullmatch(line)) and (match[1] in hosts or match[1] == match[2] == _OF_ALL):
            why = untrusted.line(sh.unencoded((match[7] or "").encode()) or b"", 300)
            source: CertificateSource = next(one for one in get_args(CertificateSource) if one == match[2])
            begins, ends, again = (untrusted.whole(match[number], untrusted.LATEST) for number in (3, 4, 6))
            if begins is None or ends is None or again is None:
                continue
            due = match[5] == "yes" and source != _OF_ALL  # what is given is not got
            found.setdefault(match[1], Certificate(match[1], source, begins, ends, due, again, why))
    return tuple(found.values())


def challenge(reply: bytes, gateway: InstanceName, marker: str) -> str | None:
    """Given the reply to a start, return the value that an authority wants published; raise ActionFailed with why it wants none.

    None: there is a certificate already, as that authority saw not long ago that the name is ours, and asked for nothing.
    """
    for rest in framed(reply, marker):
        if match := _CHALLENGE.fullmatch(untrusted.line(rest, 400)):
            return match[1]
    ended(reply, gateway, marker)
    return None


def ended(reply: bytes, gateway: InstanceName, marker: str) -> None:
    """Given the reply of a finish, raise ActionFailed with why there is no certificate, or Refused; nothing if there is one."""
    for rest in framed(reply, marker):
        word, _, more = untrusted.line(rest, 4_000).partition(" ")
        if word == "paused":
            raise Refused("certificates are not renewed", where=str(gateway), why="it is paused by the owner")
        if word == "failed":
            why = untrusted.line(sh.unencoded(more.encode()) or b"", 300)
            raise ActionFailed("there is no new certificate", where=str(gateway), why=why)
        if word == "done":
            return
    raise BadReply("the gateway's slice did not say how it ended", where=str(gateway))


def root(reply: bytes, gateway: InstanceName, marker: str) -> str:
    """Given the reply to the question for it, return the certificate of a gateway's own authority; raise Refused if it has none."""
    for rest in framed(reply, marker):
        word, _, more = rest.decode("ascii", "replace").partition(" ")
        text = (sh.unencoded(more.encode()) or b"").decode("ascii", "replace").strip() if word == "root" else ""
        if _PEM.fullmatch(text):
            return text
    raise Refused("it has no authority of its own", where=str(gateway), hint="settings: {tls: internal} makes one")


@dataclass(frozen=True, slots=True)
class Told:
    """What is wrong with a certificate, or is about to be."""

    cause: Cause
    severity: Severity
    detail: str


def told(found: Iterable[Certificate], now: datetime) -> Iterator[Told]:
    """Given certificates and the time, yield what is wrong with them: none there, expired, or not renewed although it should be."""
    at = int(now.timestamp())
    for one in found:
        name = "the certificate" if one.source == "given" else f"the certificate of {one.host}"
        why = f": {one.why}" if one.why else ""
        until = rfc3339(datetime.fromtimestamp(one.ends, UTC))
        again = f", tried again at {rfc3339(datetime.fromtimestamp(one.again, UTC))}" if one.again > at else ""
        if one.source == "none":
            detail = f"{one.host} has no certificate yet, and shows one that no browser trusts{why}{again}"
            yield Told("certificate-missing", "warning", detail)
        elif one.ends <= at:
            yield Told("certificate-expired", "critical", f"{name} has expired at {until}{why}{again}")
        elif one.ends - at < (_SOON if one.source == "given" else min(_SOON, (one.ends - one.begins) // 4)):
            yield Told("certificate-expiring", "warning", f"{name} expires at {until}, and was not renewed{why}{again}")
