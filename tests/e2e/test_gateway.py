"""A gateway on a real slice: two instances behind one name, changed under load, broken by hand, tried before it goes live."""

import contextlib
import csv
import http.client
import io
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from documents import actions, document, findings
from paged import CLIENTS, EDGE, NAME, PAGE, Load, Visitor, paged
from resolving import resolving
from running_lab import RunningLab

pytestmark = pytest.mark.lab
CONFIG = "/opt/tfheal/edge/gateway/config/haproxy.cfg"
PROCESS = "systemctl show -P MainPID tfheal-edge-gateway"
FULL = 100  # parts of a full share
WARM = 8  # seconds: longer than a gateway takes to find well what answers it
ASKED = "journalctl -u tfheal-page-web -o cat | grep -c 'GET /?visit'"  # the gateway's own question has no word


@pytest.fixture
def edge(fleet: RunningLab) -> Iterator[RunningLab]:
    """Have the page and its gateway."""
    with paged(fleet) as edge:
        yield edge


def is_told_apart(edge: RunningLab) -> None:
    """Demand that of a gateway, an app and its name each is blamed for what is its own, and nothing when all are well again."""
    right, wrong = (resolving(edge, {NAME: edge.address(name)}) for name in ("s3", "s1"))
    is_met_by_its_name(edge, right, wrong)
    stop, start = "systemctl stop tfheal-page-web", "systemctl start tfheal-page-web"
    document(edge, "gateway", "drain", "page/web@s1")
    edge.on("s3", "systemctl stop tfheal-edge-gateway")
    edge.on("s1", stop)
    status = document(right, "status", "page", check=3)
    (broken,) = blamed(status)
    assert broken["instance"] == "edge/gateway@s3"
    assert f"{NAME} does not answer through it, and page on s2 answers" in broken["detail"]
    assert blamed(status, "name-astray") == [], "it leads to the gateway"
    edge.on("s2", stop)
    status = document(right, "status", "page", check=3)
    assert blamed(status) + blamed(status, "name-astray") == [], "it is the app that is down"
    for name in ("s1", "s2"):
        edge.on(name, f"{start}; until curl -sfo /dev/null http://localhost:8091/; do sleep 0.1; done")
    edge.on("s3", "systemctl start tfheal-edge-gateway")
    assert findings(document(right, "status", "page", "edge")) == set()
    assert states(edge)["s1"][1] == "", "a gateway that started anew leads to all: what was drained is nobody's"


def is_met_by_its_name(edge: RunningLab, right: RunningLab, wrong: RunningLab) -> None:
    """Demand that a name that leads elsewhere is told from one that leads to the app, also by a gateway of somebody else's that leads on to ours."""
    assert findings(document(right, "status", "page")) == set()
    (unknown,) = blamed(document(edge, "status", "page"), "name-unasked")
    assert "cannot be resolved here" in unknown["detail"]
    (astray,) = blamed(document(wrong, "status", "page", check=3), "name-astray")
    assert "does not answer from here" in astray["detail"]
    platform, ours = "systemd-run --quiet --collect --unit=platform", f"{edge.slices()['s3']['address4']}:80"
    edge.on("s1", f"{platform} --socket-property=ListenStream=80 /usr/lib/systemd/systemd-socket-proxyd {ours}")
    try:
        assert findings(document(wrong, "status", "page")) == set()
        edge.on("s1", f"systemctl stop platform.socket platform; {platform} python3 -m http.server 80 --bind ::")
        edge.on("s1", "until curl -so /dev/null http://localhost/; do sleep 0.1; done")
        (astray,) = blamed(document(wrong, "status", "page", check=3), "name-astray")
        assert f"http://{NAME}/up answers 404 from here" in astray["detail"]
    finally:
        edge.on("s1", "systemctl stop platform.socket platform", check=None)


