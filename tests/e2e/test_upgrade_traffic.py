"""Upgrades judged by the traffic, on real slices: what is well by every check and fails its users is taken back by itself."""

import contextlib
import http.client
import json
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from documents import document
from running_lab import RunningLab
from visiting import Visiting

pytestmark = pytest.mark.lab
PLAYBOOK = Path(__file__).parent / "shaky"
NAME = "shaky.example"
EDGE = 'app: edge\nowner: lab\nplaybook: gateway\nversion: "debian"\nplace: {gateway: [s3]}\nheal: {reflex: off}\n'
SPEC = f"""\
app: shaky
owner: lab
playbook: shaky
version: "1"
hostname: {NAME}
route: {{gateway: edge}}
place: {{web: [s1, s2]}}
heal: {{reflex: off}}
"""
CLIENTS = 4
CANARY = ("upgrade", "shaky", "--strategy", "canary", "--again")


@pytest.fixture
def shaky(served: RunningLab) -> RunningLab:
    """Have version 1 on both, whatever the test before left."""
    served.run("rollback", "shaky", check=None)
    (served.workspace / "apps/shaky.yaml").write_text(SPEC)
    served.run("deploy", "shaky", "--in-place")
    return served


@pytest.fixture(scope="module")
def served(fleet: RunningLab) -> Iterator[RunningLab]:
    """Have version 1 of a small server on s1 and s2, behind a gateway on s3; taken away after the last test."""
    root = fleet.workspace
    shutil.copytree(PLAYBOOK, root / "playbooks/shaky")
    (root / "apps").mkdir(exist_ok=True)
    (root / "apps/edge.yaml").write_text(EDGE)
    (root / "apps/shaky.yaml").write_text(SPEC)
    try:
        fleet.run("deploy", "shaky", "edge")
        yield fleet
    finally:
        fleet.run("remove", "shaky", "edge", "--data", "--yes", check=None)
        for name in ("edge", "shaky"):
            (root / f"apps/{name}.yaml").unlink()
        shutil.rmtree(root / "playbooks/shaky")


class Load(Visiting):
    """Visitors who ask one after another until they are told to stop; how often each version answered with which status is counted."""

    def __init__(self, lab: RunningLab) -> None:
        """Keep whom to ask."""
        self.said: Counter[tuple[str, int]] = Counter()
        self._address = lab.address("s3")
        super().__init__([self._visit] * CLIENTS)

    def _visit(self) -> None:
        connection = http.client.HTTPConnection(self._address, 80, timeout=10)
        with contextlib.closing(connection):
            while not self._over.wait(0.02):
                try:
                    self.said[ask(connection)] += 1
                except (OSError, http.client.HTTPException) as error:
                    self.said[repr(error), 0] += 1
                    connection.close()


def ask(connection: http.client.HTTPConnection, path: str = "/") -> tuple[str, int]:
    """Ask once, and return which version answered, with which status."""
    connection.request("GET", path, headers={"Host": NAME})
    answer = connection.getresponse()
    return answer.read().decode().strip(), answer.status


def backends(lab: RunningLab) -> dict[str, dict[str, Any]]:
    """Return what the gateway says of each instance, by its slice."""
    (gateway,) = document(lab, "gateway", "status")["gateways"]
    return {one["instance"].partition("@")[2]: one for one in gateway["backends"]}


def at_rest(lab: RunningLab, version: str) -> None:
    """Demand that all is well, at a version, each instance with its whole share and drained by nobody."""
    seen = document(lab, "status", "shaky")
    assert seen["health"] == "healthy", seen
    until = time.monotonic() + 30
    while (found := backends(lab)) and time.monotonic() < until:
        if {(one["state"], one["owner"], one["weight"]) for one in found.values()} == {("UP", "", 100)}:
            break
        time.sleep(0.5)
    else:
        raise AssertionError(found)
    for name in ("s1", "s2"):
        assert f"version {version}" in lab.on(name, "curl -s http://127.0.0.1:8093/health")


