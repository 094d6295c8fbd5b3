"""Security updates on a real slice: told by where they come from, with their age, and nothing is installed."""

from collections.abc import Iterator

import pytest
from documents import document
from running_lab import RunningLab

pytestmark = pytest.mark.lab
# Two packages of our own, each with a newer version: one from a suite of security updates, one from another suite.
REPOSITORIES = r"""
set -e
cd /root && mkdir -p patches && cd patches
package() {  # NAME VERSION FOLDER
  mkdir -p "$3" build/DEBIAN
  printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: nobody <x@example.test>\nDescription: x\n' "$1" "$2" >build/DEBIAN/control
  dpkg-deb -b build "$3/$1_$2_all.deb" >/dev/null
}
repository() {  # FOLDER SUITE
  cd "$1"
  for deb in *.deb; do
    dpkg-deb -f "$deb"
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -d ' ' -f 1)"
  done >Packages
  printf 'Origin: Tests\nLabel: Tests\nSuite: %s\nVersion: 13\nDate: %s\nSHA256:\n %s %s Packages\n' "$2" "$(date -uR)" \
    "$(sha256sum Packages | cut -d ' ' -f 1)" "$(stat -c %s Packages)" >Release
  cd ..
}
for name in tfheal-one tfheal-two tfheal-security; do package $name 1.0 old; done
dpkg -i old/*.deb >/dev/null
package tfheal-one 1.1 secure; package tfheal-two 1.1 secure; package tfheal-security 1.1 plain
repository secure tests-security; repository plain tests-updates
for name in secure plain; do echo "deb [trusted=yes] file:/root/patches/$name ./"; done >/etc/apt/sources.list.d/tests.list
apt-mark hold tfheal-two >/dev/null
apt-get update -qq -o Dir::Etc::sourcelist=/etc/apt/sources.list.d/tests.list -o Dir::Etc::sourceparts=/dev/null -o APT::Get::List-Cleanup=0
"""
GONE = """
apt-mark unhold tfheal-two >/dev/null; dpkg -P tfheal-one tfheal-two tfheal-security >/dev/null
rm -rf /root/patches /etc/apt/sources.list.d/tests.list /var/lib/apt/lists/*root_patches* /run/tfheal/security-pending*
"""


@pytest.fixture
def patched(shop: RunningLab) -> Iterator[RunningLab]:
    """Offer three updates to a slice, and take all of that away after the test."""
    shop.on("s1", REPOSITORIES)
    yield shop
    shop.on("s1", GONE)


def test_security_updates_are_told_by_where_they_come_from(patched: RunningLab) -> None:
    """A name says nothing, the suite does; a held one is told as held; the age lasts; status counts the same."""
    (told,) = document(patched, "patch", "slice:s1", "--plan", check=3)["slices"]
    ours = {one["package"]: one for one in told["pending"] if one["package"].startswith("tfheal-")}
    assert {name: (one["installed"], one["offered"], one["held"]) for name, one in ours.items()} == {
        "tfheal-one": ("1.0", "1.1", False),
        "tfheal-two": ("1.0", "1.1", True),
    }
    assert told["lists_age"] < 300
    aged = "sed -i -E 's/^(tfheal-one .*) [0-9]+ no$/\\1 1000000000 no/' /run/tfheal/security-pending"
    patched.on("s1", f"{aged}; touch /var/lib/apt/lists")
    (again,) = document(patched, "patch", "slice:s1", "--plan", check=3)["slices"]
    ages = {one["package"]: one["age"] for one in again["pending"]}
    assert ages["tfheal-one"] > 700_000_000
    assert ages["tfheal-two"] < 300
    (facts,) = [one["facts"] for one in document(patched, "status", check=None)["slices"] if one["slice"] == "s1"]
    assert facts["security_updates"] == len(again["pending"])
    assert facts["security_age"] >= ages["tfheal-one"]
    assert patched.on("s1", "dpkg-query -W -f '${Version} ' tfheal-one tfheal-two tfheal-security") == "1.0 1.0 1.0 "
    assert "held" in patched.run("patch", "slice:s1", "--plan", check=3).stdout
    assert "--plan" in patched.run("patch", "slice:s1", check=2).stderr
