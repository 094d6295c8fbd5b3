"""Labs come and go; whatever was killed on the way, the machine is afterwards as it was before."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_lab import LABS, RunningLab
from sandbox import Sandbox

pytestmark = pytest.mark.lab

FILES_LEFT = {"tfheal.toml", "inventory.toml", "known_hosts"}
FIREWALL = "table inet other { chain passing { type filter hook forward priority 0; policy drop; }; }"


@pytest.fixture
def before(apart: Sandbox) -> Iterator[str]:
    """How the machine is before a lab; afterwards it must be so again."""
    seen = apart.look()
    yield seen
    assert apart.look().splitlines() == seen.splitlines()


def test_two_labs_stand_side_by_side_and_go_without_a_trace(apart: Sandbox) -> None:
    """Each has its own network and rules; the first one down takes nothing from the second; settings come back last."""
    apart.sh(f"nft '{FIREWALL}'; echo 0 > /proc/sys/net/ipv4/conf/all/accept_redirects")
    before = apart.look()
    one, two = apart.lab("one"), apart.lab("two")
    one.do("up", "--slices", "1")
    two.do("up", "--slices", "2")
    assert set(two.slices()) == {"s1", "s2"}
    assert len({one.on("s1", "cat /etc/machine-id"), two.on("s1", "cat /etc/machine-id")}) == 2
    assert f'iifname "{_bridge(apart, two)}" accept' in apart.sh("nft list table inet other")
    one.do("down")
    assert (apart.traces(one), two.on("s2", "hostname")) == ("", "s2\n")
    assert apart.sh("cat /proc/sys/net/ipv4/ip_forward") == "1\n"
    assert two.do("down")["was_there"]
    assert not two.do("down")["was_there"]
    assert apart.traces(two) == ""
    assert apart.look().splitlines() == before.splitlines()
    assert {path.name for path in one.workspace.rglob("*") if path.is_file()} == FILES_LEFT
    assert "s1" not in two.known_hosts.read_text() + (two.workspace / "inventory.toml").read_text()
    apart.sh("nft delete table inet other")


def _bridge(apart: Sandbox, lab: RunningLab) -> str:
    address = lab.slices()["s1"]["address"]
    return apart.sh(f"ip -o route get {address} | grep -o 'dev [^ ]*' | cut -d' ' -f2").strip()


@pytest.mark.parametrize("delay", [0.35, 0.5, 0.7, 1.0, 1.4])
def test_a_killed_up_is_taken_down_without_a_trace(apart: Sandbox, before: str, delay: float) -> None:
    """`lab up` dies somewhere between its first file and its last answer; `lab down` finds all that it began."""
    assert before
    lab = apart.lab(f"k{int(delay * 100)}")
    _killed(lab, delay)
    lab.do("down")
    assert apart.traces(lab) == ""
    assert not list(lab.workspace.rglob("id_ed25519*"))


def test_a_killed_up_is_finished_by_the_next(apart: Sandbox, before: str) -> None:
    """What is there is used, what is missing is made."""
    assert before
    lab = apart.lab("again")
    _killed(lab, 0.8)
    lab.do("up", "--slices", "2")
    assert [lab.on(name, "hostname") for name in ("s1", "s2")] == ["s1\n", "s2\n"]
    lab.do("down")
    assert apart.traces(lab) == ""


def _killed(lab: RunningLab, delay: float) -> None:
    with subprocess.Popen(
        lab.command("lab", "up", "--slices", "2", "--name", lab.name),
        cwd=lab.workspace,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as up:
        time.sleep(delay)
        os.killpg(up.pid, signal.SIGKILL)


def test_a_slice_whose_nspawn_was_killed_is_found_and_ended(apart: Sandbox, before: str) -> None:
    """Its processes outlive their supervisor: `up` ends them and boots it again, and `down` leaves none of them."""
    assert before
    lab = apart.lab("orphan")
    lab.do("up", "--slices", "2")
    boot = lab.on("s1", "cat /proc/sys/kernel/random/boot_id")
    os.kill(_supervisor(lab, "s1"), signal.SIGKILL)
    lab.do("up")
    assert lab.on("s1", "systemctl is-system-running --wait; true") == "running\n"
    assert boot
    os.kill(_supervisor(lab, "s2"), signal.SIGKILL)
    assert set(lab.slices()) == {"s1", "s2"}
    lab.do("down")
    assert apart.traces(lab) == ""


def test_the_cache_goes_but_for_images_that_slices_stand_on(apart: Sandbox, lab: RunningLab) -> None:
    """An image is known as used by the mounts of running slices too, whoever's records are at hand."""
    used = json.loads((LABS / lab.name / "lab.json").read_text())["image"]
    cache = "/var/cache/tfheal-lab"
    apart.sh(f"mount -t tmpfs tmpfs {cache}; mkdir -p {cache}/images/{used} {cache}/images/{'0' * 16}")
    some = apart.lab("cache")
    some.do("down", "--cache")
    assert apart.sh(f"ls {cache}/images") == f"{used}\n"
    apart.sh(f"mv {cache}/images/{used} {cache}/images/unused")
    some.do("down", "--cache")
    assert apart.sh(f"ls {cache}; umount {cache}") == ""


def _supervisor(lab: RunningLab, name: str) -> int:
    place = f"/{lab.name}/slices/{name}/root".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        words = (folder / "cmdline").read_bytes() if folder.exists() else b""
        if words.startswith(b"systemd-nspawn") and place in words:
            return int(folder.name)
    raise AssertionError(name)
