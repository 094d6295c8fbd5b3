"""Host names follow the apps: in a file on slices, by a program, and at real Knot DNS and BIND by signed updates."""

import base64
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents import document, findings
from resolving import resolving
from running_lab import RunningLab

from tfheal.base.errors import ActionFailed
from tfheal.base.secret import Secret
from tfheal.edge.names import DnsNames
from tfheal.edge.vault import AgeVault
from tfheal.model.publication import NamesWay, secret_of

pytestmark = pytest.mark.lab
HOST = "files.acme.example"
SECRET = base64.b64encode(b"secret of the name server's tests").decode()
TOOL = """\
#!/bin/sh
[ ! -e broken ] || { echo "the registry is away"; exit 1; }
echo "$@" >>tool.log
grep -vxF "$2 $3 $4" registry >registry.new
[ "$1" = remove ] || echo "$2 $3 $4" >>registry.new
mv registry.new registry
[ ! -e dies ] || { rm dies; kill -9 $PPID; }
"""
# Both servers on one slice, each on a port of its own, with a zone that takes updates signed by one key.
SERVERS = f"""
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get -y -qq -o Dpkg::Use-Pty=0 install --no-install-recommends knot bind9 bind9-dnsutils >/dev/null
systemctl disable -q --now knot named
mkdir -p /srv/dns/knot /srv/dns/bind && cd /srv/dns
for of in knot bind; do
  printf '$TTL 300\\n@ SOA ns.acme.example. admin.acme.example. 1 3600 600 86400 300\\n@ NS ns.acme.example.\\nns A 192.0.2.53\\n' >$of/zone
  printf 'taken A 192.0.2.80\\n' >>$of/zone
done
cat >knot.conf <<'END'
server:
  listen: "::@5300"
  rundir: /srv/dns/knot
database:
  storage: /srv/dns/knot
key:
  - id: tfheal
    algorithm: hmac-sha256
    secret: "{SECRET}"
acl:
  - id: updates
    key: tfheal
    action: [update, query]
zone:
  - domain: acme.example
    file: /srv/dns/knot/zone
    acl: updates
END
cat >named.conf <<'END'
options {{ directory "/srv/dns/bind"; listen-on {{ none; }}; listen-on-v6 port 5301 {{ any; }}; pid-file none; recursion no; }};
controls {{ }};
key tfheal {{ algorithm hmac-sha256; secret "{SECRET}"; }};
zone acme.example {{ type primary; file "/srv/dns/bind/zone"; allow-update {{ key tfheal; }}; }};
END
chown -R bind:bind bind; chown -R knot:knot knot
systemd-run --quiet --collect --unit=test-knot -p User=knot knotd -c /srv/dns/knot.conf
systemd-run --quiet --collect --unit=test-bind /usr/sbin/named -f -u bind -c /srv/dns/named.conf
for port in 5300 5301; do timeout 30 sh -c "until dig +short -p $port @::1 ns.acme.example | grep -q 192.0.2.53; do sleep 0.2; done"; done
"""
GONE = "systemctl stop test-knot test-bind; rm -rf /srv/dns; sed -i '/# tfheal$/d' /etc/hosts"


def ways(running: RunningLab) -> str:
    """Return the ways of publishing names."""
    servers = "".join(
        f'[names.{name}]\nvia = "rfc2136"\nserver = "[{running.address("s2")}]:{port}"\nzone = "acme.example"\nkey = "tfheal"\n'
        for name, port in (("knot", 5300), ("bind", 5301))
    )
    tool = 'command = ["./tool", "{action}", "{name}", "{type}", "{address}", "{ttl}"]\n'
    return f'[names.file]\nvia = "hosts"\nslices = ["s1", "s2"]\n[names.tool]\nvia = "command"\nttl = "1m"\n{tool}{servers}'


@pytest.fixture
def named(shop: RunningLab) -> Iterator[RunningLab]:
    """Have ways of publishing names, and take all of them away after the test."""
    settings, spec = shop.workspace / "tfheal.toml", shop.workspace / "apps/files.yaml"
    before = settings.read_text(), spec.read_text()
    settings.write_text(before[0] + ways(shop))
    (shop.workspace / "tool").write_text(TOOL)
    (shop.workspace / "tool").chmod(0o755)
    yield shop
    spec.write_text(before[1])
    for name in ("broken", "dies"):
        (shop.workspace / name).unlink(missing_ok=True)
    shop.run("heal", "--auto", check=None)  # withdraws what is left, while there are ways to do it
    settings.write_text(before[0])
    for name in ("s1", "s2"):
        shop.on(name, GONE, check=None)
    for name in ("tool", "tool.log", "registry"):
        (shop.workspace / name).unlink(missing_ok=True)


def publish(running: RunningLab, way: str, host: str = HOST, *, check: int = 0) -> str:
    """Have the app published by another way, or by none, and return what a deploy says."""
    spec = running.workspace / "apps/files.yaml"
    lines = [line for line in spec.read_text().splitlines() if not line.startswith(("hostname:", "names:"))]
    lines += [f"hostname: {host}", *([f"names: {way}"] if way else [])]
    spec.write_text("\n".join(lines) + "\n")
    ran = running.run("deploy", "files", check=check)
    return ran.stdout + ran.stderr


