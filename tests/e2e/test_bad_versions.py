"""What can be wrong with a version, one thing each: it is taken back by itself, under load, and nobody outside notices but of what is said.

The app is `talk`: requests, a WebSocket and long uploads, of which each instance keeps account before it acknowledges one.
`bash tests/run -m long -n 0 tests/e2e/test_bad_versions.py` plays them all.
"""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from documents import actions, document
from running_lab import RunningLab
from talking import spec, talking
from visitors import Counts, Visitors

pytestmark = [pytest.mark.lab, pytest.mark.long]
HOST = "talk.example"
RATE = 60  # requests a second
UPGRADE = ("upgrade", "talk", "--no-backup", "--again")
KEPT = "cat /srv/tfheal/talk/web/kept 2>/dev/null | wc -l"
RELEASES = "/opt/tfheal/talk/web/releases"
# less room than an upgrade leaves free, with all that is there in it
CROWDED = f"mount -t tmpfs -o size=60m none /mnt && cp -a {RELEASES}/. /mnt/ && mount --bind /mnt {RELEASES}"
ROOMY = f"umount {RELEASES}; umount /mnt"


@pytest.fixture(scope="module")
def talk(fleet: RunningLab) -> Iterator[RunningLab]:
    """Have version 1 on s1 and s2, and the gateway that leads to it on s3; taken away after the last test."""
    with talking(fleet, spec(HOST)):
        yield fleet


@dataclass(frozen=True, slots=True)
class Seen:
    """What is to be the same before a version that fails and after it, and what was acknowledged until then."""

    releases: dict[str, str]
    spec: str
    kept: int


def seen(lab: RunningLab) -> Seen:
    """Return what is there, and see that all is well, at the gateway too."""
    until = time.monotonic() + 60
    while True:
        status = document(lab, "status", "talk", "edge", check=None)
        there = document(lab, "gateway", "status")["gateways"][0]["backends"]
        if status["health"] == "healthy" and {one["state"] for one in there} == {"UP"}:
            break
        assert time.monotonic() < until, (status, there)
        time.sleep(1)
    (app,) = (one for one in status["apps"] if one["app"] == "talk")
    releases = {one["slice"]: one["release"] for one in app["instances"]}
    kept = sum(int(lab.on(name, KEPT)) for name in ("s1", "s2"))
    return Seen(releases, (lab.workspace / "apps/talk.yaml").read_text(), kept)


def is_as_before(lab: RunningLab, before: Seen, counts: Counts) -> None:
    """Demand the same releases and spec, every upload that was acknowledged, and that nothing is left to be healed."""
    now = seen(lab)
    assert (now.releases, now.spec) == (before.releases, before.spec)
    assert now.kept - before.kept >= counts.uploads > 0, (before, now, counts)
    assert actions(document(lab, "heal", "--auto", "talk")) == []


def upgraded(lab: RunningLab, to: str, *words: str, check: int = 5) -> tuple[dict[str, Any], Counts]:
    """Upgrade under load, and return what was said and what the visitors met."""
    with Visitors(lab.address("s3"), HOST, RATE) as visitors:
        done = document(lab, *UPGRADE, "--to", to, *words, check=check)
        time.sleep(2)
    return done, visitors.counts


@pytest.mark.parametrize(
    ("version", "soak", "says"),
    [
        ("3-starts-not", "1s", "did not stay up"),
        ("3-dies", "40s", ""),
        ("3-ready-not", "1s", "not-ready"),
        ("3-package", "1s", "No matching distribution"),
        ("3-hash", "1s", "HASHES"),
    ],
)
def test_a_version_of_no_use_is_taken_back(talk: RunningLab, version: str, soak: str, says: str) -> None:
    """It starts not, dies after 20 s, is never ready, cannot be had, is not what was locked: the second instance never has it."""
    before = seen(talk)
    done, counts = upgraded(talk, version, "--soak", soak)
    assert (done["state"], says in done["detail"]) == ("rolled-back", True), done["detail"]
    assert [one["instance"] for one in done["instances"]] == ["talk/web@s1"], "the first one gates the rest"
    assert (counts.failed, counts.uploads_failed) == ({}, {}), counts
    is_as_before(talk, before, counts)
    refused = document(talk, *UPGRADE[:-1], "--to", version, check=6)["error"]
    assert "is held" in refused["what"]


def test_a_disk_that_is_too_small_is_told_before_and_found_midway(talk: RunningLab) -> None:
    """Nothing is begun where there is no room; where it is gone once the first instance is switched, that is taken back. The version is not to blame."""
    before = seen(talk)
    try:
        talk.on("s2", CROWDED)
        refused = document(talk, *UPGRADE, "--to", "2", check=6)["error"]
        assert "are needed beside what is there" in refused["why"], refused
    finally:
        talk.on("s2", ROOMY)
    with Midway(talk, CROWDED, "s2"):
        done, counts = upgraded(talk, "2", "--soak", "8s")
    talk.on("s2", ROOMY)
    assert (done["state"], "no room" in done["detail"]) == ("rolled-back", True), done
    assert (counts.failed, counts.uploads_failed) == ({}, {}), counts
    is_as_before(talk, before, counts)
    assert document(talk, *UPGRADE[:-1], "--to", "2", "--plan", check=3)["refused"] == ""


def test_a_gateway_that_is_gone_midway_leaves_no_half_of_an_upgrade(talk: RunningLab) -> None:
    """What cannot be drained any more is not worked on: the instance that had the version gets the former one back."""
    before = seen(talk)
    try:
        with Midway(talk, "systemctl stop tfheal-edge-gateway", "s3"):
            done, counts = upgraded(talk, "2", "--soak", "8s")
    finally:
        talk.on("s3", "systemctl start tfheal-edge-gateway")
    assert (done["state"], "gateway" in done["detail"]) == ("rolled-back", True), done
    assert "taken back" in next(one["outcome"] for one in done["instances"] if one["instance"] == "talk/web@s1")
    counts.uploads = max(counts.uploads, 1)  # the gateway was away: what was on its way then is lost
    is_as_before(talk, before, counts)
    assert document(talk, *UPGRADE[:-1], "--to", "2", "--plan", check=3)["refused"] == "", "the version is not to blame"


class Midway(threading.Thread):
    """Runs a script on a slice as soon as s1 serves another version than 1."""

    def __init__(self, lab: RunningLab, script: str, where: str) -> None:
        """Keep what is to be run, and where."""
        super().__init__()
        self._lab, self._script, self._where, self._over = lab, script, where, threading.Event()

    def run(self) -> None:
        """Wait for it, and run the script."""
        asked = "curl -s -m 2 --noproxy '*' http://127.0.0.1:8092/health || true"
        while not self._over.wait(0.3):
            if self._lab.on("s1", asked).strip() == "talk 2":
                self._lab.on(self._where, self._script)
                return

    def __enter__(self) -> None:
        """Begin to wait."""
        self.start()

    def __exit__(self, *_: object) -> None:
        """Wait no more."""
        self._over.set()
        self.join()
