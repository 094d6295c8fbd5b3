"""Updates by a tick: where every app says so, in the window, one slice first; and the ways back that each version has."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents import document, findings
from patches import APP, OFFER, VERSIONS, aged, also, offering, told
from running_lab import RunningLab

pytestmark = pytest.mark.lab
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
# What debsecan downloads, packed as it is packed: vulnerabilities, packages (binary, high urgency, remote, fixed), sources.
DATA = """\
VERSION 1
CVE-2026-1001,,Something that is exploited
CVE-2026-1002,,Something else

tfheal-one,0,BHRF,1.1,
tfheal-two,1,BL  ,1.9,

"""
DEBSECAN = f"""\
python3 -c 'import sys, zlib; sys.stdout.buffer.write(zlib.compress(sys.stdin.buffer.read()))' >/root/trixie <<'END'
{DATA}END
mkdir -p /var/lib/debsecan
debsecan --suite trixie --source file:///root --format report --update-history >/dev/null
rm /root/trixie; tail -n +3 /var/lib/debsecan/history | sort
"""


@pytest.fixture
def patched(shop: RunningLab) -> Iterator[RunningLab]:
    """Offer updates of our own to a slice, and take all of that away after the test."""
    with offering(shop, "s1") as lab:
        yield lab


@pytest.fixture
def spec(patched: RunningLab) -> Iterator[Path]:
    """Give the spec of the app, which is as before after the test."""
    file = patched.workspace / "apps/files.yaml"
    before = file.read_text()
    yield file
    file.write_text(before)


def test_a_tick_installs_security_updates_where_it_is_told_to(patched: RunningLab, spec: Path) -> None:
    """Nothing without a word; outside the window it is told till when, and what waited for its `defer` is made all the same.

    Without one those of security alone are, and the owner hears of it.
    """
    assert "patch" not in document(patched, "tick")["parts"]
    before = spec.read_text()
    today = int(patched.on("s1", "date -u +%u"))
    closed = f'window: {{days: [{DAYS[(today + 2) % 7]}], start: "00:00", duration: 1h}}\n'
    spec.write_text(f"{before}patch: {{auto: security}}\n{closed}")
    waits = document(patched, "tick")["parts"]["patch"]
    assert waits["exit"] == 0
    assert "waits for the window" in waits["refused"]["s1"]
    assert "waiting" in findings(document(patched, "status", check=0))
    assert told(patched) == []
    aged(patched, "s1", "tfheal-one")
    (done,) = document(patched, "tick")["parts"]["patch"]["slices"]
    assert (done["outcome"], done["installed"]) == ("done", ["tfheal-one=1.1"])
    assert "waits for the window" in document(patched, "tick")["parts"]["patch"]["refused"]["s1"]
    assert patched.on("s1", VERSIONS) == "1.0 1.1 1.0 1.0 1.0 "
    spec.write_text(f"{before}patch: {{auto: security}}\n")
    (done,) = document(patched, "tick")["parts"]["patch"]["slices"]
    assert (done["outcome"], done["installed"]) == ("done", ["tfheal-stops=1.1"])
    assert patched.on("s1", VERSIONS) == "1.0 1.1 1.0 1.1 1.0 "
    assert told(patched) == [("patch", "before", None), ("patch", "after", "done")] * 2


@pytest.mark.long
def test_a_tick_fetches_lists_and_tries_nothing_twice(patched: RunningLab, spec: Path) -> None:
    """What a list that it fetched brings is installed by the next; what broke the app is taken back, and left alone."""
    also(patched, 'auto = "security"\nlists = "60s"')
    assert spec.exists()
    document(patched, "tick")
    assert patched.on("s1", VERSIONS) == "1.0 1.1 1.0 1.1 1.0 "
    patched.on(
        "s1", "echo 'deb [trusted=yes] file:/root/patches/late ./' >/etc/apt/sources.list.d/tests.list; sleep 60"
    )
    patch = document(patched, "tick", check=5)["parts"]["patch"]
    assert [one["outcome"] for one in patch["slices"]] == ["taken-back"]
    assert patched.on("s1", VERSIONS) == "1.0 1.1 1.0 1.1 1.0 "
    again = document(patched, "tick", check=0)["parts"]["patch"]
    assert [one["outcome"] for one in again["slices"]] == ["idle"]
    fetched = [one for one in document(patched, "history")["actions"] if one["what"] == "fetch"]
    assert [one["outcome"] for one in fetched[-2:]] == ["done", "done"]
    patched.on("s1", "echo 'deb [trusted=yes] file:/root/patches/nothing ./' >/etc/apt/sources.list.d/tests.list")
    assert "could not be fetched" in patched.run("patch", "slice:s1", "--plan", "--fetch", check=5).stderr


@pytest.mark.long
@pytest.mark.parametrize("way", ["repacked", "kept", "none"])
def test_the_version_of_before_comes_from_where_it_is(patched: RunningLab, way: str) -> None:
    """No list offers it any more: it is made from what is installed, or was kept; without either the plan says so, and it stays."""
    if way == "repacked":
        install = "apt-get install -y -q dpkg-repack >/dev/null 2>&1"
        patched.on(
            "s1", f"mv /root/sources.list /etc/apt; apt-get update -q; {install}; mv /etc/apt/sources.list /root"
        )
    patched.on("s1", f"cd /root/patches/late; rm tfheal-breaks_1.0*; sed -i '/^Package/,/^$/d' Packages; {RENEWED}")
    if way == "kept":
        patched.on("s1", "cp /root/patches/old/tfheal-breaks_1.0_all.deb /var/cache/apt/archives/")
    try:
        (plan,) = document(patched, "patch", "slice:s1", "--plan", check=3)["slices"]
        assert [(one["package"], one["returns"]) for one in plan["pending"]] == [("tfheal-breaks", way != "none")]
        shown = patched.run("patch", "slice:s1", "--plan", check=3).stdout
        assert ("cannot be" in shown) == (way == "none")
        (done,) = document(patched, "patch", "slice:s1", "--yes", check=7 if way == "none" else 5)["slices"]
        assert done["outcome"] == ("broken" if way == "none" else "taken-back")
        assert patched.on("s1", VERSIONS).startswith("1.1" if way == "none" else "1.0")
        assert ("nothing of it can be taken back" in done["detail"]) == (way == "none")
    finally:
        patched.on("s1", "rm -f /var/cache/apt/archives/tfheal-*; dpkg -P dpkg-repack >/dev/null 2>&1", check=None)


# A repository of what is left in this folder, and the lists of it.
RENEWED = f"""
for deb in *.deb; do
  dpkg-deb -f "$deb"
  printf 'Filename: ./%s\\nSize: %s\\nSHA256: %s\\n\\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -d ' ' -f 1)"