def test_a_name_is_published_and_withdrawn(named: RunningLab) -> None:
    """In the file of every slice that is named, and by a program, which is told once of what changed; drift is healed."""
    address, tell = named.address("s1"), "grep ' # tfheal' /etc/hosts || :"
    publish(named, "file")
    assert [named.on(name, tell) for name in ("s1", "s2")] == [f"{address} {HOST} # tfheal\n"] * 2
    named.on("s2", "sed -i 's/^.* # tfheal$/192.0.2.1 files.acme.example # tfheal/' /etc/hosts")
    assert "name-drift" in findings(document(named, "status", check=3))
    named.run("heal", "--auto")
    assert named.on("s2", tell) == f"{address} {HOST} # tfheal\n"
    (named.workspace / "broken").touch()
    assert "the registry is away" in publish(named, "tool", check=5)
    assert [named.on(name, tell) for name in ("s1", "s2")] == ["", ""]
    assert "the registry is away" in named.run("heal", "--auto", check=5).stdout
    (named.workspace / "broken").unlink()
    (named.workspace / "dies").touch()
    named.run("heal", "--auto", check=-9)
    named.run("heal", "--auto")
    named.run("heal", "--auto")
    log, registry = named.workspace / "tool.log", named.workspace / "registry"
    assert log.read_text() == 2 * f"add {HOST} AAAA {address} 60\n", "again after the kill, and then no more"
    assert registry.read_text() == f"{HOST} AAAA {address}\n", "twice is once"
    leads_astray(named)
    publish(named, "")
    assert log.read_text().splitlines()[2:] == [f"remove {HOST} AAAA {address} 60"]
    assert registry.read_text() == ""
    assert "names" in publish(named, "nowhere", check=2)


def leads_astray(named: RunningLab) -> None:
    """Demand that a name that leads from here elsewhere than where it is published is told, whatever answers there; where it leads aright there is nothing to tell."""
    right, wrong = (resolving(named, {HOST: named.address(name)}) for name in ("s1", "s2"))
    assert not {one for one in findings(document(right, "status", "files")) if one.startswith("name-")}
    told = document(wrong, "status", "files", check=3)["findings"]
    (astray,) = [one["detail"] for one in told if one["finding"] == "name-astray"]
    assert f"leads to {named.address('s2')} from here, and should lead to {named.address('s1')}" in astray


@pytest.mark.long
@pytest.mark.parametrize(("way", "port"), [("knot", 5300), ("bind", 5301)])
def test_a_name_server_takes_updates(named: RunningLab, way: str, port: int, tmp_path: Path) -> None:
    """All of it or nothing: a wrong key is refused, a server that is away is asked again by the next run, drift is healed."""
    named.on("s2", SERVERS)
    address, ask = named.address("s1"), f"dig +short -p {port} @::1 {HOST} AAAA; dig +short -p {port} @::1 {HOST} A"
    assert f"tfheal secret set tfheal names_{way}" in publish(named, way, check=5)
    secret(named, way, "d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmc=")
    assert "refuses the key" in named.run("deploy", "files", check=5).stdout
    assert named.on("s2", ask) == ""
    secret(named, way, SECRET)
    named.on("s2", f"systemctl kill -s STOP test-{way}")
    assert "is not published" in named.run("heal", "--auto", check=5).stdout
    assert "name-unasked" in findings(document(named, "status", check=0))
    named.on("s2", f"systemctl kill -s CONT test-{way}")
    named.run("heal", "--auto")
    assert named.on("s2", ask) == f"{address}\n"
    names = by_server(named, way, tmp_path)
    before = names.published(HOST)
    assert before == (address,)
    change = f"server ::1 {port}\nzone acme.example\nupdate add {HOST}. 60 A 192.0.2.66\nsend\n"
    named.on("s2", f"printf '%s' '{change}' | nsupdate -y hmac-sha256:tfheal:{SECRET}")
    with pytest.raises(ActionFailed, match="somebody else changed the name just now"):
        names.change(HOST, before, ("192.0.2.67",))
    assert names.published(HOST) == ("192.0.2.66", address), "what came in between is not overwritten"
    assert "name-drift" in findings(document(named, "status", check=3))
    named.run("heal", "--auto")
    assert named.on("s2", ask) == f"{address}\n"
    assert "somebody else's" in publish(named, way, "taken.acme.example", check=5)
    assert named.on("s2", f"dig +short -p {port} @::1 taken.acme.example") == "192.0.2.80\n"
    assert named.on("s2", ask) == ""
    publish(named, "")


def by_server(running: RunningLab, way: str, folder: Path) -> DnsNames:
    """Return what speaks to a name server for us, with a vault of its own in a folder."""
    vault = AgeVault(folder, folder / "age.key")
    vault.put(*secret_of(way), Secret(SECRET))
    settings = tomllib.loads((running.workspace / "tfheal.toml").read_text())["names"][way]
    return DnsNames(way, NamesWay.model_validate(settings), vault)


def secret(running: RunningLab, way: str, value: str) -> None:
    """Give the key of a name server its secret."""
    words = running.command("secret", "set", "tfheal", f"names_{way}", "--stdin")
    subprocess.run(words, input=value.encode(), check=True, cwd=running.workspace, capture_output=True)
