"""Certificates at gateways where it is not plain sailing: several gateways, what HAProxy did not hear, and what it does not take."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import authority
import pytest
from documents import document
from running_lab import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.long]
PLAYBOOK = Path(__file__).parents[1] / "benchmark/talk"
HOST = "talk.acme.example"
EDGE = "app: edge\nowner: lab\nplaybook: gateway\nversion: debian\nplace: {gateway: [s2, s3]}\nheal: {reflex: off}\n"
TALK = f"""\
app: talk
owner: lab
playbook: talk
version: "1"
hostname: {HOST}
route: {{gateway: edge}}
place: {{web: [s1]}}
heal: {{reflex: off}}
"""
KEPT = "/opt/tfheal/edge/gateway/certificates"
PROGRAM = "/opt/tfheal/edge/gateway/config/certificates.sh"
ON_DISK = f"openssl x509 -noout -serial -in {KEPT}/{HOST}.pem"
SHOWN = f"openssl s_client -connect [::1]:443 -servername {HOST} </dev/null 2>/dev/null | openssl x509 -noout -serial"
GONE = "systemctl stop authority authority-names; rm -rf /srv/authority"


def made(bits: str) -> str:
    """Return a script that makes a certificate for the name in /tmp/new, with a key of so many bits of RSA."""
    subject = f"-subj /CN=new -addext subjectAltName=DNS:{HOST} -keyout key -out pem"
    return f"mkdir -p /tmp/new && cd /tmp/new && openssl req -x509 -newkey rsa:{bits} -nodes -days 90 {subject} 2>/dev/null"


@pytest.fixture(scope="module")
def edge(fleet: RunningLab) -> Iterator[RunningLab]:
    """Have an app on s1, two gateways that lead to it, and an authority on s1 that finds its name at one of them alone."""
    root = fleet.workspace
    shutil.copytree(PLAYBOOK, root / "playbooks/talk")
    (root / "apps").mkdir(exist_ok=True)
    (root / "apps/talk.yaml").write_text(TALK)
    try:
        settings = authority.begun(fleet, "s1", "s3")
        (root / "apps/edge.yaml").write_text(f"{EDGE}settings: {{largest: 1, {settings}}}\n")
        fleet.run("deploy", "talk", "edge")
        yield fleet
    finally:
        fleet.on("s1", GONE, check=None)
        fleet.run("remove", "talk", "edge", "--data", "--yes", check=None)
        for name in ("apps/edge.yaml", "apps/talk.yaml"):
            (root / name).unlink(missing_ok=True)
        shutil.rmtree(root / "playbooks/talk")


def test_any_gateway_answers_the_authority(edge: RunningLab) -> None:
    """The name leads to one of two gateways; both get certificates of their own, as each asks the other for an answer that it does not have."""
    document(edge, "gateway", "certificates", "--renew")
    seen = document(edge, "gateway", "certificates")["gateways"]
    assert {one["gateway"]: [each["by"] for each in one["certificates"]] for one in seen} == {
        "edge/gateway@s2": ["acme"],
        "edge/gateway@s3": ["acme"],
    }
    assert edge.on("s2", SHOWN) != edge.on("s3", SHOWN)
    nobodys = f"curl -s -o /dev/null -w '%{{http_code}}' -H 'Host: {HOST}' http://[{edge.address('s3')}]/.well-known/acme-challenge/none"
    assert edge.on("s2", nobodys) == "404", "none asks on and on"


def test_what_stands_on_the_disk_is_shown(edge: RunningLab) -> None:
    """A run that was killed between the disk and HAProxy is made good by the next, though the certificate on the disk is not due; unless the owner says stop."""
    edge.on("s3", f"{made('2048')} && cat pem key >{KEPT}/{HOST}.pem")
    assert edge.on("s3", SHOWN) != edge.on("s3", ON_DISK)
    edge.on("s3", f"mkdir -p /etc/tfheal; touch /etc/tfheal/hands-off; sh {PROGRAM} renew; rm /etc/tfheal/hands-off")
    assert edge.on("s3", SHOWN) != edge.on("s3", ON_DISK)
    edge.on("s3", "systemctl start tfheal-edge-gateway-certificates")
    assert edge.on("s3", SHOWN) == edge.on("s3", ON_DISK)


def test_a_killed_renewal_is_in_the_way_of_none(edge: RunningLab) -> None:
    """Killed in the midst, as by a slice that loses its power, it leaves nothing that keeps the next one from the certificate."""
    before = edge.on("s3", ON_DISK)
    service = "tfheal-edge-gateway-certificates"
    midst = f"until [ -n \"$(find {KEPT}/acme/certs -name '*.csr' -newer /tmp/begun)\" ]; do sleep 0.02; done"
    edge.on(
        "s3",
        f"rm -f {KEPT}/{HOST}.from; touch /tmp/begun; systemctl start --no-block {service}; {midst}; systemctl kill -s KILL {service}",
    )
    assert edge.on("s3", ON_DISK) == before
    assert document(edge, "gateway", "certificates", "--renew")["renewals"] == [
        {"gateway": "edge/gateway@s3", "host": HOST, "failed": ""}
    ]
    assert edge.on("s3", ON_DISK) != before


@pytest.mark.parametrize("lost", ["accounts/*/account_key.pem", "accounts/*/account_id.json", "certs/*/cert-*.pem"])
def test_what_a_power_cut_leaves_empty_is_in_the_way_of_none(edge: RunningLab, lost: str) -> None:
    """What the client of the authority had not on the disk yet is made anew, and the next renewal gets a certificate."""
    document(edge, "gateway", "certificates", "--renew")
    before = edge.on("s3", ON_DISK)
    edge.on("s3", f"rm {KEPT}/{HOST}.from; cd {KEPT}/acme && stat {lost} && truncate -s 0 {lost}")
    assert [one["failed"] for one in document(edge, "gateway", "certificates", "--renew")["renewals"]] == [""]
    assert edge.on("s3", ON_DISK) != before


def test_what_haproxy_does_not_take_is_not_on_the_disk(edge: RunningLab) -> None:
    """Else it would not start again; what was there serves on, also after a restart."""
    before = edge.on("s3", ON_DISK)
    edge.on("s3", f"{made('512')}; sh {PROGRAM} deploy_cert {HOST} /tmp/new/key /tmp/new/pem /tmp/new/pem", check=1)
    assert "HAProxy did not take it" in edge.on("s3", f"cat {KEPT}/{HOST}.failed")
    edge.on("s3", "systemctl restart tfheal-edge-gateway")
    assert (edge.on("s3", ON_DISK), edge.on("s3", SHOWN)) == (before, before)
    edge.on("s3", f"rm {KEPT}/{HOST}.failed")


def test_no_key_is_read_by_others(edge: RunningLab) -> None:
    """Each file with a key is its owner's alone, in a folder in which the service itself makes nothing."""
    modes = edge.on("s3", f"stat -c %a:%U {KEPT} {KEPT}/*.pem {KEPT}/acme/accounts/*/*.pem").split()
    assert modes[0] == "750:root"
    assert {mode.partition(":")[0] for mode in modes[1:]} == {"600"}


def test_what_does_not_say_how_large_it_is_is_not_let_through(edge: RunningLab) -> None:
    """With a limit a request has to say its length, over HTTP/1.1 and HTTP/2."""
    there = f"--resolve {HOST}:443:[::1] https://{HOST}/upload"
    for version in ("--http1.1", "--http2"):
        ask = f"head -c 2000000 /dev/zero | curl -sk {version} -o /dev/null -w '%{{http_code}}' -T - {there}"
        assert edge.on("s3", ask, check=None) == "411"
        assert edge.on("s3", f"curl -sk {version} -d x {there}") == "1 bytes\n"