done >Packages
printf 'Origin: Tests\\nLabel: Tests\\nSuite: tests-security\\nVersion: 13\\nDate: %s\\nSHA256:\\n %s %s Packages\\n' "$(date -uR)" \
  "$(sha256sum Packages | cut -d ' ' -f 1)" "$(stat -c %s Packages)" >Release
{OFFER.format("late")}
"""


@pytest.mark.long
def test_what_debsecan_and_changelogs_say_is_believed(patched: RunningLab) -> None:
    """The real debsecan keeps what it found in the form that is read; a changelog tells what the update in its file closes."""
    install = "apt-get install -y -q --no-install-recommends debsecan >/dev/null 2>&1"
    patched.on("s1", f"mv /root/sources.list /etc/apt; apt-get update -q; {install}; mv /etc/apt/sources.list /root")
    (patched.workspace / "kev.csv").write_text("cveID,vendorProject\nCVE-2026-1001,Tests\nCVE-2026-1003,Tests\n")
    ask = ("patch", "slice:s1", "--plan", "--kev", "kev.csv")
    try:
        assert patched.on("s1", DEBSECAN) == "CVE-2026-1001,tfheal-one,F\nCVE-2026-1002,tfheal-two, \n"
        patched.on("s1", f"rm -rf /var/lib/apt/lists/*; mkdir /var/lib/apt/lists/partial; {OFFER.format('secure')}")
        (plan,) = document(patched, *ask, check=3)["slices"]
        assert plan["pending"][0]["package"] == "tfheal-one"
        assert plan["pending"][0]["exploited"] == ["CVE-2026-1001"]
        patched.on("s1", "rm -rf /var/lib/debsecan")
        patched.on("s1", CHANGELOG)
        (plan,) = document(patched, *ask, check=3)["slices"]
        by_name = {one["package"]: one["exploited"] for one in plan["pending"]}
        assert by_name["tfheal-stops"] == ["CVE-2026-1003"], "and not what an older version closed"
        assert by_name["tfheal-one"] == {"unknown": "neither debsecan nor a changelog tells of it"}
    finally:
        patched.on(
            "s1", "rm -f /var/cache/apt/archives/tfheal-*; apt-get -y -q autoremove --purge debsecan", check=None
        )


# The file of an update as unattended-upgrades leaves it, with a changelog of two versions.
CHANGELOG = r"""
cd /root; folder=build/usr/share/doc/tfheal-stops; mkdir -p $folder build/DEBIAN
printf 'Package: tfheal-stops\nVersion: 1.1\nArchitecture: all\nMaintainer: nobody <x@example.test>\nDescription: x\n' >build/DEBIAN/control
printf 'tfheal-stops (1.1) x; urgency=high\n\n  * CVE-2026-1003: closed.\n\n -- x\n\ntfheal-stops (1.0) x; urgency=low\n\n  * CVE-2026-1001\n\n -- x\n' |
  gzip >$folder/changelog.gz
