"""Updates on a real slice: told by where they come from, installed under an app that is looked at again, and taken back."""

import json
import subprocess
import time
from collections.abc import Iterator

import pytest
from documents import document, findings
from running_lab import RunningLab

pytestmark = pytest.mark.lab
CONTACT = 'contact = "it@lab.example"'
APP = "tfheal-files-web.service"
# Packages of our own, each with a newer version: most from a suite of security updates, one from another suite.
REPOSITORIES = rf"""
set -e
mkdir -p /root/patches && cd /root/patches
package() {{  # NAME VERSION FOLDER; what is in `build` goes into it
  mkdir -p "$3" build/DEBIAN
  printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: nobody <x@example.test>\nDescription: x\n' "$1" "$2" >build/DEBIAN/control
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
echo '[ ! -e /root/patches/wait ] || {{ touch /root/patches/there; sleep 60; }}' | script postinst; package tfheal-security 1.2 slow
repository slow tests-security; repository secure tests-security; repository plain tests-updates; repository late tests-security
offer() {{
  for name in "$@"; do echo "deb [trusted=yes] file:/root/patches/$name ./"; done >/etc/apt/sources.list.d/tests.list
  apt-get update -qq -o Dir::Etc::sourcelist=/etc/apt/sources.list.d/tests.list -o Dir::Etc::sourceparts=/dev/null -o APT::Get::List-Cleanup=0
}}
apt-mark hold tfheal-two >/dev/null
apt-mark auto tfheal-one >/dev/null
[ -d /root/lists ] || {{ mv /var/lib/apt/lists /root/lists; mkdir -p /var/lib/apt/lists/partial; }}
offer secure plain
"""
GONE = f"""
apt-mark unhold tfheal-two >/dev/null
dpkg -P tfheal-one tfheal-two tfheal-security tfheal-stops tfheal-breaks >/dev/null
rm -rf /root/patches /etc/apt/sources.list.d/tests.list /run/tfheal/updates-pending* /var/lib/tfheal/patch.d /etc/tfheal/charter.toml
rm -rf /var/lib/apt/lists; mv /root/lists /var/lib/apt/lists
systemctl daemon-reload; systemctl restart {APP}
"""
OFFER = """
echo "deb [trusted=yes] file:/root/patches/{0} ./" >/etc/apt/sources.list.d/tests.list
apt-get update -qq -o Dir::Etc::sourcelist=/etc/apt/sources.list.d/tests.list -o Dir::Etc::sourceparts=/dev/null -o APT::Get::List-Cleanup=0
"""
VERSIONS = "dpkg-query -W -f '${Version} ' tfheal-breaks tfheal-one tfheal-security tfheal-stops tfheal-two"


@pytest.fixture
def patched(shop: RunningLab) -> Iterator[RunningLab]:
    """Offer updates of our own to a slice, and take all of that away after the test."""
    shop.on("s1", REPOSITORIES)
    settings = shop.workspace / "tfheal.toml"
    before = settings.read_text()
    owners = (shop.workspace / "inventory.toml").read_text()
    settings.write_text(f'{before}[notices]\ncommand = ["./tell"]\n[patch]\npatience = "4s"\nreboot_every = "120s"\n')
    (shop.workspace / "inventory.toml").write_text(owners.replace("[owners.lab]", f"[owners.lab]\n{CONTACT}"))
    tell(shop, "cat >>told.jsonl; echo >>told.jsonl")
    yield shop
    (shop.workspace / "told.jsonl").unlink(missing_ok=True)
    (shop.workspace / "inventory.toml").write_text(owners)
    settings.write_text(before)
    shop.on("s1", GONE)


def tell(lab: RunningLab, script: str) -> None:
    """Have owners told by a script of sh."""
    (lab.workspace / "tell").write_text(f"#!/bin/sh\n{script}\n")
    (lab.workspace / "tell").chmod(0o755)


def told(lab: RunningLab) -> list[tuple[str, str, str | None]]:
    """Return what the owner was told since this was asked last: of what, when, and how it ended."""
    file = lab.workspace / "told.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    file.unlink(missing_ok=True)
    assert {line["to"] for line in lines} <= {"it@lab.example"}
    return [(line["work"], line["stage"], line["outcome"]) for line in lines]


def test_updates_are_told_by_where_they_come_from(patched: RunningLab) -> None:
    """A name says nothing, the suite does; a held one is told as held; the age lasts; status counts those of security."""
    (told,) = document(patched, "patch", "slice:s1", "--plan", check=3)["slices"]
    ours = {one["package"]: one for one in told["pending"]}
    assert {name: (one["offered"], one["held"], one["security"]) for name, one in ours.items()} == {
        "tfheal-one": ("1.1", False, True),
        "tfheal-stops": ("1.1", False, True),
        "tfheal-two": ("1.1", True, True),
        "tfheal-security": ("1.1", False, False),
    }
    assert told["lists_age"] < 300
    aged = "sed -i -E 's/^(tfheal-one .*) [0-9]+ no security$/\\1 1000000000 no security/' /run/tfheal/updates-pending"
    patched.on("s1", f"{aged}; touch /var/lib/apt/lists")
    (again,) = document(patched, "patch", "slice:s1", "--plan", "--security", check=3)["slices"]
    ages = {one["package"]: one["age"] for one in again["pending"]}
    assert ages["tfheal-one"] > 700_000_000
    assert ages["tfheal-two"] < 300
    (facts,) = [one["facts"] for one in document(patched, "status", check=None)["slices"] if one["slice"] == "s1"]
    assert facts["security_updates"] == len(ages) == 3
    assert facts["security_age"] >= ages["tfheal-one"]
    assert patched.on("s1", VERSIONS) == "1.0 1.0 1.0 1.0 1.0 "
    assert "held" in patched.run("patch", "slice:s1", "--plan", check=3).stdout
    assert "--yes" in patched.run("patch", "slice:s1", check=2).stderr
    assert "slice:*" in patched.run("patch", check=2).stderr


