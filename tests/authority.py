"""An authority for certificates on a slice of a lab: Debian's pebble, which asks a name server of its own for every name."""

from running_lab import RunningLab

# Its directory is given by IPv4: dehydrated takes the brackets of an IPv6 address in a URL for those of a list.
_BEGIN = """
set -e
command -v pebble >/dev/null || {{ apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends pebble; }} >/dev/null 2>&1
mkdir -p /srv/authority && cd /srv/authority
address=$(ip -4 -o addr show host0 | sed 's/.*inet \\([0-9.]*\\).*/\\1/;q')
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=authority -addext "subjectAltName=IP:$address" -keyout key -out root 2>/dev/null
cat >config <<END
{{"pebble": {{"listenAddress": "0.0.0.0:14000", "managementListenAddress": "127.0.0.1:15000", "certificate": "/srv/authority/root", "privateKey": "/srv/authority/key",
 "httpPort": 80, "tlsPort": 443, "ocspResponderURL": "", "externalAccountBindingRequired": false}}}}
END
systemd-run --quiet --collect --unit=authority-names pebble-challtestsrv -defaultIPv4 '' -defaultIPv6 {gateway} -dns01 127.0.0.1:8053 \\
  -http01 '' -https01 '' -tlsalpn01 '' -doh '' -management 127.0.0.1:8055
systemd-run --quiet --collect --unit=authority -E PEBBLE_VA_NOSLEEP=1 pebble -config /srv/authority/config -dnsserver 127.0.0.1:8053
until curl -sk https://127.0.0.1:14000/dir >/dev/null; do sleep 0.2; done
echo "$address"
cat root
"""


def begun(lab: RunningLab, where: str, gateway: str) -> str:
    """Begin an authority on a slice that finds every name at another, and return the settings by which a gateway gets its certificates there."""
    address, _, root = lab.on(where, _BEGIN.format(gateway=lab.address(gateway))).partition("\n")
    one_line = "\\n".join(root.splitlines())
    return (
        f'tls: acme, acme_directory: "https://{address}:14000/dir", acme_contact: it@acme.example, '
        f'acme_root: "{one_line}\\n"'
    )