def takes_what_is_said_for_what_it_is(edge: RunningLab) -> None:
    """Demand that only who is trusted says for whom it asks, and that a body that is too large goes no further."""
    there = f"-s --noproxy '*' -H 'Host: {NAME}' http://[{edge.address('s3')}]"
    says = "-H 'X-Forwarded-For: 203.0.113.9' -H 'X-Forwarded-Proto: https' -H 'X-Forwarded-Host: shop.example'"

    def told(name: str) -> dict[str, list[str]]:
        words = f"curl --interface {edge.address(name)} {says} {there}/said"
        return dict(json.loads(edge.on(name, words)))

    stranger, trusted = edge.address("s1"), edge.address("s2")
    assert told("s1") == {"For": [stranger], "Proto": ["http"], "Host": [NAME]}
    assert told("s2") == {"For": [f"203.0.113.9, {trusted}"], "Proto": ["https"], "Host": ["shop.example"]}
    sent = f"| curl -w ' %{{http_code}}' --data-binary @- {there}/"
    assert edge.on("s1", f"head -c 1048576 /dev/zero {sent}") == "1048576 bytes\n 200"
    assert edge.on("s1", f"head -c 1048577 /dev/zero {sent}")[-4:] == " 413"


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
        spec.write_text(f'{EDGE}settings: {{patience: 50, largest: 1, trusted: "{edge.address("s2")}"}}\n')
        edge.run("deploy", "edge")
        spec.write_text(f'{EDGE}settings: {{trusted: "::::"}}\n')
        refused = edge.run("deploy", "edge", check=5)
        assert "haproxy.cfg was not replaced" in refused.stdout.replace("\n", " ")
        assert "::::" in refused.stdout, "HAProxy's own words say why"
    assert (load.failed, load.answered > 100) == ([], True)
    assert edge.on("s3", f"grep -c -e 'timeout server 50s' -e roundrobin {CONFIG}") == "2\n"
    assert edge.on("s3", PROCESS) == before, "it was reloaded, and never restarted"
    takes_what_is_said_for_what_it_is(edge)
    edge.on("s1", "systemctl stop tfheal-page-web")
    assert {visitor.said() for _ in range(50)} == {(200, "a page\n", "")}
    edge.on("s2", "systemctl stop tfheal-page-web")
    status, page, later = visitor.said()
    assert (status, "being worked on" in page, later) == (503, True, "10")


def blamed(status: dict[str, Any], cause: str = "gateway-broken") -> list[dict[str, Any]]:
    """Return the findings that say that a gateway is broken, or another one."""
    return [finding for finding in status["findings"] if finding["finding"] == cause]


def states(edge: RunningLab) -> dict[str, tuple[str, str]]:
    """Return the state of each instance by the gateway's own word, and who drains it."""
    (gateway,) = document(edge, "gateway", "status")["gateways"]
    assert gateway["gateway"] == "edge/gateway@s3"
    return {one["instance"].partition("@")[2]: (one["state"], one["owner"]) for one in gateway["backends"]}


def share(edge: RunningLab, name: str) -> int:
    """Return of 100 parts how many HAProxy gives to the instance on a slice now."""
    ask = "echo show stat | socat - UNIX-CONNECT:/run/tfheal-edge-gateway/admin.sock"
    (row,) = [row for row in csv.DictReader(io.StringIO(edge.on("s3", ask))) if row["svname"] == name]
    return int(row["weight"])


def gets_more_and_more(edge: RunningLab, name: str) -> None:
    """Demand that an instance that was put back just now gets a part of its share, and then all of it."""
    assert share(edge, name) < FULL, "little by little"
    until = time.monotonic() + 20
    while share(edge, name) < FULL:
        assert time.monotonic() < until
        time.sleep(0.5)


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
        gets_more_and_more(edge, "s1")
        document(edge, "gateway", "drain", second, "--for", "2s")
        assert is_well(edge, "s2"), "its time was over: nobody has to remember it"
        assert share(edge, "s2") < FULL
        edge.run("upgrade", "page", "--to", "2")
        edge.run("rollback", "page")
    assert (load.failed, load.answered > 500) == ([], True)
    assert is_well(edge, "s1", "s2")
    until = time.monotonic() + 30
    while {share(edge, name) for name in ("s1", "s2")} != {FULL} and time.monotonic() < until:
        time.sleep(0.5)  # else both of two requests may go to the same one
    slow = [threading.Thread(target=ask_for_long, args=(edge,)) for _ in range(2)]
    for thread in slow:
        thread.start()
    time.sleep(1)
    (cut,) = document(edge, "gateway", "drain", first, "--deadline", "1s")["gateways"]
    assert (cut["state"], cut["cut"]) == ("drained", 1), "what is under way has its time, and no more"
    document(edge, "gateway", "undrain", first)
    spec.write_text(EDGE)
    assert edge.run("gateway", "backends", "page").stdout.strip() == f"http://[{edge.slices()['s3']['address']}]/"
    edge.run("gateway", "drain", "page/web@s9", check=2)
    edge.run("gateway", "drain", "edge/gateway@s3", check=6)


