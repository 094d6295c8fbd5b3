"""The rules of a firewall as nft reads them."""

import pytest

from tfheal.base.errors import UsageError
from tfheal.core.resources.firewall import ruleset
from tfheal.model.resources import Allow, Firewall


def rules(*allow: dict[str, object]) -> list[str]:
    """Return the rules that these openings become, without the frame around them."""
    firewall = Firewall.model_validate({"kind": "firewall", "name": "tfheal-a-b", "allow": allow})
    return [line.strip() for line in ruleset(firewall).splitlines() if line.startswith("\t\t")][1:]


@pytest.mark.parametrize(
    ("allow", "wanted"),
    [
        ([{"port": 80}], ["tcp dport 80 accept"]),
        ([{"port": "53", "protocol": "udp"}], ["udp dport 53 accept"]),
        (
            [{"port": 80, "peers": ["10.1.2.3"]}],
            ['iif "lo" tcp dport 80 accept', "ip saddr { 10.1.2.3/32 } tcp dport 80 accept", "tcp dport 80 drop"],
        ),
        (
            [{"port": 80, "peers": ["fd00::1, 10.0.0.0/8 10.1.2.3"]}],
            [
                'iif "lo" tcp dport 80 accept',
                "ip saddr { 10.0.0.0/8 } tcp dport 80 accept",
                "ip6 saddr { fd00::1/128 } tcp dport 80 accept",
                "tcp dport 80 drop",
            ],
        ),
        ([{"port": 80, "peers": [" "]}], ['iif "lo" tcp dport 80 accept', "tcp dport 80 drop"]),
        ([{"port": 80, "peers": ["10.0.0.1"]}, {"port": 80}], ["tcp dport 80 accept"]),
        ([{"port": 80}, {"port": 80, "peers": ["10.0.0.1"]}], ["tcp dport 80 accept"]),
        (
            [{"port": 80, "peers": ["10.0.0.2"]}, {"port": 80, "peers": ["10.0.0.3/31"]}],
            ['iif "lo" tcp dport 80 accept', "ip saddr { 10.0.0.2/31 } tcp dport 80 accept", "tcp dport 80 drop"],
        ),
        (
            [{"port": 1, "peers": ["10.0.0.2"]}, {"port": 1, "protocol": "udp"}],
            [
                'iif "lo" tcp dport 1 accept',
                "ip saddr { 10.0.0.2/32 } tcp dport 1 accept",
                "tcp dport 1 drop",
                "udp dport 1 accept",
            ],
        ),
    ],
)
def test_openings_become_rules(allow: list[dict[str, object]], wanted: list[str]) -> None:
    """Named peers and the machine itself come through, others do not; peers that overlap are merged."""
    assert rules(*allow) == wanted


@pytest.mark.parametrize("port", ["0", "65536", "http", "80; drop", "", "-1", "٣"])
def test_what_is_no_port_is_refused(port: str) -> None:
    """A port is a number from 1 to 65535."""
    with pytest.raises(UsageError, match="no port"):
        ruleset(Firewall.model_construct(kind="firewall", name="x", allow=(_opening(port),)))


def _opening(port: str) -> object:

    return Allow.model_construct(port=port, protocol="tcp", peers=())


@pytest.mark.parametrize("peer", ["example.org", "10.0.0.256", "10.0.0.0/33", "fd00::/129", "}", "any"])
def test_what_is_no_peer_is_refused(peer: str) -> None:
    """A peer is an address or a network; nothing else can reach the rules."""
    with pytest.raises(UsageError, match="no address or network"):
        rules({"port": 80, "peers": [peer]})


def test_the_file_replaces_its_own_table_and_no_other() -> None:
    """The table is added so that deleting it never fails, then deleted and made anew, all in one transaction."""
    text = ruleset(Firewall.model_validate({"kind": "firewall", "name": "tfheal-a-b", "allow": [{"port": 80}]}))
    assert text.splitlines()[:3] == ["table inet tfheal-a-b", "delete table inet tfheal-a-b", "table inet tfheal-a-b {"]
    assert "flush" not in text
