"""The network of a lab: one bridge, one way out for IPv4, and the kernel settings that this takes, put back at the end."""

import json
from contextlib import suppress
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import Any, Final, Literal, get_args

from tfheal.base.errors import ActionFailed
from tfheal.lab import host, places, record

# What of the packets to and from a slice is dropped: all, those to its sshd, those that it sends itself, or those between
# it and other slices. So the sets of nftables are called.
Cut = Literal["cut", "cut_ssh", "cut_out", "cut_peers"]
CUTS: Final[tuple[Cut, ...]] = get_args(Cut)
_SSH: Final = 22
_FORWARD: Final = "net.ipv4.ip_forward"
_INOTIFY: Final = "fs.inotify.max_user_instances"
_IPV4_FAMILIES: Final = ("ip", "inet")
_INOTIFY_NEEDED: Final = 4_096  # a slice holds about seven; the usual 128 is spent by fifteen slices


def free_network4(lab: str) -> str:
    """Return an IPv4 network (A.B.C of a /24) that neither this machine nor another lab uses."""
    taken = _networks_in_use()
    for candidate in places.candidates4(lab):
        if not any(IPv4Network(f"{candidate}.0/24").overlaps(network) for network in taken):
            return candidate
    raise ActionFailed("no free IPv4 network for the lab", where="this machine", hint="take down another lab")


def _networks_in_use() -> list[IPv4Network]:
    routes = json.loads(host.run("ip", "-json", "-4", "route", "show", "table", "all") or b"[]")
    written = {route.get("dst", "default") for route in routes} - {"default"}
    others = {f"{kept.network4}.0/24" for name in record.lab_names() if (kept := record.load_lab(name))}
    networks = []
    for text in written | others:
        with suppress(ValueError):
            network = ip_network(text)
            if isinstance(network, IPv4Network):
                networks.append(network)
    return networks


def raise_up(lab: str, network4: str) -> None:
    """Make bridge, addresses, rules and kernel settings of a lab, where missing."""
    _settle()
    bridge = places.bridge(lab)
    if not _is_there(bridge):
        host.run("ip", "link", "add", bridge, "type", "bridge")
    there = host.run("ip", "-oneline", "address", "show", "dev", bridge).decode()
    if f" {places.gateway4(network4)}/24 " not in there:
        host.run("ip", "address", "add", f"{places.gateway4(network4)}/24", "dev", bridge)
    if f" {places.gateway6(lab)}/64 " not in there:
        host.run("ip", "address", "add", f"{places.gateway6(lab)}/64", "dev", bridge, "nodad")
    host.run("ip", "link", "set", bridge, "up")
    host.run("nft", "-f", "-", stdin=_rules(lab, network4).encode())
    _withdraw(lab)
    _admit(lab)


def _admit(lab: str) -> None:
    """Let a lab's packets through the other firewalls of this machine, which may drop all that is forwarded."""
    for found in _listed("chains"):
        chain = found.get("chain", {})
        if (
            chain.get("hook") != "forward"
            or chain["family"] not in _IPV4_FAMILIES
            or chain["table"] == places.table(lab)
        ):
            continue
        for direction in ("iifname", "oifname"):
            place = f"{chain['family']} {chain['table']} {chain['name']}"
            script = f'insert rule {place} {direction} "{places.bridge(lab)}" accept comment "{places.table(lab)}"'
            host.run("nft", "-f", "-", stdin=script.encode())


def _withdraw(lab: str) -> None:
    """Remove the rules of `_admit`, known by their comment."""
    for found in _listed("ruleset"):
        rule = found.get("rule", {})
        if rule.get("comment") == places.table(lab):
            place = (rule["family"], rule["table"], rule["chain"])
            host.run("nft", "delete", "rule", *place, "handle", str(rule["handle"]))


def _listed(what: str) -> list[dict[str, Any]]:
    found = json.loads(host.run("nft", "--json", "--handle", "list", what))
    return [each for each in found["nftables"] if isinstance(each, dict)]