def test_a_gateway_follows_what_it_leads_to(edge: RunningLab) -> None:
    """It learns of a move before what is left behind stops, also of one that was killed; what it was not told of by its owner yet, it does not learn so."""
    assert is_well(edge, "s1", "s2")
    with Load(edge.address("s3")) as load:
        edge.run("place", "page", "web=s1")
        assert states(edge).keys() == {"s1"}
        dying = replace(edge, around=(*edge.around, "TFHEAL_FAILPOINT=exec on s3"))
        assert "failpoint: " in dying.run("place", "page", "web=s1,s2", check=-9).stderr
        assert states(edge).keys() == {"s1"}
        assert ("redeploy", "done") in actions(document(edge, "heal", "--auto"))
        assert states(edge).keys() == {"s1", "s2"}
    assert (load.failed, load.answered > 100) == ([], True)
    assert findings(document(edge, "status", "page", "edge", check=None)) <= {"name-unasked"}
    (edge.workspace / "apps/edge.yaml").write_text(f"{EDGE}settings: {{patience: 40}}\n")
    told = edge.run("place", "page", "web=s1").stderr
    assert "edge does not follow page" in " ".join(told.split()), told
    assert states(edge).keys() == {"s1", "s2"}


def ask_for_long(edge: RunningLab) -> None:
    """Ask for what takes long, and be content with nothing."""
    connection = http.client.HTTPConnection(edge.address("s3"), 80, timeout=30)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/slow", headers={"Host": NAME})
        connection.getresponse().read()


def test_heal_works_on_nothing_in_the_traffic(edge: RunningLab) -> None:
    """Nobody drained anything by hand: an instance that is not ready for some seconds after its start gets no request until it is, whether it ran before or not. A run that is killed meanwhile leaves it out, and the next one puts it back."""
    spec = edge.workspace / "apps/page.yaml"
    spec.write_text(f"{PAGE}settings: {{warm: {WARM}}}\n")
    edge.run("deploy", "page")
    assert is_well(edge, "s1", "s2")
    for name in ("s1", "s2"):
        edge.on(name, "until curl -sfo /dev/null http://localhost:8091/; do sleep 0.2; done")
    with Load(edge.address("s3")) as load:
        edge.on("s1", "echo 3 >/opt/tfheal/page/web/config/version")
        healed = document(edge, "heal", "--auto", "page", check=None)
        assert load.failed == [], "it ran and served all the time"
        assert (healed["exit"], actions(healed)) == (0, [("redeploy", "done")])
        edge.on("s2", "systemctl stop tfheal-page-web")
        time.sleep(1)
        met = len(load.failed)
        assert met <= CLIENTS, "what was under way there when it stopped"
        dying = replace(edge, around=(*edge.around, "TFHEAL_FAILPOINT=waits until it is ready"))
        dying.run("heal", "--auto", "page", check=-9)
        assert states(edge)["s2"][1] == "heal page"
        edge.on("s2", "until curl -sfo /dev/null http://localhost:8091/; do sleep 0.2; done")
        healed = document(edge, "heal", "--auto", "page", check=None)
        assert len(load.failed) == met
        assert healed["exit"] == 0
        assert {name: owner for name, (_, owner) in states(edge).items()} == {"s1": "", "s2": ""}
    assert load.answered > 500


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
    follows_what_is_placed(edge)


def follows_what_is_placed(edge: RunningLab) -> None:
    """Demand that the name of an app goes where its gateway is put, and without a gateway where the app is put, in the same run."""

    def leads_to(name: str) -> bool:
        return edge.on("s2", f"grep {NAME} /etc/hosts") == f"{edge.address(name)} {NAME} # tfheal\n"

    assert leads_to("s3")
    edge.run("place", "edge", "gateway=s2")
    assert leads_to("s2")
    alone = PAGE.replace("[s1, s2]", "[s1]").replace("route: {gateway: edge}\n", "")
    (edge.workspace / "apps/page.yaml").write_text(alone)
    edge.run("deploy", "page", "edge")
    assert leads_to("s1")
    edge.run("place", "page", "web=s3")
    assert leads_to("s3")


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