def test_what_is_healthy_and_fails_its_users_is_taken_back(shaky: RunningLab) -> None:
    """One request of twenty fails, no check does: the first instance has its version of before again, the other never had the new one."""
    at_rest(shaky, "1")
    with Load(shaky) as load:
        done = document(shaky, "upgrade", "shaky", "--to", "3", "--again", check=5)
    assert done["state"] == "rolled-back", done
    assert [one["instance"] for one in done["instances"]] == ["shaky/web@s1"]
    assert "of its requests failed, and 0 of " in done["detail"], done
    assert {status for (_, status) in load.said} == {200, 500}, load.said
    at_rest(shaky, "1")
    assert "is held" in document(shaky, "upgrade", "shaky", "--to", "3", check=6)["error"]["what"]


def begun(lab: RunningLab, *words: str) -> subprocess.Popen[str]:
    """Begin an upgrade, and return once its canary has its share of the traffic."""
    process = subprocess.Popen(lab.command(*CANARY, *words), cwd=lab.workspace, stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + 90
    while time.monotonic() < until:
        first = backends(lab)["s1"]
        if first["weight"] != 100 and first["state"].startswith("UP") and process.poll() is None:
            return process
        time.sleep(0.3)
    process.kill()
    raise AssertionError(process.communicate())


def ended(process: subprocess.Popen[str], code: int) -> dict[str, Any]:
    """Return what an upgrade said that was begun with --json, and demand its exit code."""
    said = json.loads(process.communicate(timeout=120)[0])
    assert said["exit"] == process.returncode == code, said
    return dict(said)


@pytest.mark.long
def test_a_canary_that_does_well_is_followed(shaky: RunningLab) -> None:
    """It gets the share that was asked for, and no more; then the other follows, and each has a full share."""
    at_rest(shaky, "1")
    plan = document(shaky, *CANARY, "--to", "2", "--plan", check=3)
    assert (plan["strategy"], plan["share"], plan["trial"], plan["refused"]) == ("canary", 20, 8, "")
    with Load(shaky) as load:
        process = begun(shaky, "--to", "2", "--share", "10", "--time", "16s", "--json")
        time.sleep(3)
        before = Counter(load.said)
        time.sleep(5)
        there = Counter(load.said) - before
        done = ended(process, 0)
    assert 0.05 < there["version 2", 200] / there.total() < 0.15, there
    assert (done["state"], {one["outcome"] for one in done["instances"]}) == ("done", {"done"})
    assert {status for (_, status) in load.said} == {200}, load.said
    at_rest(shaky, "2")
    document(shaky, "rollback", "shaky")
    at_rest(shaky, "1")


@pytest.mark.long
def test_a_canary_that_fails_its_users_is_taken_back(shaky: RunningLab) -> None:
    """By its errors alone, with nobody there; those that it failed are a few of its share."""
    at_rest(shaky, "1")
    with Load(shaky) as load:
        done = document(shaky, *CANARY, "--to", "3", "--share", "30", "--time", "20s", check=5)
    assert (done["state"], "of its requests failed" in done["detail"]) == ("rolled-back", True), done
    assert [one["instance"] for one in done["instances"]] == ["shaky/web@s1"]
    failed = sum(count for (_, status), count in load.said.items() if status != 200)
    assert 0 < failed < load.said.total() / 50, load.said
    at_rest(shaky, "1")


@pytest.mark.long
def test_a_canary_whose_check_fails_in_its_trial_is_taken_back(shaky: RunningLab) -> None:
    """It is well until it had its share for some seconds, and nobody asks it anything: the checks alone decide."""
    at_rest(shaky, "1")
    done = document(shaky, *CANARY, "--to", "5", "--time", "30s", check=5)
    assert (done["state"], "not-ready: serves: HTTP 500" in done["detail"]) == ("rolled-back", True), done
    assert [one["instance"] for one in done["instances"]] == ["shaky/web@s1"]
    at_rest(shaky, "1")


def killed(lab: RunningLab) -> None:
    """Begin an upgrade, and kill it once its canary has its share."""
    process = begun(lab, "--to", "2", "--time", "60s")
    process.kill()
    process.communicate()


def sore(lab: RunningLab, requests: int, pairs: int) -> None:
    """Ask one after the other, and some pairs for what version 4 fails: in turns one of each pair meets it."""
    connection = http.client.HTTPConnection(lab.address("s3"), 80, timeout=10)
    with contextlib.closing(connection):
        for number in range(requests // 2):
            path = "/sore" if number < pairs else "/"
            for _ in range(2):
                ask(connection, path)


@pytest.mark.long
def test_a_canary_that_proves_nothing_asks(shaky: RunningLab) -> None:
    """A few failures of some hundred requests may be chance: a human is called (7), who goes on, or takes it back."""
    at_rest(shaky, "1")
    pages = shaky.workspace / "pages.jsonl"
    called = pages.read_text().count("upgrade-undecided") if pages.exists() else 0
    process = begun(shaky, "--to", "4", "--share", "49", "--time", "20s", "--json")
    time.sleep(11)  # until it started slowly
    sore(shaky, 300, 4)
    done = ended(process, 7)
    assert (done["state"], "neither better nor worse is proven" in done["detail"]) == ("undecided", True), done
    assert " of its requests failed, and 0 of " in done["detail"]
    assert pages.read_text().count("upgrade-undecided") == called + 1
    document(shaky, "upgrade", "shaky", "--to", "2", check=6)
    assert "version 4" in shaky.on("s1", "curl -s http://127.0.0.1:8093/health"), "it stays until somebody says"
    assert "version 1" in shaky.on("s2", "curl -s http://127.0.0.1:8093/health")
    assert document(shaky, "upgrade", "shaky", "--to", "4", "--go-on")["state"] == "done"
    at_rest(shaky, "4")
    document(shaky, "rollback", "shaky")
    at_rest(shaky, "1")
    document(shaky, "upgrade", "shaky", "--to", "4", "--go-on", check=2)


@pytest.mark.long
def test_a_canary_whose_run_is_killed_gets_its_full_share_again(shaky: RunningLab) -> None:
    """By whoever goes on or takes it back; and where nobody does, by a timer of the gateway."""
    at_rest(shaky, "1")
    killed(shaky)
    assert backends(shaky)["s1"]["weight"] == 25, "20 percent beside one other"
    assert "tfheal-weight-shaky.s1.timer" in shaky.on("s3", "systemctl list-timers --no-legend")
    document(shaky, "rollback", "shaky")
    at_rest(shaky, "1")
    killed(shaky)
    shaky.on("s3", "systemctl start tfheal-weight-shaky.s1.service")  # what its timer does when its time is over
    assert backends(shaky)["s1"]["weight"] == 100
    done = document(shaky, "upgrade", "shaky", "--to", "2", "--time", "4s")
    assert (done["state"], done["strategy"]) == ("done", "rolling"), "it went on as a canary, and the other followed"
    at_rest(shaky, "2")
    document(shaky, "rollback", "shaky")


@pytest.mark.long
def test_the_only_instance_is_compared_with_what_came_before(shaky: RunningLab) -> None:
    """There is none beside it: what the gateway counted of the version before says how many failures were usual."""
    spec = shaky.workspace / "apps/shaky.yaml"
    spec.write_text(SPEC.replace("[s1, s2]", "[s1]"))
    shaky.run("remove", "shaky/web@s2", "--yes")
    try:
        shaky.run("deploy", "shaky", "edge")
        assert "its only instance" in document(shaky, *CANARY, "--to", "2", check=6)["error"]["why"]
        with Load(shaky):
            time.sleep(5)
            done = document(shaky, "upgrade", "shaky", "--to", "3", "--again", check=5)
        assert (done["state"], " before" in done["detail"]) == ("rolled-back", True), done
        assert "version 1" in shaky.on("s1", "curl -s http://127.0.0.1:8093/health")
    finally:
        spec.write_text(SPEC)
        shaky.run("deploy", "shaky", "edge", "--in-place")


@pytest.mark.long
def test_what_can_have_no_canary_is_refused(shaky: RunningLab) -> None:
    """Without a gateway, or with one instance, no share can be given: nothing is changed."""
    (spec := shaky.workspace / "apps/shaky.yaml").write_text(SPEC.replace("route: {gateway: edge}\n", ""))
    try:
        shaky.run("deploy", "shaky")
        refused = document(shaky, *CANARY, "--to", "2", check=6)["error"]
    finally:
        spec.write_text(SPEC)
        shaky.run("deploy", "shaky", "edge")
    assert (refused["what"], "no gateway leads to it" in refused["why"]) == ("it can have no canary", True)
    document(shaky, *CANARY, "--to", "2", "--strategy", "blue-green", check=2)
    document(shaky, "upgrade", "shaky", "--to", "2", "--share", "20", check=2)
    at_rest(shaky, "1")