@pytest.mark.long
def test_a_patch_that_was_killed_is_ended_by_the_next(patched: RunningLab) -> None:
    """With tfheal and dpkg both killed in the middle of an installation, the next run configures what is half there."""
    patched.on("s1", f"touch /root/patches/wait; {OFFER.format('slow')}")
    with subprocess.Popen(patched.command("patch", "slice:s1", "--yes"), stderr=subprocess.DEVNULL) as running:
        patched.on("s1", "timeout 60 sh -c 'until [ -e /root/patches/there ]; do sleep 0.2; done'")
        running.kill()
    assert "another patch" in patched.run("patch", "slice:s1", "--yes", check=6).stdout
    patched.on(
        "s1", "systemctl kill -s KILL tfheal-patch; rm /root/patches/wait; dpkg --audit | grep -q tfheal-security"
    )
    assert "interrupted" in patched.run("patch", "slice:s1", "--plan", check=3).stdout
    assert "patch-unfinished" in findings(document(patched, "status", check=0))
    (done,) = document(patched, "patch", "slice:s1", "--yes")["slices"]
    assert (done["outcome"], done["repaired"]) == ("done", True)
    assert patched.on("s1", f"dpkg --audit; {VERSIONS}") == "1.0 1.0 1.2 1.0 1.0 "
    document(patched, "patch", "slice:s1", "--plan")


def test_a_patch_leaves_the_apps_well_or_is_taken_back(patched: RunningLab) -> None:
    """What stopped a service starts it again, what broke an app is taken back and not tried again; the owner may forbid all."""
    patched.on("s1", "mkdir -p /etc/tfheal; echo 'forbid = [\"patch\"]' >/etc/tfheal/charter.toml")
    assert "charter" in patched.run("patch", "slice:s1", "--yes", check=6).stdout
    assert told(patched) == []
    patched.on("s1", "rm /etc/tfheal/charter.toml; touch /run/reboot-required")
    (done,) = document(patched, "patch", "slice:s1", "--security", "--yes")["slices"]
    assert (done["outcome"], done["installed"]) == ("done", ["tfheal-one=1.1", "tfheal-stops=1.1"])
    assert done["started"] == [APP]
    assert told(patched) == [("patch", "before", None), ("patch", "after", "done")]
    assert done["conffiles"] == ["/etc/tfheal-one.conf.dpkg-dist"]
    assert patched.on("s1", VERSIONS) == "1.0 1.1 1.0 1.1 1.0 "
    assert patched.on("s1", "tail -n 1 /etc/tfheal-one.conf; apt-mark showauto tfheal-one") == "ours\ntfheal-one\n"
    status = document(patched, "status", check=0)
    assert "reboot-required" in findings(status)
    patched.on("s1", f"rm /run/reboot-required; {OFFER.format('late')}")
    (back,) = document(patched, "patch", "slice:s1", "--yes", check=5)["slices"]
    assert back["outcome"] == "taken-back"
    assert told(patched) == [("patch", "before", None), ("patch", "after", "taken-back")]
    assert patched.on("s1", VERSIONS) == "1.0 1.1 1.0 1.1 1.0 "
    document(patched, "status", check=0)
    (left,) = document(patched, "patch", "slice:s1", "--yes")["slices"]
    assert left["outcome"] == "idle"
    actions = [one for one in document(patched, "history", "files")["actions"] if one["what"] == "patch"]
    assert actions[-1]["outcome"] == "done"
    assert actions[-1]["why"].startswith("take back the patch: files/web@s1 is down")


def test_a_reboot_is_done_where_all_allow_it_and_once(patched: RunningLab) -> None:
    """The provider and the owner have to say so; the slice comes back, its apps are looked at, and it is left alone then."""
    settings = patched.workspace / "tfheal.toml"
    patched.on("s1", "touch /run/reboot-required; mkdir -p /etc/tfheal; rm -rf /etc/apt/sources.list.d/tests.list")
    ask = ("patch", "slice:s1", "--security", "--reboot", "--yes")
    assert "`reboot` of `patch`" in patched.run(*ask, check=6).stdout
    settings.write_text(f'{settings.read_text()}reboot = "by-hand"\n')
    assert "the owner's charter does not allow reboot" in patched.run(*ask, check=6).stdout
    patched.on("s1", "echo 'allow = [\"reboot\"]' >/etc/tfheal/charter.toml")
    tell(patched, "echo the mail is full >&2; exit 1")
    boot = patched.on("s1", "cat /proc/sys/kernel/random/boot_id")
    until = time.monotonic() + 150
    while "it booted" in (ran := patched.run(*ask, check=None)).stdout and time.monotonic() < until:
        time.sleep(5)  # slices of this lab may be younger than two minutes
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "it was rebooted" in ran.stdout
    assert ran.stderr.count("the mail is full") == 2, "a notice that is not taken is told, and stops nothing"
    assert patched.on("s1", "cat /proc/sys/kernel/random/boot_id") != boot
    status = document(patched, "status", check=0)
    assert not {"reboot-required", "patch-unfinished"} & set(findings(status))
    patched.on("s1", "touch /run/reboot-required")
    assert "it booted" in patched.run(*ask, check=6).stdout
    done = {(one["what"], one["outcome"]) for one in document(patched, "history", "files")["actions"]}
    assert {("reboot", "done"), ("notice", "failed")} <= done
    patched.on("s1", "rm /run/reboot-required")
