"""Updates on a real slice: told by where they come from, installed under an app that is looked at again, and taken back."""

import json
import subprocess
import time
from collections.abc import Iterator

import pytest
from documents import document, findings
from patches import APP, OFFER, VERSIONS, aged, also, offering, tell, told
from running_lab import RunningLab

pytestmark = pytest.mark.lab
CATALOGUE = {
    "title": "CISA Catalog",
    "count": 1,
    "vulnerabilities": [{"cveID": "CVE-2026-1001", "vendorProject": "Tests"}],
}
# As debsecan writes it: what was found, in which package, and whether its suite has a fix.
FOUND = "VERSION 1\\n%s\\nCVE-2026-1001,tfheal-two,F\\nCVE-2026-1002,tfheal-stops,F\\nCVE-2026-1001,tfheal-breaks, \\n"


@pytest.fixture
def patched(shop: RunningLab) -> Iterator[RunningLab]:
    """Offer updates of our own to a slice, and take all of that away after the test."""
    with offering(shop, "s1") as lab:
        yield lab


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
    aged(patched, "s1", "tfheal-one")
    patched.on("s1", "touch /var/lib/apt/lists")
    (again,) = document(patched, "patch", "slice:s1", "--plan", "--security", check=3)["slices"]
    ages = {one["package"]: one["age"] for one in again["pending"]}
    assert ages["tfheal-one"] > 700_000_000
    assert ages["tfheal-two"] < 300
    (facts,) = [one["facts"] for one in document(patched, "status", check=None)["slices"] if one["slice"] == "s1"]
    assert facts["security_updates"] == len(ages) == 3
    assert facts["security_age"] >= ages["tfheal-one"]
    assert patched.on("s1", VERSIONS) == "1.0 1.0 1.0 1.0 1.0 "
    (patched.workspace / "kev.json").write_text(json.dumps(CATALOGUE))
    (unranked,) = document(patched, "patch", "slice:s1", "--plan", "--kev", "kev.json", check=3)["slices"]
    assert {"neither data of debsecan nor a changelog of an update is there"} == {
        one["exploited"]["unknown"] for one in unranked["pending"]
    }
    shown = " ".join(patched.run("patch", "slice:s1", "--plan", "--kev", "kev.json", check=3).stdout.split())
    assert "what is exploited is not known" in shown
    patched.on("s1", f"mkdir -p /var/lib/debsecan; printf '{FOUND}' $(date +%s) >/var/lib/debsecan/history")
    (ranked,) = document(patched, "patch", "slice:s1", "--plan", "--kev", "kev.json", check=3)["slices"]
    assert [(one["package"], one["exploited"], one["fixes"]) for one in ranked["pending"]] == [
        ("tfheal-two", ["CVE-2026-1001"], True),
        ("tfheal-stops", [], True),
        ("tfheal-one", [], False),
        ("tfheal-security", [], False),
    ]
    assert ranked["exposed"] == {"tfheal-breaks": ["CVE-2026-1001"]}
    also(patched, 'kev = "kev.json"')
    assert "known-exploited" in findings(document(patched, "status", check=None))
    shown = " ".join(patched.run("patch", "slice:s1", "--plan", check=3).stdout.split())
    assert "1 known to be exploited, data of debsecan" in shown
    assert "it is no catalogue" in patched.run("patch", "slice:s1", "--plan", "--kev", "page", check=2).stderr
    assert "held" in patched.run("patch", "slice:s1", "--plan", check=3).stdout
    assert "--yes" in patched.run("patch", "slice:s1", check=2).stderr
    assert "slice:*" in patched.run("patch", check=2).stderr


@pytest.mark.long
def test_a_patch_that_was_killed_is_ended_by_the_next(patched: RunningLab) -> None:
    """With tfheal and dpkg both killed in the middle of an installation, the next run configures what is half there.

    Also where dpkg was killed before with no package half way, and where a package lacks what was to come with it.
    """
    cut_off = "dpkg-query -s tfheal-two >/var/lib/dpkg/updates/0000; ! dpkg --audit | grep ."
    patched.on("s1", f"touch /root/patches/wait; {OFFER.format('slow')}{cut_off}")
    with subprocess.Popen(patched.command("patch", "slice:s1", "--yes"), stderr=subprocess.DEVNULL) as running:
        patched.on("s1", "timeout 60 sh -c 'until [ -e /root/patches/there ]; do sleep 0.2; done'")
        running.kill()
    assert "another patch" in patched.run("patch", "slice:s1", "--yes", check=6).stdout
    patched.on(
        "s1", "systemctl kill -s KILL tfheal-patch; rm /root/patches/wait; dpkg --audit | grep -q tfheal-security"
    )
    patched.on("s1", "dpkg --force-depends -r tfheal-more; ! apt-get -s -o Debug::NoLocking=1 upgrade")
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


@pytest.mark.long
def test_a_kernel_is_not_taken_back(patched: RunningLab) -> None:
    """What came with it and broke the app is; it stays, is told to stay, and is not offered again with what broke."""
    patched.on("s1", OFFER.format("ahead"))
    (plan,) = document(patched, "patch", "slice:s1", "--plan", check=3)["slices"]
    assert {one["package"]: one["returns"] for one in plan["pending"]} == {
        "tfheal-breaks": True,
        "linux-image-tests": False,
    }
    (back,) = document(patched, "patch", "slice:s1", "--yes", check=5)["slices"]
    assert (back["outcome"], "linux-image-tests stayed" in back["detail"]) == ("taken-back", True), back
    assert patched.on("s1", VERSIONS).startswith("1.0 ")
    assert patched.on("s1", "dpkg-query -W -f '${Version}' linux-image-tests") == "1.1"
    document(patched, "status", check=0)
    (left,) = document(patched, "patch", "slice:s1", "--yes")["slices"]
    assert left["outcome"] == "idle"


def test_a_reboot_is_done_where_all_allow_it_and_once(patched: RunningLab) -> None:
    """The provider and the owner have to say so; the slice comes back, its apps are looked at, and it is left alone then.

    It remembers since when an update is pending.
    """
    patched.on("s1", "touch /run/reboot-required; mkdir -p /etc/tfheal; " + OFFER.format("plain"))
    ask = ("patch", "slice:s1", "--security", "--reboot", "--yes")
    assert "`reboot` of `patch`" in patched.run(*ask, check=6).stdout
    aged(patched, "s1", "tfheal-security")
    also(patched, 'reboot = "by-hand"')
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
    (known,) = document(patched, "patch", "slice:s1", "--plan", check=3)["slices"][0]["pending"]
    assert (known["package"], known["age"] > 700_000_000) == ("tfheal-security", True)
    status = document(patched, "status", check=0)
    assert not {"reboot-required", "patch-unfinished"} & set(findings(status))
    patched.on("s1", "touch /run/reboot-required")
    assert "it booted" in patched.run(*ask, check=6).stdout
    done = {(one["what"], one["outcome"]) for one in document(patched, "history", "files")["actions"]}
    assert {("reboot", "done"), ("notice", "failed")} <= done
    patched.on("s1", "rm /run/reboot-required")
