"""Packages of our own on a slice, with newer versions from suites of security and others, and an owner who is told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from running_lab import RunningLab

from tfheal.core.probe.patches import SEEN

CONTACT = 'contact = "it@lab.example"'
APP = "tfheal-files-web.service"
# Packages of our own, each with a newer version: most from a suite of security updates, one from another suite.
REPOSITORIES = rf"""
set -e
mkdir -p /root/patches && cd /root/patches
package() {{  # NAME VERSION FOLDER [WHAT IT NEEDS]; what is in `build` goes into it
  mkdir -p "$3" build/DEBIAN
  [ -z "${{4-}}" ] || echo "Depends: $4" >build/DEBIAN/control
  printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: nobody <x@example.test>\nDescription: x\n' "$1" "$2" >>build/DEBIAN/control
  dpkg-deb -b build "$3/$1_$2_all.deb" >/dev/null
  rm -rf build
}}
script() {{  # NAME, its commands on stdin
  mkdir -p build/DEBIAN; {{ echo '#!/bin/sh'; cat; }} >build/DEBIAN/$1; chmod 755 build/DEBIAN/$1
}}
repository() {{  # FOLDER SUITE
  cd "$1"
  for deb in *.deb; do
    dpkg-deb -f "$deb"
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -d ' ' -f 1)"
  done >Packages
  printf 'Origin: Tests\nLabel: Tests\nSuite: %s\nVersion: 13\nDate: %s\nSHA256:\n %s %s Packages\n' "$2" "$(date -uR)" \
    "$(sha256sum Packages | cut -d ' ' -f 1)" "$(stat -c %s Packages)" >Release
  cd ..
}}
one() {{  # VERSION FOLDER: it has a configuration
  mkdir -p build/etc build/DEBIAN; echo "as of $1" >build/etc/tfheal-one.conf; echo /etc/tfheal-one.conf >build/DEBIAN/conffiles
  package tfheal-one "$1" "$2"
}}
for name in tfheal-two tfheal-security tfheal-stops tfheal-breaks; do package $name 1.0 old; done
one 1.0 old
dpkg -i old/*.deb >/dev/null
echo ours >>/etc/tfheal-one.conf
one 1.1 secure; package tfheal-two 1.1 secure; package tfheal-security 1.1 plain
echo 'systemctl stop {APP}' | script postinst; package tfheal-stops 1.1 secure
mkdir -p build/etc/systemd/system/{APP}.d
printf '[Service]\nExecStartPre=/bin/false\n' >build/etc/systemd/system/{APP}.d/broken.conf
echo 'systemctl daemon-reload; systemctl restart --no-block {APP}' | script postinst; package tfheal-breaks 1.1 late
cp old/tfheal-breaks* late
echo '[ ! -e /root/patches/wait ] || {{ touch /root/patches/there; sleep 60; }}' | script postinst; package tfheal-security 1.2 slow tfheal-more
package tfheal-more 1.0 slow
cp -r late ahead
package linux-image-tests 1.0 ahead; dpkg -i ahead/linux-image-tests_1.0_all.deb >/dev/null; package linux-image-tests 1.1 ahead
repository ahead tests-security; repository slow tests-security; repository secure tests-security; repository plain tests-updates; repository late tests-security
offer() {{
  for name in "$@"; do echo "deb [trusted=yes] file:/root/patches/$name ./"; done >/etc/apt/sources.list.d/tests.list
  apt-get update -qq -o Dir::Etc::sourcelist=/etc/apt/sources.list.d/tests.list -o Dir::Etc::sourceparts=/dev/null -o APT::Get::List-Cleanup=0
}}
apt-mark hold tfheal-two >/dev/null
apt-mark auto tfheal-one >/dev/null
[ -d /root/lists ] || {{ mv /var/lib/apt/lists /root/lists; mkdir -p /var/lib/apt/lists/partial; mv /etc/apt/sources.list /root; }}
offer secure plain
"""
GONE = f"""
apt-mark unhold tfheal-two >/dev/null
dpkg -P tfheal-one tfheal-two tfheal-security tfheal-stops tfheal-breaks tfheal-more linux-image-tests >/dev/null
rm -rf /root/patches /etc/apt/sources.list.d/tests.list {SEEN} /var/lib/tfheal/patch.d /var/lib/debsecan /etc/tfheal/charter.toml
rm -rf /var/lib/apt/lists; mv /root/lists /var/lib/apt/lists; mv /root/sources.list /etc/apt
systemctl daemon-reload; systemctl reset-failed {APP} 2>/dev/null; systemctl restart {APP}
"""
OFFER = """
echo "deb [trusted=yes] file:/root/patches/{0} ./" >/etc/apt/sources.list.d/tests.list
apt-get update -qq -o Dir::Etc::sourcelist=/etc/apt/sources.list.d/tests.list -o Dir::Etc::sourceparts=/dev/null -o APT::Get::List-Cleanup=0
"""
VERSIONS = "dpkg-query -W -f '${Version} ' tfheal-breaks tfheal-one tfheal-security tfheal-stops tfheal-two"


@contextmanager
def offering(shop: RunningLab, *slices: str) -> Iterator[RunningLab]:
    """Offer updates of our own to slices while the context lasts, with the lists of these alone; and take all of that away."""
    try:
        for name in slices:
            shop.on(name, REPOSITORIES)
        with informing(shop):
            also(shop, '[patch]\npatience = "4s"\nreboot_every = "120s"')
            yield shop
    finally:
        for name in slices:
            shop.on(name, GONE)


@contextmanager
def informing(shop: RunningLab) -> Iterator[None]:
    """Have the owner told of planned work while the context lasts; then the settings are as before."""
    files = {name: (shop.workspace / name).read_text() for name in ("tfheal.toml", "inventory.toml")}
    try:
        also(shop, '[notices]\ncommand = ["./tell"]')
        owners = files["inventory.toml"].replace("[owners.lab]", f"[owners.lab]\n{CONTACT}")
        (shop.workspace / "inventory.toml").write_text(owners)
        tell(shop, "cat >>told.jsonl; echo >>told.jsonl")
        yield
    finally:
        (shop.workspace / "told.jsonl").unlink(missing_ok=True)
        for name, text in files.items():
            (shop.workspace / name).write_text(text)


def also(lab: RunningLab, setting: str) -> None:
    """Write one more setting below those that are there."""
    file = lab.workspace / "tfheal.toml"
    file.write_text(f"{file.read_text().rstrip()}\n{setting}\n")


def aged(lab: RunningLab, name: str, package: str) -> None:
    """Have a slice remember that an update has been pending for decades."""
    lab.on(
        name, f"grep -q '^{package} ' {SEEN} && sed -i -E 's/^({package} [^ ]+ [^ ]+) [0-9]+ /\\1 1000000000 /' {SEEN}"
    )


def tell(lab: RunningLab, script: str) -> None:
    """Have owners told by a script of sh."""
    (lab.workspace / "tell").write_text(f'#!/bin/sh\ncd "${{0%/*}}"\n{script}\n')
    (lab.workspace / "tell").chmod(0o755)


def told(lab: RunningLab) -> list[tuple[str, str, str | None]]:
    """Return what the owner was told since this was asked last: of what, when, and how it ended."""
    file = lab.workspace / "told.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    file.unlink(missing_ok=True)
    assert {line["to"] for line in lines} <= {"it@lab.example"}
    return [(line["work"], line["stage"], line["outcome"]) for line in lines]
