"""A gateway on a real slice: two instances behind one name, changed under load, broken by hand, tried before it goes live."""

import contextlib
import http.client
import shutil
import threading
from collections.abc import Iterator
from typing import Self

import pytest
from documents import document, findings
from running_lab import RunningLab

pytestmark = pytest.mark.lab
PLAYBOOK = """\
playbook: page
title: A page
versions: {"1": locks/any.txt}
components:
  web:
    packages: [curl, python3]
    resources: [{kind: file, path: "{{ config }}/index.html", content: "a page\\n"}]
    service: {exec: "/usr/bin/python3 -m http.server 8091 --bind :: --directory {{ config }}", stop_timeout: 1s}
    checks: [{name: answers, kind: alive, tcp: 8091}]
    route: {port: 8091}
"""
NAME = "page.example"
NAMES = '[names.file]\nvia = "hosts"\nslices = ["s2"]\n'
EDGE = 'app: edge\nowner: lab\nplaybook: gateway\nversion: "debian"\nplace: {gateway: [s3]}\nheal: {reflex: off}\n'
PAGE = f"""\
app: page
owner: lab
playbook: page
version: "1"
hostname: {NAME}
names: file
route: {{gateway: edge}}
place: {{web: [s1, s2]}}
heal: {{reflex: off}}
"""
CONFIG = "/opt/tfheal/edge/gateway/config/haproxy.cfg"
PROCESS = "systemctl show -P MainPID tfheal-edge-gateway"
CLIENTS = 4


@pytest.fixture
def edge(fleet: RunningLab) -> Iterator[RunningLab]:
    """Have an app on s1 and s2, and the gateway that leads to it on s3."""
    root = fleet.workspace
    made = {"playbooks/page/playbook.yaml": PLAYBOOK, "playbooks/page/locks/any.txt": "# nothing\n"}
    made |= {"apps/edge.yaml": EDGE, "apps/page.yaml": PAGE}
    for name, text in made.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    settings = (root / "tfheal.toml").read_text()
    (root / "tfheal.toml").write_text(settings + NAMES)
    try:
        fleet.run("deploy", "page", "edge")
        yield fleet
    finally:
        (root / "apps/edge.yaml").write_text(EDGE)
        fleet.run("remove", "page", "edge", "--data", "--yes", check=None)
        for name in ("apps/edge.yaml", "apps/page.yaml"):
            (root / name).unlink()
        shutil.rmtree(root / "playbooks/page")
        (root / "tfheal.toml").write_text(settings)


class Visitor:
    """Asks for the page of a name; keeps its connection, or makes one for each request."""

    def __init__(self, address: str, *, keeps: bool = True) -> None:
        """Keep whom to ask."""
        self._connection, self._keeps = http.client.HTTPConnection(address, 80, timeout=10), keeps

    def said(self, host: str = NAME) -> tuple[int, str, str]:
        """Return the status, what was answered, and when to come back."""
        try:
            self._connection.request("GET", "/", headers={"Host": host})
            answer = self._connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers.get("Retry-After", "")
        finally:
            if not self._keeps:
                self._connection.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Load:
    """Visitors who ask one after another until they are told to stop: every second one with a connection for each request."""

    def __init__(self, address: str) -> None:
        """Keep whom to ask."""
        self.answered, self.failed = 0, list[str]()
        self._over = threading.Event()
        visitors = [Visitor(address, keeps=number % 2 == 0) for number in range(CLIENTS)]
        self._threads = [threading.Thread(target=self._visit, args=(visitor,)) for visitor in visitors]

    def _visit(self, visitor: Visitor) -> None:
        with contextlib.closing(visitor):
            while not self._over.wait(0.02):
                try:
                    said: object = visitor.said()
                except (OSError, http.client.HTTPException) as error:
                    said = error
                    visitor.close()
                if said == (200, "a page\n", ""):
                    self.answered += 1
                else:
                    self.failed.append(repr(said))

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


def test_no_request_is_lost_while_the_gateway_changes(edge: RunningLab) -> None:
    """New settings, drift, and a configuration that HAProxy refuses cost no request; nor does an instance that is gone. Without any, 503 says when to come back."""
    spec, before = edge.workspace / "apps/edge.yaml", edge.on("s3", PROCESS)
    assert edge.on("s2", f"grep {NAME} /etc/hosts") == f"{edge.address('s3')} {NAME} # tfheal\n", (
        "it leads to the gateway"
    )
    visitor = Visitor(edge.address("s3"), keeps=False)
    assert visitor.said("other.example")[0] == 404
    with Load(edge.address("s3")) as load:
        edge.on("s3", f"sed -i s/leastconn/first/ {CONFIG}")
        assert findings(document(edge, "status", "edge", check=3)) == {"drift"}
        spec.write_text(f"{EDGE}settings: {{patience: 50}}\n")
        edge.run("deploy", "edge")
        spec.write_text(f'{EDGE}settings: {{trusted: "::::"}}\n')
        refused = edge.run("deploy", "edge", check=5)
        assert "haproxy.cfg was not replaced" in refused.stdout.replace("\n", " ")
        assert "::::" in refused.stdout, "HAProxy's own words say why"
    assert (load.failed, load.answered > 100) == ([], True)
    assert edge.on("s3", f"grep -c -e 'timeout server 50s' -e leastconn {CONFIG}") == "2\n"
    assert edge.on("s3", PROCESS) == before, "it was reloaded, and never restarted"
    edge.on("s1", "systemctl stop tfheal-page-web")
    assert {visitor.said() for _ in range(50)} == {(200, "a page\n", "")}
    edge.on("s2", "systemctl stop tfheal-page-web")
    status, page, later = visitor.said()
    assert (status, "being worked on" in page, later) == (503, True, "10")
