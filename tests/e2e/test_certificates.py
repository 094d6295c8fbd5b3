"""A gateway that ends TLS, on real slices: by an authority of its own, by what its owner gives it, and by ACME from Debian's pebble."""

import contextlib
import re
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents import document, findings
from resolving import resolving
from running_lab import RunningLab
from talking import EDGE, talking
from talking import spec as talk_spec
from visitors import Visitors

pytestmark = pytest.mark.lab
HOST = "talk.acme.example"
KEPT = "/opt/tfheal/edge/gateway/certificates"
PROCESS = "systemctl show -P MainPID tfheal-edge-gateway; systemctl show -P ExecMainStartTimestamp tfheal-edge-gateway"
DUE = f"rm -f {KEPT}/{HOST}.from {KEPT}/{HOST}.failed"
SECRET = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IQ=="  # noqa: S105 (of a server that is made here)
# Names for the authority come from a server of its own, which leads all of them to the gateway; or from Knot, which takes updates.
PEBBLE = """
set -e
command -v pebble >/dev/null && command -v knotd >/dev/null || {{ apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq pebble knot; systemctl disable --now knot; }} >/dev/null 2>&1
mkdir -p /srv/pebble && cd /srv/pebble
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj '/CN=pebble' -addext 'subjectAltName=DNS:pebble.test' -keyout key -out root 2>/dev/null
cat >config <<END
{{"pebble": {{"listenAddress": "[::]:14000", "managementListenAddress": "[::1]:15000", "certificate": "/srv/pebble/root", "privateKey": "/srv/pebble/key",
 "httpPort": 80, "tlsPort": 443, "ocspResponderURL": "", "externalAccountBindingRequired": false}}}}
END
cat >knot.conf <<END
server:
    listen: ::1@5300
    listen: {address}@5300
    rundir: /srv/pebble/run
database:
    storage: /srv/pebble/run
key:
  - id: tfheal
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: updates
    key: tfheal
    action: [transfer, update]
zone:
  - domain: acme.example
    file: /srv/pebble/run/zone
    acl: updates
END
mkdir -p run
printf 'acme.example. 60 SOA ns.acme.example. root.acme.example. 1 60 60 600 60\\nacme.example. 60 NS ns.acme.example.\\nns.acme.example. 60 AAAA {address}\\n' >run/zone
systemd-run --quiet --collect --unit=test-names pebble-challtestsrv -defaultIPv4 '' -defaultIPv6 {gateway} -dns01 '[::1]:8053' -http01 '' -https01 '' -tlsalpn01 '' -doh '' -management '[::1]:8055'
systemd-run --quiet --collect --unit=test-knot knotd -c /srv/pebble/knot.conf
systemd-run --quiet --collect --unit=test-pebble -E PEBBLE_VA_NOSLEEP=1 -E PEBBLE_AUTHZREUSE=0 pebble -config /srv/pebble/config -dnsserver {names}
until curl -sk https://[::1]:14000/dir >/dev/null; do sleep 0.2; done
"""
SHUT = "nft 'table inet shut { chain in { type filter hook input priority 0; tcp dport 443 drop; }; }'"
GONE = "systemctl stop test-pebble test-names test-knot; rm -rf /srv/pebble"


@pytest.fixture(scope="module")
def edge(fleet: RunningLab) -> Iterator[RunningLab]:
    """Have an app on s1 and s2, and the gateway that leads to it on s3; taken away after the last test."""
    settings = fleet.workspace / "tfheal.toml"
    before = settings.read_text()
    server = f'server = "[{fleet.address("s1")}]:5300"\nzone = "acme.example"\nkey = "tfheal"\n'
    settings.write_text(f'{before}[names.knot]\nvia = "none"\n[names.signed]\nvia = "rfc2136"\n{server}')
    try:
        with talking(fleet, talk_spec(HOST, "names: knot\n"), f"{EDGE}settings: {{tls: internal}}\n"):
            yield fleet
    finally:
        settings.write_text(before)


def spec(lab: RunningLab, settings: str) -> None:
    """Write the settings of the gateway."""
    (lab.workspace / "apps/edge.yaml").write_text(f"{EDGE}settings: {settings}\n")


def asked(lab: RunningLab, *words: str, roots: Path | None = None, scheme: str = "https", check: int = 0) -> str:
    """Ask the gateway by curl from outside, and return what that tells."""
    trust = ("--cacert", str(roots)) if roots else ("--insecure",)
    ports = [f"{HOST}:{port}:[{lab.address('s3')}]" for port in (80, 443)]
    there = [word for port in ports for word in ("--resolve", port)]
    argv = ("curl", "-sS", "--noproxy", "*", *trust, *there, *words, f"{scheme}://{HOST}/health?x=1")
    ran = subprocess.run([*lab.around, *argv], capture_output=True, text=True, check=False, timeout=30)
    assert ran.returncode == check, ran
    return ran.stdout