dpkg-deb -b build /var/cache/apt/archives/tfheal-stops_1.1_all.deb >/dev/null; rm -rf build
"""


@pytest.mark.long
def test_a_reboot_whose_run_was_killed_is_looked_after_by_the_next(patched: RunningLab) -> None:
    """The slice reboots all the same; the next run finds that nobody looked at its apps since, and does."""
    also(patched, 'reboot = "by-hand"')
    patched.on("s1", "rm /etc/apt/sources.list.d/tests.list; mkdir -p /etc/tfheal")
    patched.on("s1", "echo 'allow = [\"reboot\"]' >/etc/tfheal/charter.toml; touch /run/reboot-required")
    patched.on("s1", OLD_ENOUGH)
    boot = patched.on("s1", BOOT)
    with subprocess.Popen(patched.command("patch", "slice:s1", "--reboot", "--yes"), stderr=subprocess.PIPE) as running:
        assert running.stderr is not None
        while b"is rebooted" not in running.stderr.readline():
            pass
        patched.on("s1", "until grep -q changing /var/lib/tfheal/patch.d/report; do sleep 0.1; done", check=None)
        running.kill()
    until = time.monotonic() + 60
    while patched.on("s1", BOOT, check=None) in {"", boot} and time.monotonic() < until:
        time.sleep(0.5)
    assert "patch-unfinished" in findings(document(patched, "status", check=None))
    (done,) = document(patched, "patch", "slice:s1", "--reboot", "--yes")["slices"]
    assert (done["outcome"], done["rebooted"]) == ("done", False)
    assert "patch-unfinished" not in findings(document(patched, "status", check=0))
    assert "reboot" in {one["what"] for one in document(patched, "history", "files")["actions"]}


LATE = "/etc/systemd/system/ssh.service.d"
BROKEN = f"/etc/systemd/system/{APP}.d"


@pytest.mark.long
def test_a_reboot_that_goes_wrong_calls_a_human(patched: RunningLab, spec: Path) -> None:
    """Outside the window there is none. A slice that does not come back in time, and one whose app is not well then, end with 7."""
    also(patched, 'reboot = "by-hand"\nreboot_patience = "15s"')
    patched.on("s1", "rm /etc/apt/sources.list.d/tests.list; mkdir -p /etc/tfheal")
    patched.on("s1", "echo 'allow = [\"reboot\"]' >/etc/tfheal/charter.toml; touch /run/reboot-required")
    ask = ("patch", "slice:s1", "--reboot", "--yes")
    boot, before = patched.on("s1", f"{OLD_ENOUGH}; {BOOT}"), spec.read_text()
    today = int(patched.on("s1", "date -u +%u"))
    spec.write_text(f'{before}window: {{days: [{DAYS[(today + 2) % 7]}], start: "00:00", duration: 1h}}\n')
    assert "it waits for the window of its apps" in patched.run(*ask, check=6).stdout
    spec.write_text(before)
    assert (patched.on("s1", BOOT), told(patched)) == (boot, [])
    try:
        patched.on("s1", f"mkdir -p {LATE}; printf '[Service]\\nExecStartPre=/bin/sleep 45\\n' >{LATE}/late.conf")
        (gone,) = document(patched, *ask, check=7)["slices"]
        assert (gone["outcome"], "did not come back within 15 s" in gone["detail"]) == ("broken", True), gone
        assert last_call(patched) == ("files", "s1", "reboot", gone["detail"])
        assert told(patched) == [("reboot", "before", None), ("reboot", "after", "broken")]
        until = time.monotonic() + 90
        while patched.on("s1", BOOT, check=None) in {"", boot} and time.monotonic() < until:
            time.sleep(1)
        patched.on("s1", f"rm -r {LATE}; systemctl daemon-reload")
        assert "patch-unfinished" in findings(document(patched, "status", check=None))
        assert document(patched, "patch", "slice:s1", "--yes")["slices"][0]["outcome"] == "done"
        # It is read when the slice boots, and not before.
        breaks = f"mkdir -p {BROKEN}; printf '[Service]\\nExecStartPre=/bin/false\\n' >{BROKEN}/broken.conf"
        patched.on("s1", f"{OLD_ENOUGH}; touch /run/reboot-required; {breaks}")
        (ill,) = document(patched, *ask, check=7)["slices"]
        assert (ill["outcome"], "files/web@s1 is down" in ill["detail"]) == ("broken", True), ill
        assert "since the reboot" in ill["detail"]
        assert last_call(patched) == ("files", "s1", "reboot", ill["detail"])
    finally:
        patched.on("s1", f"rm -rf {LATE} {BROKEN}; systemctl daemon-reload; systemctl restart {APP}", check=None)
    assert document(patched, "patch", "slice:s1", "--yes")["slices"][0]["outcome"] == "done"


def last_call(lab: RunningLab) -> tuple[str, str, str, str]:
    """Return which app the last page is about, on which slice, and what it says."""
    page = json.loads((lab.workspace / "pages.jsonl").read_text().splitlines()[-1])
    return page["app"], page["slice"], page["cause"], page["detail"]


OLD_ENOUGH = "while [ $(ps -o etimes= -p 1) -lt 121 ]; do sleep 1; done"
BOOT = "cat /proc/sys/kernel/random/boot_id"
