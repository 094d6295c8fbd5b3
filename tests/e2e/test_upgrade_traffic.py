"""Upgrades judged by the traffic, on real slices: what is well by every check and fails its users is taken back by itself."""

import contextlib
import http.client
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from documents import document
from running_lab import RunningLab

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


@pytest.fixture(scope="module")
def shaky(fleet: RunningLab) -> Iterator[RunningLab]:
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


class Load:
    """Visitors who ask one after another until they are told to stop; how often each version answered with which status is counted."""

    def __init__(self, lab: RunningLab) -> None:
        """Keep whom to ask."""
        self.said: Counter[tuple[str, int]] = Counter()
        self._address, self._over = lab.address("s3"), threading.Event()
        self._threads = [threading.Thread(target=self._visit) for _ in range(CLIENTS)]

    def _visit(self) -> None:
        connection = http.client.HTTPConnection(self._address, 80, timeout=10)
        with contextlib.closing(connection):
            while not self._over.wait(0.02):
                try:
                    self.said[ask(connection)] += 1
                except (OSError, http.client.HTTPException) as error:
                    self.said[repr(error), 0] += 1
                    connection.close()

    def __enter__(self) -> Self:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop asking."""
        self._over.set()
        for thread in self._threads:
            thread.join()


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