def until_issued(lab: RunningLab, by: str) -> dict[str, object]:
    """Wait until the gateway has a certificate by a way, and return it."""
    until = time.monotonic() + 60
    while True:
        (one,) = document(lab, "gateway", "certificates", check=None)["gateways"][0]["certificates"]
        if one["by"] == by and not one["due"]:
            return dict(one)
        assert time.monotonic() < until, one
        time.sleep(1)


def serial(lab: RunningLab) -> str:
    """Return the number of the certificate that a visitor is shown."""
    shown = (
        f"openssl s_client -connect '[::1]:443' -servername {HOST} </dev/null 2>/dev/null | openssl x509 -noout -serial"
    )
    return lab.on("s3", shown).strip()


def test_a_gateway_ends_tls(edge: RunningLab, tmp_path: Path) -> None:
    """Its own authority's certificate holds for who knows that; who comes without TLS is led to it; what is given is looked at before."""
    until_issued(edge, "internal")
    roots = tmp_path / "root.pem"
    roots.write_text(edge.run("gateway", "root", "edge").stdout)
    told = asked(edge, "-o", "/dev/null", "-w", "%{http_version} %{http_code} %{ssl_verify_result}", roots=roots)
    assert told == "2 200 0"
    assert asked(edge, "--http1.1", roots=roots) == "talk 1\n"
    led = asked(edge, "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", scheme="http")
    assert led == f"308 https://{HOST}/health?x=1"
    status = document(resolving(edge, {HOST: edge.address("s3")}), "status", "talk", "edge")
    assert not {one for one in findings(status) if one.startswith(("certificate", "gateway", "name"))}, status[
        "findings"
    ]

    before, shown = edge.on("s3", PROCESS), serial(edge)
    edge.on("s3", DUE)
    assert document(edge, "gateway", "certificates", "--renew")["renewals"] == [
        {"gateway": "edge/gateway@s3", "host": HOST, "failed": ""}
    ]
    assert serial(edge) != shown
    assert edge.on("s3", PROCESS) == before, "it is taken up by the process that runs"

    spec(edge, "{tls: given}")
    assert "`certificate` is no certificate" in refused(edge)
    given(edge, tmp_path, "another.example")
    assert f"is not of {HOST}" in refused(edge)
    assert asked(edge, roots=roots) == "talk 1\n", "what was there serves on"
    given(edge, tmp_path, HOST)
    edge.run("deploy", "edge")
    assert asked(edge, roots=tmp_path / "certificate") == "talk 1\n"
    status = document(edge, "status", "edge", check=3)
    assert [one["detail"][:30] for one in status["findings"] if one["finding"] == "certificate-expiring"] != []
    assert "PRIVATE KEY" not in str(document(edge, "history"))

    edge.on("s3", SHUT)
    try:
        status = document(edge, "status", "talk", "edge", check=None)
        assert asked(edge, "-o", "/dev/null", "-w", "%{http_code}", scheme="http") == "308"
    finally:
        edge.on("s3", "nft delete table inet shut")
    (broken,) = [one["detail"] for one in status["findings"] if one["finding"] == "gateway-broken"]
    assert "does not answer through it" in broken, "people come in by TLS"
    assert "gateway-broken" not in findings(document(edge, "status", "talk", "edge", check=None))


def refused(lab: RunningLab) -> str:
    """Deploy the gateway, which is to fail, and return what is said of it."""
    return " ".join(lab.run("deploy", "edge", check=5).stdout.split())


def given(lab: RunningLab, folder: Path, host: str) -> None:
    """Keep a certificate of a name that holds for two days, with its key, as the owner's."""
    made = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=given", "-addext")
    files = ("-keyout", str(folder / "key"), "-out", str(folder / "certificate"))
    subprocess.run((*made, f"subjectAltName=DNS:{host}", *files), check=True, capture_output=True)
    both = (folder / "certificate").read_bytes() + (folder / "key").read_bytes()
    words = lab.command("secret", "set", "edge", "certificate", "--stdin")
    subprocess.run(words, input=both, check=True, cwd=lab.workspace, capture_output=True)