def _rules(lab: str, network4: str) -> str:
    """Return the nftables script of a lab; run twice it is as run once, and partitions stay."""
    table, bridge, inside = places.table(lab), places.bridge(lab), f"{network4}.0/24"
    sets = "\n".join(f"add set bridge {table} {cut} {{ type ifname; }}" for cut in CUTS)
    return f"""
add table inet {table}
add chain inet {table} postrouting {{ type nat hook postrouting priority srcnat; }}
flush chain inet {table} postrouting
add rule inet {table} postrouting ip saddr {inside} oifname != "{bridge}" masquerade
add table bridge {table}
{sets}
add chain bridge {table} input {{ type filter hook input priority -200; }}
add chain bridge {table} forward {{ type filter hook forward priority -200; }}
add chain bridge {table} output {{ type filter hook output priority -200; }}
flush chain bridge {table} input
flush chain bridge {table} forward
flush chain bridge {table} output
add rule bridge {table} input iifname @cut drop
add rule bridge {table} forward iifname @cut drop
add rule bridge {table} forward oifname @cut drop
add rule bridge {table} output oifname @cut drop
add rule bridge {table} forward oifname @cut_ssh tcp dport {_SSH} drop
add rule bridge {table} output oifname @cut_ssh tcp dport {_SSH} drop
add rule bridge {table} input iifname @cut_out drop
add rule bridge {table} forward iifname @cut_out drop
add rule bridge {table} forward iifname @cut_peers drop
add rule bridge {table} forward oifname @cut_peers drop
"""


def cut(lab: str, name: str, what: Cut = "cut") -> None:
    """Drop packets to and from a slice: all, or some of them."""
    element = f"{{ {places.link(lab, name)} }}"
    host.run("nft", "add", "element", "bridge", places.table(lab), what, element)


def join(lab: str, name: str, what: Cut = "cut") -> None:
    """Undo `cut`."""
    if is_cut(lab, name, what):
        element = f"{{ {places.link(lab, name)} }}"
        host.run("nft", "delete", "element", "bridge", places.table(lab), what, element)


def is_cut(lab: str, name: str, what: Cut = "cut") -> bool:
    """Return whether those packets of a slice are dropped."""
    listed = host.ask("nft", "list", "set", "bridge", places.table(lab), what)
    return f'"{places.link(lab, name)}"' in listed.stdout.decode()


def take_down(lab: str) -> None:
    """Remove bridge and rules of a lab."""
    # Where a lab never came about, its programs may be missing, and then there is nothing of it either.
    if host.present("nft"):
        _withdraw(lab)
        for family in ("inet", "bridge"):
            if host.ask("nft", "list", "table", family, places.table(lab)).status == 0:
                host.run("nft", "delete", "table", family, places.table(lab))
    if host.present("ip") and _is_there(places.bridge(lab)):
        host.run("ip", "link", "delete", places.bridge(lab))


def _is_there(interface: str) -> bool:
    return host.ask("ip", "link", "show", "dev", interface).status == 0


def _settle() -> None:
    """Write down the kernel settings as they are found, then change them."""
    wanted = {}
    if _read(_FORWARD) != "1":
        wanted[_FORWARD] = "1"
    if int(_read(_INOTIFY)) < _INOTIFY_NEEDED:
        wanted[_INOTIFY] = str(_INOTIFY_NEEDED)
    found = record.read(places.SYSCTLS) or {}
    if wanted:
        touched = {*wanted, *(_forwardings() if _FORWARD in wanted else ())}
        record.write(places.SYSCTLS, {**{name: _read(name) for name in touched}, **found})
    for name, value in wanted.items():
        _setting(name).write_text(value)


def _forwardings() -> list[str]:
    """Return the settings that the kernel changes along when forwarding is switched."""
    interfaces = [path.name for path in Path("/proc/sys/net/ipv4/conf").iterdir()]
    return [f"net/ipv4/conf/{name}/{key}" for name in interfaces for key in ("forwarding", "accept_redirects")]


def put_settings_back() -> None:
    """Put the kernel settings back as they were found before the first lab."""
    found = record.read(places.SYSCTLS) or {}
    for name in sorted(found, key=lambda name: name != _FORWARD):
        with suppress(FileNotFoundError):
            if _read(name) != found[name]:
                _setting(name).write_text(str(found[name]))
    places.SYSCTLS.unlink(missing_ok=True)


def _setting(name: str) -> Path:
    return Path("/proc/sys") / (name if "/" in name else name.replace(".", "/"))


def _read(name: str) -> str:
    return _setting(name).read_text().strip()
