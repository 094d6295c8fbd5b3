"""Firewalls on a real slice: who gets through, what is seen when rules are gone, and what is left when it is removed."""

import socket

import pytest
from on_slice import Answer, OnSlice
from releases import the_step

from tfheal.core.resources import Step

pytestmark = pytest.mark.lab

RULES = "/etc/tfheal/nftables.d/tfheal-notes-web.nft"
TABLE = "inet tfheal-notes-web"
BOOT = "tfheal-firewall.service"
LISTENER = """[Unit]
[Socket]
ListenStream=8099
Accept=yes
MaxConnections=64
"""


@pytest.fixture(autouse=True)
def _clean(machine: OnSlice) -> None:
    """Begin each test without what another left, with a port of the slice that answers."""
    machine.do(
        f"""nft flush ruleset
        systemctl disable -q --now {BOOT} 2>/dev/null || :
        rm -rf /etc/tfheal /var/lib/tfheal/firewall /etc/systemd/system/{BOOT}
        systemctl daemon-reload
        printf %s '{LISTENER}' >/run/systemd/system/trial.socket
        printf '[Service]\\nExecStart=/bin/echo hello\\nStandardOutput=socket\\n' >/run/systemd/system/trial@.service
        systemctl daemon-reload
        systemctl start trial.socket"""
    )


def a_firewall(*peers: str, name: str = "tfheal-notes-web", port: int = 8099) -> Step:
    """Return the step of a firewall that opens one port to some peers."""
    return the_step({"kind": "firewall", "name": name, "allow": [{"port": port, "peers": list(peers)}]})


def gets_through(machine: OnSlice) -> bool:
    """Return whether this machine, which is the other end of the slice's wire, is answered on the port."""
    address = machine.ssh[-1].removeprefix("root@")
    try:
        with socket.create_connection((address, 8099), timeout=1) as wire:
            return wire.recv(5) == b"hello"
    except OSError:
        return False


def us(machine: OnSlice) -> str:
    """Return the address under which the slice sees this machine."""
    return machine.do("echo $SSH_CLIENT").split()[0]


def test_only_the_named_peers_get_through(machine: OnSlice) -> None:
    """We do when we are named, by address or by network; others do not; the slice itself always does."""
    assert gets_through(machine)
    machine.done(a_firewall("fd00:dead::1", "192.0.2.1"))
    assert not gets_through(machine)
    assert machine.do("curl -s --http0.9 --max-time 2 http://[::1]:8099/ || :").startswith("hello")
    machine.done(a_firewall(us(machine)))
    assert gets_through(machine)
    machine.done(a_firewall(f"{us(machine)}/64", "fd00:dead::/32"))
    assert gets_through(machine)
    machine.done(a_firewall(" "))
    assert not gets_through(machine)
    machine.done(a_firewall())
    assert gets_through(machine)


@pytest.mark.parametrize(
    ("damage", "detail"),
    [
        ("nft flush ruleset", "the table is not loaded"),
        (f"nft delete table {TABLE}", "the table is not loaded"),
        (f"nft flush chain {TABLE} input", "the loaded rules differ"),
        (f"nft insert rule {TABLE} input accept", "the loaded rules differ"),
        (f"rm {RULES}", "rules file: missing"),
        (f"echo >>{RULES}", "rules file: content differs"),
        ("rm -r /var/lib/tfheal/firewall", "the loaded rules differ"),
        (f"systemctl disable -q {BOOT}", "it is not loaded at boot"),
        (f"rm /etc/systemd/system/{BOOT}; systemctl daemon-reload", "it is not loaded at boot"),
    ],
)
def test_a_firewall_is_put_back(machine: OnSlice, damage: str, detail: str) -> None:
    """Whatever part of it was taken away; and then it holds again."""
    step = a_firewall("192.0.2.1")
    machine.done(step)
    machine.heals(step, damage, detail)
    assert not gets_through(machine)


def test_no_other_table_is_touched(machine: OnSlice) -> None:
    """The owner's own rules stay as they are, through making, healing and removing."""
    machine.do("nft add table inet theirs; nft 'add chain inet theirs input { type filter hook input priority 5; }'")
    theirs = machine.do("nft list table inet theirs")
    step = a_firewall("192.0.2.1")
    machine.done(step)
    machine.heals(step, f"nft delete table {TABLE}", "not loaded")
    assert machine.remove(step) == Answer(0, "")
    assert machine.do("nft list ruleset") == theirs


def test_rules_come_back_at_boot_and_with_the_service_of_nftables(machine: OnSlice) -> None:
    """The boot unit loads every file; a restart of Debian's own service, which flushes all, brings ours back."""
    step = a_firewall("192.0.2.1")
    machine.done(step)
    machine.do(f"nft flush ruleset; systemctl restart {BOOT}")
    machine.is_ok(step)
    # systemctl waits for its own job alone: ours follows it a moment later.
    followed = f"while systemctl list-jobs | grep -q {BOOT}; do sleep 0.1; done"
    machine.do(f"systemctl start nftables; systemctl restart nftables; {followed}")
    machine.is_ok(step)
    machine.do("systemctl stop nftables")


def test_a_broken_file_of_another_does_not_keep_ours_from_loading(machine: OnSlice) -> None:
    """Each file is loaded by itself, and the failure shows."""
    step = a_firewall("192.0.2.1")
    machine.done(step)
    machine.do(f"echo garbage >/etc/tfheal/nftables.d/aaa.nft; nft flush ruleset; systemctl restart {BOOT} || :")
    machine.is_ok(step)
    assert machine.do(f"systemctl is-failed {BOOT}") == "failed\n"


def test_a_slice_without_nft_is_unknown(machine: OnSlice) -> None:
    """It cannot be asked, and it says what is missing."""
    machine.do("mv /usr/sbin/nft /usr/sbin/nft.away")
    try:
        answer = machine.check(a_firewall())
        assert (answer.status, "nft is not installed" in answer.said) == (2, True)
        machine.refuses(a_firewall(), "nft is not installed")
    finally:
        machine.do("mv /usr/sbin/nft.away /usr/sbin/nft")


def test_the_last_firewall_takes_the_boot_unit_with_it(machine: OnSlice) -> None:
    """While another is there the unit stays; then nothing is left, and removing once more is nothing."""
    first, second = a_firewall(), a_firewall(name="tfheal-other-db", port=5432)
    machine.done(first)
    machine.done(second)
    assert machine.remove(first) == Answer(0, "")
    machine.is_ok(second)
    assert machine.remove(second) == Answer(0, "")
    assert machine.remove(second) == Answer(0, "")
    assert machine.do(f"nft list ruleset; ls -d /etc/tfheal /etc/systemd/system/{BOOT} 2>/dev/null || :") == ""
    assert "not-found" in machine.do(f"systemctl show -p LoadState {BOOT}")


def test_a_firewall_killed_at_every_command_is_finished_by_the_next_run(machine: OnSlice) -> None:
    """At no point is the port open to those that were shut out before."""
    old, new = a_firewall("192.0.2.1"), a_firewall("192.0.2.2")
    before = old.apply.replace("exec 2>&1", "")
    shut = f"nft list table {TABLE} | grep -q 'tcp dport 8099 drop'"
    assert machine.killed_everywhere(new, before, shut, first=2, every=5) > 10
