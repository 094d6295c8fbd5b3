"""A gateway on a real slice: two instances behind one name, changed under load, broken by hand, tried before it goes live."""

import contextlib
import http.client
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Self

import pytest
from documents import actions, document, findings
from running_lab import RunningLab

pytestmark = pytest.mark.lab
PLAYBOOK = """\
playbook: page
title: A page
versions: {"1": locks/any.txt, "2": locks/any.txt}
upgrade: {soak: 1s, rollback: safe}
components:
  web:
    packages: [curl, python3]
    resources: [{kind: file, path: "{{ config }}/index.html", content: "a page\\n"}, {kind: file, path: "{{ config }}/version", content: "{{ version }}\\n"}]
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
ASKED = "journalctl -u tfheal-page-web -o cat | grep -c 'GET /?visit'"  # the gateway's own question has no word


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
            self._connection.request("GET", "/?visit", headers={"Host": host})
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


def is_told_apart(edge: RunningLab) -> None:
    """Demand that of a gateway and an app each is blamed for what is its own, and nobody when both are well again."""
    stop, start = "systemctl stop tfheal-page-web", "systemctl start tfheal-page-web"
    edge.on("s3", "systemctl stop tfheal-edge-gateway")
    edge.on("s1", stop)
    (broken,) = blamed(document(edge, "status", "page", check=3))
    assert broken["instance"] == "edge/gateway@s3"
    assert f"{NAME} does not answer through it, and page on s2 answers" in broken["detail"]
    edge.on("s2", stop)
    assert blamed(document(edge, "status", "page", check=3)) == [], "it is the app that is down"
    for name in ("s1", "s2"):
        edge.on(name, f"{start}; until curl -sfo /dev/null http://localhost:8091/; do sleep 0.1; done")
    edge.on("s3", "systemctl start tfheal-edge-gateway")
    assert findings(document(edge, "status", "page", "edge")) == set()


def test_no_request_is_lost_while_the_gateway_changes(edge: RunningLab) -> None:
    """New settings, drift, and a configuration that HAProxy refuses cost no request; nor does an instance that is gone. Without any, 503 says when to come back. What is broken is blamed."""
    is_told_apart(edge)
    spec, before = edge.workspace / "apps/edge.yaml", edge.on("s3", PROCESS)
    assert edge.on("s2", f"grep {NAME} /etc/hosts") == f"{edge.address('s3')} {NAME} # tfheal\n", (
        "it leads to the gateway"
    )
    visitor = Visitor(edge.address("s3"), keeps=False)
    assert visitor.said("other.example")[0] == 404
    with Load(edge.address("s3")) as load:
        edge.on("s3", f"sed -i s/roundrobin/first/ {CONFIG}")
        assert findings(document(edge, "status", "edge", check=3)) == {"drift"}
        spec.write_text(f"{EDGE}settings: {{patience: 50}}\n")
        edge.run("deploy", "edge")
        spec.write_text(f'{EDGE}settings: {{trusted: "::::"}}\n')
        refused = edge.run("deploy", "edge", check=5)
        assert "haproxy.cfg was not replaced" in refused.stdout.replace("\n", " ")
        assert "::::" in refused.stdout, "HAProxy's own words say why"
    assert (load.failed, load.answered > 100) == ([], True)
    assert edge.on("s3", f"grep -c -e 'timeout server 50s' -e roundrobin {CONFIG}") == "2\n"
    assert edge.on("s3", PROCESS) == before, "it was reloaded, and never restarted"
    edge.on("s1", "systemctl stop tfheal-page-web")
    assert {visitor.said() for _ in range(50)} == {(200, "a page\n", "")}
    edge.on("s2", "systemctl stop tfheal-page-web")
    status, page, later = visitor.said()
    assert (status, "being worked on" in page, later) == (503, True, "10")


def blamed(status: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the findings that say that a gateway is broken."""
    return [finding for finding in status["findings"] if finding["finding"] == "gateway-broken"]


def states(edge: RunningLab) -> dict[str, tuple[str, str]]:
    """Return the state of each instance by the gateway's own word, and who drains it."""
    (gateway,) = document(edge, "gateway", "status")["gateways"]
    assert gateway["gateway"] == "edge/gateway@s3"
    return {one["instance"].partition("@")[2]: (one["state"], one["owner"]) for one in gateway["backends"]}


def is_well(edge: RunningLab, *names: str) -> bool:
    """Wait until the gateway sees the instances on these slices as well."""
    until = time.monotonic() + 30
    while not (well := all(states(edge)[name][0] == "UP" for name in names)) and time.monotonic() < until:
        time.sleep(0.5)
    return well