@contextlib.contextmanager
def authority(lab: RunningLab, names: str, challenge: str) -> Iterator[None]:
    """Have pebble on s1, which asks a server for names, and the gateway get its certificates there, each time anew."""
    values = {
        "address": lab.address("s1"),
        "gateway": lab.address("s3"),
        "secret": SECRET,
        "names": names,
    }
    lab.on("s1", PEBBLE.format(**values))
    try:
        root = "\\n".join(lab.on("s1", "cat /srv/pebble/root").splitlines())
        way = f"tls: acme, challenge: {challenge}, acme_contact: it@acme.example, challenge_wait: 0"
        lab.on("s3", f"echo '{lab.address('s1')} pebble.test' >>/etc/hosts")
        where = f'acme_directory: "https://pebble.test:14000/dir", acme_root: "{root}\\n"'
        spec(lab, f"{{{way}, {where}}}")
        lab.run("deploy", "edge")
        yield
    finally:
        lab.on("s1", GONE, check=None)
        lab.on("s3", "sed -i '/pebble.test$/d' /etc/hosts", check=None)


@pytest.mark.long
def test_a_certificate_is_renewed_by_http_and_no_request_is_lost(edge: RunningLab, tmp_path: Path) -> None:
    """The slice gets it by itself and renews it under load, over TLS; while the authority is away what is there serves on, and status says why."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with authority(edge, "[::1]:8053", "http-01"):
        edge.on("s3", "systemctl start tfheal-edge-gateway-certificates")
        until_issued(edge, "acme")
        roots = tmp_path / "roots.pem"
        roots.write_text(edge.on("s1", "curl -sk https://[::1]:15000/roots/0"))
        assert asked(edge, roots=roots) == "talk 1\n"
        before = edge.on("s3", PROCESS)
        with Visitors(edge.address("s3"), HOST, 60, trusting) as visitors:
            shown = set()
            for _ in range(4):
                edge.on("s3", DUE)
                assert [one["failed"] for one in document(edge, "gateway", "certificates", "--renew")["renewals"]] == [
                    ""
                ]
                shown.add(serial(edge))
        assert (len(shown), visitors.counts.failed, visitors.counts.sockets_closed) == (4, {}, 0), visitors.counts
        assert visitors.counts.answered > 100
        assert edge.on("s3", PROCESS) == before
        edge.on("s1", "systemctl stop test-pebble")
        edge.on("s3", DUE)
        failed = document(edge, "gateway", "certificates", "--renew", check=5)["renewals"]
        assert re.search(r"answers|onnect", failed[0]["failed"]), failed
        assert asked(edge, roots=roots) == "talk 1\n"
    again = document(edge, "gateway", "certificates")["gateways"][0]["certificates"][0]
    assert again["failed"], "it is tried again later, and says why it was not to be had"
    assert again["again"] > again["from"]


@pytest.mark.long
def test_a_certificate_is_had_by_what_is_published_in_dns(edge: RunningLab) -> None:
    """We publish what the authority asks for, by a signed update, and withdraw it, also where the authority says no; tick does it."""
    text = (edge.workspace / "apps/talk.yaml").read_text()
    words = edge.command("secret", "set", "tfheal", "names_signed", "--stdin")
    subprocess.run(words, input=SECRET.encode(), check=True, cwd=edge.workspace, capture_output=True)
    left = f"kdig +short -p 5300 @::1 _acme-challenge.{HOST} TXT 2>/dev/null || true"
    with authority(edge, f"[{edge.address('s1')}]:5300", "dns-01"):
        refused = document(edge, "gateway", "certificates", "--renew", check=6)["renewals"]
        assert "publishes nothing that an authority could read" in refused[0]["failed"], refused
        (edge.workspace / "apps/talk.yaml").write_text(text.replace("names: knot", "names: signed"))
        try:
            edge.on("s3", f"rm -f {KEPT}/{HOST}.failed")
            parts = document(edge, "tick", check=None)["parts"]
            assert parts["certificates"]["exit"] == 0, edge.run("gateway", "certificates", check=None).stdout
            until_issued(edge, "acme")
            assert edge.on("s1", left) == ""
            edge.on("s3", f"{DUE}; ln -s /bin/true /usr/local/bin/dehydrated")
            killed = document(edge, "gateway", "certificates", "--renew", check=5)["renewals"]
            edge.on("s3", "rm /usr/local/bin/dehydrated")
            assert "ended without saying why" in killed[0]["failed"], "who says nothing is not done for that"
            edge.on("s1", "systemctl stop test-knot")
            edge.on("s3", DUE)
            failed = document(edge, "gateway", "certificates", "--renew", check=5)["renewals"]
            assert "name server" in failed[0]["failed"], failed
        finally:
            (edge.workspace / "apps/talk.yaml").write_text(text)
