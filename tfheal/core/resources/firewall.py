"""An nftables table of the instance alone: its ports are open to the named peers and to nobody else.

What is loaded is compared with what nft itself said right after loading, so a flushed or edited table is seen. At boot
a small unit loads the tables again; it is made with the first of them and goes with the last.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from tfheal.base.errors import UsageError
from tfheal.core.resources.place import COMPARE, PLACE
from tfheal.core.resources.step import Step, apply_script, check_script, digest, packed
from tfheal.model import paths
from tfheal.model.release import Release
from tfheal.model.resources import Allow, Firewall, resource_id

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
AnyNetwork = TypeVar("AnyNetwork", ipaddress.IPv4Network, ipaddress.IPv6Network)

_TABLE: Final = re.compile(r"[a-z][a-z0-9_-]{0,100}")
_LAST_PORT: Final = 65_535
_FOLDER: Final = "/etc/tfheal/nftables.d"
_BOOT_UNIT: Final = """\
[Unit]
Description=Firewall tables of tfheal
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
After=nftables.service local-fs.target
PartOf=nftables.service
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'for file in /etc/tfheal/nftables.d/*.nft; do nft -f "$$file" || failed=1; done; exit $${failed:-0}'

[Install]
WantedBy=multi-user.target
"""

_LIVE: Final = r"""
live() { nft -s list table inet "$table" 2>&1; }
"""
_CHECK: Final = f"""{COMPARE}{_LIVE}
command -v nft >/dev/null || unknown "nft is not installed: the playbook's packages name nftables"
compare "$path" "$digest" 600 root:root no "rules file"
if loaded=$(live); then
    [ -e "$saved" ] && [ "$loaded" = "$(cat -- "$saved")" ] || problem "the loaded rules differ"
else
    case $loaded in *"No such file"*) problem "the table is not loaded" ;; *) unknown "$loaded" ;; esac
fi
systemctl --quiet is-enabled tfheal-firewall.service 2>/dev/null || problem "it is not loaded at boot"
verdict
"""
_APPLY: Final = f"""{PLACE}{_LIVE}
command -v nft >/dev/null || fail "nft is not installed: the playbook's packages name nftables"
mkdir -p -- "${{path%/*}}" "${{saved%/*}}"
printf %s "$content" | base64 -d | nft -c -f - || fail "nft does not take the rules"
printf %s "$content" | base64 -d | place "$path" 600 root root "$digest"
nft -f "$path"
live | place "$saved" 600 root root
unit=/etc/systemd/system/tfheal-firewall.service
sum=none
[ ! -f "$unit" ] || sum=$(sha256sum <"$unit")
if [ "${{sum%% *}}" != "$unit_digest" ]; then
    printf %s "$unit_content" | base64 -d | place "$unit" 644 root root "$unit_digest"
    systemctl daemon-reload
fi
systemctl --quiet enable tfheal-firewall.service
systemctl start tfheal-firewall.service || echo "tfheal-firewall.service did not start"
"""
_REMOVE: Final = f"""{_LIVE}
rm -rf -- "$path" "$saved" "${{path%/*}}/.tfheal-new-${{path##*/}}" "${{saved%/*}}/.tfheal-new-${{saved##*/}}"
if command -v nft >/dev/null && live >/dev/null; then nft delete table inet "$table"; fi
[ -d "${{path%/*}}" ] || exit 0
if [ -z "$(find "${{path%/*}}" -name '*.nft' -print -quit)" ]; then
    [ ! -e /etc/systemd/system/tfheal-firewall.service ] || systemctl --quiet disable --now tfheal-firewall.service || :
    rm -f /etc/systemd/system/tfheal-firewall.service
    systemctl daemon-reload
    rmdir --ignore-fail-on-non-empty -- "${{path%/*}}" /etc/tfheal "${{saved%/*}}"
fi
"""


def step(firewall: Firewall, release: Release) -> Step:
    """Given a rendered firewall, return its step; raise UsageError for a port or peer that is none."""
    if not _TABLE.fullmatch(firewall.name):
        raise UsageError(f"{firewall.name!r} is not a name for a table", where=str(release.instance))
    content = ruleset(firewall).encode()
    saved = f"{paths.STATE}/firewall/{firewall.name}"
    place = {"table": firewall.name, "path": f"{_FOLDER}/{firewall.name}.nft", "saved": saved}
    values = place | {"digest": digest(content)}
    unit = {"unit_content": packed(_BOOT_UNIT.encode()), "unit_digest": digest(_BOOT_UNIT.encode())}
    return Step(
        id=resource_id(firewall),
        check=check_script(_CHECK, **values),
        apply=apply_script(_APPLY, **values, **unit, content=packed(content)),
        remove=apply_script(_REMOVE, **place),
        timeout=60.0,
    )


def ruleset(firewall: Firewall) -> str:
    """Given a firewall, return the nft file that replaces its table in one transaction and touches no other."""
    rules = "".join(f"\t\t{rule}\n" for rule in _rules(firewall.allow))
    name = firewall.name
    return (
        f"table inet {name}\ndelete table inet {name}\ntable inet {name} {{\n\tchain input {{\n"
        f"\t\ttype filter hook input priority filter; policy accept;\n{rules}\t}}\n}}\n"
    )


def _rules(openings: Iterable[Allow]) -> Iterator[str]:
    merged: dict[tuple[str, int], list[Network] | None] = {}
    for opening in openings:
        key, peers = (opening.protocol, _port(opening.port)), _peers(opening)
        known = merged.get(key, [])
        merged[key] = None if peers is None or known is None else known + peers
    for (protocol, port), peers in merged.items():
        match = f"{protocol} dport {port}"
        if peers is None:
            yield f"{match} accept"
            continue
        yield f'iif "lo" {match} accept'
        yield from _accepted(match, "ip", [peer for peer in peers if isinstance(peer, ipaddress.IPv4Network)])
        yield from _accepted(match, "ip6", [peer for peer in peers if isinstance(peer, ipaddress.IPv6Network)])
        yield f"{match} drop"


def _accepted(match: str, family: str, peers: list[AnyNetwork]) -> Iterator[str]:
    if peers:
        written = ", ".join(str(peer) for peer in ipaddress.collapse_addresses(peers))
        yield f"{family} saddr {{ {written} }} {match} accept"


def _peers(opening: Allow) -> list[Network] | None:
    """Return the networks that an opening names, None for everybody; a template may have named none, which is nobody."""
    if not opening.peers:
        return None
    return networks(opening.peers)


def networks(peers: Iterable[str]) -> list[Network]:
    """Given addresses and networks as written, several in one text too, return them; raise UsageError for none of these."""
    return [_network(word) for peer in peers for word in peer.replace(",", " ").split()]


def _network(written: str) -> Network:
    try:
        return ipaddress.ip_network(written.strip("[]"), strict=False)
    except ValueError as error:
        raise UsageError(
            f"{written!r} is no address or network", hint="as 10.0.0.7, 10.0.0.0/24 or fd00::/64"
        ) from error


def _port(written: int | str) -> int:
    port = int(written) if re.fullmatch("[0-9]+", str(written)) else 0
    if not 1 <= port <= _LAST_PORT:
        raise UsageError(f"{written!r} is no port", hint="a number from 1 to 65535")
    return port