def test_no_request_is_lost_while_instances_are_worked_on(edge: RunningLab) -> None:
    """One that is drained gets none, also across a reload; by heal and by an upgrade each is drained in its turn; the last never is."""
    first, second = "page/web@s1", "page/web@s2"
    assert is_well(edge, "s1", "s2")
    with Load(edge.address("s3")) as load:
        (done,) = document(edge, "gateway", "drain", first)["gateways"]
        assert (done["state"], done["cut"]) == ("drained", 0)
        state, owner = states(edge)["s1"]
        assert (state.partition(" ")[0], owner != "") == ("DRAIN", True)
        (spec := edge.workspace / "apps/edge.yaml").write_text(f"{EDGE}settings: {{patience: 40}}\n")
        edge.run("deploy", "edge")
        assert states(edge)["s1"][0].startswith("DRAIN"), "a reload does not put it back"
        before = edge.on("s1", ASKED)
        time.sleep(0.5)
        assert (edge.on("s1", ASKED), int(before) > 0) == (before, True), "it gets no request any more"
        (last,) = document(edge, "gateway", "drain", second, check=6)["gateways"]
        assert last["state"] == "last"
        edge.on("s1", "systemctl stop tfheal-page-web")
        healed = document(edge, "heal", "--auto", "page")
        assert actions(healed) == [("restart", "done")]
        assert states(edge)["s1"][1] == owner, "what somebody else drained stays drained"
        (back,) = document(edge, "gateway", "undrain", first)["gateways"]
        assert back["state"] == "back"
        document(edge, "gateway", "drain", second, "--for", "2s")
        assert is_well(edge, "s2"), "its time was over: nobody has to remember it"
        edge.run("upgrade", "page", "--to", "2")
        edge.run("rollback", "page")
    assert (load.failed, load.answered > 500) == ([], True)
    spec.write_text(EDGE)
    assert edge.run("gateway", "backends", "page").stdout.strip() == f"http://[{edge.slices()['s3']['address']}]/"
    edge.run("gateway", "drain", "page/web@s9", check=2)
    edge.run("gateway", "drain", "edge/gateway@s3", check=6)


@pytest.mark.long
def test_requests_wait_for_the_only_instance(edge: RunningLab) -> None:
    """Of an app of one instance an upgrade loses at most what is under way when it stops; nobody is sent away."""
    (edge.workspace / "apps/page.yaml").write_text(PAGE.replace("[s1, s2]", "[s1]"))
    edge.run("remove", "page/web@s2", "--yes")
    edge.run("deploy", "page", "edge")
    assert is_well(edge, "s1")
    with Load(edge.address("s3")) as load:
        edge.run("upgrade", "page", "--to", "2")
        dying = replace(edge, around=(*edge.around, "TFHEAL_FAILPOINT=unit:"))
        assert "failpoint: " in dying.run("rollback", "page", check=-9).stderr
        assert states(edge)["s1"][1] == "upgrade page", "its gateway knows who took it out"
        edge.run("rollback", "page")
        assert (states(edge)["s1"][1], is_well(edge, "s1")) == ("", True), "who goes on puts it back"
    assert len(load.failed) <= 2 * CLIENTS
    assert not any("being worked on" in one for one in load.failed), load.failed


@pytest.mark.long
def test_a_tick_reboots_two_machines_of_an_app_one_after_the_other(edge: RunningLab) -> None:
    """An update asks both to: each is drained, away, back and well before the other is touched, and nobody notices."""
    settings = edge.workspace / "tfheal.toml"
    patch = '[patch]\nauto = "security"\nreboot = "auto"\nreboot_every = "120s"\nreboot_patience = "60s"\n'
    before = settings.read_text()
    settings.write_text(before + patch)
    boots = {name: edge.on(name, "cat /proc/sys/kernel/random/boot_id") for name in ("s1", "s2")}
    for name in boots:
        edge.on(name, "mkdir -p /etc/tfheal; echo 'allow = [\"reboot\"]' >/etc/tfheal/charter.toml")
        edge.on(name, "touch /run/reboot-required; while [ $(ps -o etimes= -p 1) -lt 121 ]; do sleep 1; done")
    try:
        edge.on("s1", "systemctl stop tfheal-page-web")
        before_a_drain = replace(edge, around=(*edge.around, "TFHEAL_FAILPOINT=is drained at"))
        ask = ("patch", "slice:s1", "--reboot", "--yes")
        assert "page/web@s1 is down" in before_a_drain.run(*ask, check=6).stdout, (
            "it is asked first whether all is well"
        )
        edge.on("s1", "systemctl start tfheal-page-web")
        assert is_well(edge, "s1")
        with Load(edge.address("s3")) as load:
            done = document(edge, "tick")["parts"]["patch"]["slices"]
    finally:
        settings.write_text(before)
        for name in boots:
            edge.on(name, "rm -rf /etc/tfheal/charter.toml")
    assert [(one["slice"], one["outcome"], one["rebooted"]) for one in done] == [
        ("s1", "done", True),
        ("s2", "done", True),
    ]
    assert all(edge.on(name, "cat /proc/sys/kernel/random/boot_id") != boot for name, boot in boots.items())
    rebooted = [one for one in document(edge, "history", "page")["actions"] if one["what"] == "reboot"]
    assert rebooted[0]["ended"] <= rebooted[1]["time"]
    assert load.answered > 100
    assert load.failed == []
