"""What a lab cannot be made of is said before anything is touched: one clear error each, exit code 2."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from running_lab import LABS, RunningLab, name_of_ours, new_workspace
from sandbox import Sandbox

from tfheal.base.errors import UsageError
from tfheal.lab import preconditions

pytestmark = pytest.mark.lab

IMAGES = Path("/var/cache/tfheal-lab/images")
MINE = "/usr/local/share/ca-certificates"


def _refused(lab: RunningLab, *words: str, first: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the error of a `lab up` that is refused; nothing is left of it."""
    ran = subprocess.run(
        [*lab.around, *first, *lab.command("lab", "up", "--name", lab.name, "--json", *words)[len(lab.around) :]],
        cwd=lab.workspace,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2, (ran.stdout, ran.stderr)
    assert not (LABS / lab.name).exists()
    assert not (lab.workspace / ".tfheal").exists()
    return dict(json.loads(ran.stdout)["error"])


@pytest.fixture
def wanted(lab_ground: Path, request: pytest.FixtureRequest) -> RunningLab:
    """Return a lab that is not to come about."""
    folder = lab_ground / request.node.name.replace("/", "-")[:60]
    return RunningLab(name_of_ours("no"), new_workspace(folder))


def test_nobody_but_root_makes_a_lab(wanted: RunningLab) -> None:
    """The hint is to use sudo."""
    error = _refused(wanted, first=("unshare", "--user"))
    assert (error["what"], error["do"]) == ("a lab needs root", "run it as root: sudo tfheal lab …")


def test_only_linux_can_have_a_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    """On another system nothing is tried."""
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    with pytest.raises(UsageError, match="a lab needs Linux"):
        preconditions.check()


def test_a_lab_needs_loop_devices(wanted: RunningLab) -> None:
    """Without them a slice could have no disk of its own size."""
    bare = 'mount -t tmpfs none /dev; mknod /dev/null c 1 3; mknod /dev/urandom c 1 9; exec "$@"'
    error = _refused(wanted, first=("unshare", "--mount", "--propagation", "private", "sh", "-ec", bare, "sh"))
    assert (error["what"], error["do"]) == ("a lab needs loop devices", "modprobe loop")


def test_missing_packages_are_asked_for(wanted: RunningLab) -> None:
    """Without a terminal the message names the packages, and the flag that says yes."""
    bare = 'mount --bind /dev/null /usr/bin/mmdebstrap; exec "$@"'
    error = _refused(wanted, first=("unshare", "--mount", "--propagation", "private", "sh", "-ec", bare, "sh"))
    assert "mmdebstrap" in error["why"]
    assert "--yes" in error["do"]


_TWO_APTS = """
mount -t tmpfs none /var/lib/apt/lists
mount -t tmpfs none /etc/apt/sources.list.d
[ ! -e /etc/apt/sources.list ] || mount --bind /dev/null /etc/apt/sources.list
exec "$@"
"""
_INSTALLS_MEANWHILE = """
import fcntl, multiprocessing, time
from tfheal.lab import preconditions
with open("/var/lib/apt/lists/lock", "w") as held:
    fcntl.lockf(held, fcntl.LOCK_EX)
    installing = multiprocessing.Process(target=preconditions.install, args=(("apt",),))
    installing.start()
    time.sleep(2)
    print(installing.is_alive())
installing.join()
print(installing.exitcode)
"""


def test_packages_wait_for_another_apt() -> None:
    """Neither two labs that are set up at once nor a machine that updates itself fail over apt's lock."""
    apart = ("unshare", "--mount", "--propagation", "private", "sh", "-ec", _TWO_APTS, "sh")
    ran = subprocess.run(
        [*apart, sys.executable, "-c", _INSTALLS_MEANWHILE], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["True", "0"], ran.stderr


def test_nothing_is_left_to_take_down_where_programs_are_missing(wanted: RunningLab) -> None:
    """What says that a lab could not be made is the last word: taking it down does not fail over the same."""
    bare = 'mount --bind /dev/null "$(command -v nft)"; exec "$@"'
    without = ("unshare", "--mount", "--propagation", "private", "sh", "-ec", bare, "sh")
    replace(wanted, around=(*wanted.around, *without)).run("lab", "down", "--name", wanted.name, check=0)


def test_an_image_is_not_begun_without_a_network(apart: Sandbox, lab: RunningLab) -> None:
    """It is needed only where there is no image yet: the message names the mirror."""
    assert lab
    bare = 'mount -t tmpfs none /var/cache; exec "$@"'
    error = _refused(
        apart.lab("nonet"), first=("unshare", "--mount", "--propagation", "private", "sh", "-ec", bare, "sh")
    )
    assert error["what"] == "the base image has to be built, and the package mirror cannot be reached"
    assert error["why"].startswith("http")


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (("--slices", "0"), "--slices"),
        (("--slices", "201"), "--slices"),
        (("--disk", "2X"), "--disk"),
        (("--memory", "1M"), "--memory"),
        (("--memory", "-1"), "--memory"),
    ],
)
def test_odd_numbers_are_refused(wanted: RunningLab, words: tuple[str, ...], where: str) -> None:
    """Each names its flag."""
    assert _refused(wanted, *words)["where"] == where


@pytest.mark.parametrize("name", ["Lab", "../lab", "a b", "", "-x", "a" * 32])
def test_odd_names_are_refused(wanted: RunningLab, name: str) -> None:
    """A name becomes a path and a network: it is checked before it is used."""
    assert wanted.run("lab", "up", f"--name={name}", check=2)


def test_no_workspace_no_lab(wanted: RunningLab) -> None:
    """The hint is to make one."""
    (wanted.workspace / "tfheal.toml").unlink()
    assert "tfheal init" in _refused(wanted)["do"]


def test_slices_of_others_are_not_overwritten(wanted: RunningLab) -> None:
    """A slice of that name in the inventory is somebody's."""
    text = '[owners.acme]\n[slices.s2]\nowner = "acme"\naddress = "192.0.2.9"\n'
    (wanted.workspace / "inventory.toml").write_text(text)
    assert _refused(wanted, "--slices", "2")["what"] == "the inventory already has another slice s2"
    assert (wanted.workspace / "inventory.toml").read_text() == text


def test_a_lab_belongs_to_one_workspace(lab: RunningLab, wanted: RunningLab) -> None:
    """Another workspace cannot take it over by its name."""
    error = wanted.run("lab", "up", "--name", lab.name, check=2).stderr
    assert str(lab.workspace) in error
    assert lab.on("s1", "hostname") == "s1\n"


def test_a_lab_can_be_taken_down_when_its_workspace_is_gone(apart: Sandbox) -> None:
    """What was made on this machine is found without it."""
    lab = apart.lab("gone")
    lab.do("up", "--slices", "1")
    shutil.rmtree(lab.workspace)
    elsewhere = RunningLab(lab.name, new_workspace(apart.ground / "elsewhere"), apart.around)
    assert elsewhere.do("down")["was_there"]
    assert apart.traces(lab) == ""


def test_a_killed_image_build_leaves_no_builder(lab: RunningLab, wanted: RunningLab, tmp_path: Path) -> None:
    """`lab up` is killed while it builds an image: all its processes go with it, and the image is not taken for whole."""
    assert lab
    before = set(IMAGES.iterdir())
    (tmp_path / "other.crt").write_text(f"no certificate, but another image for {wanted.name}")
    other = f'mkdir -p {MINE}; mount -t tmpfs none {MINE}; cp {tmp_path}/other.crt {MINE}; exec "$@"'
    first = ("unshare", "--mount", "--propagation", "private", "sh", "-ec", other, "sh")
    command = [*first, *wanted.command("lab", "up", "--slices", "1", "--name", wanted.name)]
    with subprocess.Popen(command, cwd=wanted.workspace, stderr=subprocess.DEVNULL, start_new_session=True) as up:
        try:
            _await(lambda: any(path.suffix == ".partial" for path in set(IMAGES.iterdir()) - before))
            time.sleep(1)
        finally:
            os.killpg(up.pid, signal.SIGKILL)
    _await(lambda: not _builders())
    left = set(IMAGES.iterdir()) - before
    assert left
    assert not [path for path in left if re.fullmatch("[0-9a-f]{16}", path.name)]
    wanted.do("down")
    for path in left:
        subprocess.run(["rm", "-rf", "--one-file-system", str(path)], check=True)


def _builders() -> list[str]:
    words = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in words if ".partial" in line and str(IMAGES) in line]


def _await(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)
