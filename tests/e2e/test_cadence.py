"""Upgrades by a tick, on a real slice: what is due is made, what is bad is taken back, and not tried again."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents import actions, document, findings
from patches import informing, told
from running_lab import RunningLab

pytestmark = pytest.mark.lab
PLAYBOOK = """\
playbook: hours
title: Hours
versions: {{{versions}}}
upgrade: {{soak: 1s, rollback: safe}}
components:
  web:
    packages: [python3]
    resources: [{{kind: file, path: "{{{{ config }}}}/index.html", content: "version {{{{ version }}}}\\n"}}]
    service: {{exec: "{{% if version == '1.2' %}}/bin/false{{% else %}}/usr/bin/python3 -m http.server 8092 --directory {{{{ config }}}}{{% endif %}}", start_timeout: 3s}}
    checks: [{{name: answers, kind: alive, tcp: 8092}}]
"""
SPEC = """\
app: hours
owner: lab
playbook: hours
version: "1.0"
place: {web: [s2]}
heal: {reflex: off}
auto_upgrade: {channel: minor, cooldown: 1s}
"""
SERVED = "cat /opt/tfheal/hours/web/config/index.html"
CLOSED = 'window: {days: [%s], start: "00:00", duration: 1h}\n'
CHARTER = "/etc/tfheal/charter.toml"


@pytest.fixture
def hours(fleet: RunningLab) -> Iterator[RunningLab]:
    """Have version 1.0 of a small server on s2, of which the ticks know since a while."""
    listed(fleet, "1.0", "1.1", "2.0")
    (fleet.workspace / "apps").mkdir(exist_ok=True)
    spec(fleet).write_text(SPEC)
    try:
        fleet.run("deploy", "hours")
        yield fleet
    finally:
        fleet.on("s2", f"rm -f {CHARTER}")
        fleet.run("remove", "hours", "--data", "--yes", check=None)
        spec(fleet).unlink()
        shutil.rmtree(fleet.workspace / "playbooks/hours")


def listed(lab: RunningLab, *versions: str) -> None:
    """Have the playbook list these versions."""
    folder = lab.workspace / "playbooks/hours"
    (folder / "locks").mkdir(parents=True, exist_ok=True)
    for version in versions:
        (folder / f"locks/{version}.txt").write_text("# nothing\n")
    words = ", ".join(f'"{version}": locks/{version}.txt' for version in versions)
    (folder / "playbook.yaml").write_text(PLAYBOOK.format(versions=words))


def spec(lab: RunningLab) -> Path:
    """Return the spec of the app."""
    return lab.workspace / "apps/hours.yaml"


def test_a_tick_upgrades_what_is_due_and_tries_nothing_bad_twice(hours: RunningLab) -> None:
    """Seen for its cooldown, in the window, with the owner's leave: then it is made. A bad one is taken back, held, and left alone."""
    first = document(hours, "tick")
    assert "upgrade" not in first["parts"], "a version that was just seen first cools down"
    hours.on("s2", f"mkdir -p /etc/tfheal; echo 'forbid = [\"upgrade\"]' >{CHARTER}; sleep 1")
    forbidden = document(hours, "tick")["parts"]["upgrade"]
    assert "the owner's charter forbids upgrade" in forbidden["refused"]["hours"]
    assert "charter" in document(hours, "upgrade", "hours", "--to", "1.1", check=6)["error"]["why"]
    hours.on("s2", f"rm {CHARTER}")

    with informing(hours):
        done = document(hours, "tick")["parts"]["upgrade"]["upgrade"]
        assert told(hours) == [("upgrade", "before", None), ("upgrade", "after", "done")]
    assert (done["from"], done["to"], done["state"]) == ("1.0", "1.1", "done"), "2.0 is not of its channel"
    assert hours.on("s2", SERVED) == "version 1.1\n"
    assert 'version: "1.1"' in spec(hours).read_text()
    assert "upgrade" not in document(hours, "tick")["parts"]
    with informing(hours):
        document(hours, "rollback", "hours")
        assert told(hours) == [("rollback", "before", None), ("rollback", "after", "rolled-back")]
    assert hours.on("s2", SERVED) == "version 1.0\n"
    document(hours, "upgrade", "hours", "--to", "1.1", "--again")

    listed(hours, "1.0", "1.1", "1.2", "2.0")
    document(hours, "tick")
    hours.on("s2", "sleep 1")
    bad = document(hours, "tick", check=5)["parts"]["upgrade"]
    assert (bad["exit"], bad["upgrade"]["to"], bad["upgrade"]["state"]) == (5, "1.2", "rolled-back")
    assert hours.on("s2", SERVED) == "version 1.1\n"
    assert "is held" in document(hours, "upgrade", "hours", "--to", "1.2", check=6)["error"]["what"]
    assert "upgrade" not in document(hours, "tick")["parts"], "it is not tried again"
    assert document(hours, "status", "hours")["health"] == "healthy"


def test_an_upgrade_waits_for_its_window(hours: RunningLab) -> None:
    """Outside it is told till when; nothing is begun, and what is ill is healed all the same."""
    today = int(hours.on("s2", "date -u +%u"))  # 1 is Monday
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    spec(hours).write_text(SPEC + CLOSED % days[(today + 2) % 7])
    document(hours, "tick")
    hours.on("s2", "sleep 1")
    seen = document(hours, "tick")
    assert "upgrade" not in seen["parts"]
    assert [(one["app"], one["what"]) for one in seen["waiting"]] == [("hours", "upgrade")]
    assert hours.on("s2", SERVED) == "version 1.0\n"
    hours.on("s2", "systemctl stop tfheal-hours-web")
    healed = document(hours, "tick", check=None)["parts"]["heal"]
    assert ("restart", "done") in actions(healed), healed
    status = document(hours, "status", "hours")
    assert (status["health"], "waiting" in findings(status)) == ("healthy", True)


@pytest.mark.long
def test_a_tick_keeps_to_the_rings(hours: RunningLab) -> None:
    """The app of the canary ring goes first; the other waits until that has come through."""
    first = hours.workspace / "apps/minutes.yaml"
    first.write_text(SPEC.replace("app: hours", "app: minutes").replace("[s2]", "[s3]") + "ring: canary\n")
    try:
        hours.run("deploy", "minutes")
        document(hours, "tick")
        hours.on("s2", "sleep 1")
        done = document(hours, "tick")["parts"]["upgrade"]
        assert (done["upgrade"]["app"], done["upgrade"]["state"]) == ("minutes", "done"), done
        assert "minutes is of an earlier ring" in done["refused"]["hours"]
        assert hours.on("s2", SERVED) == "version 1.0\n"
        done = document(hours, "tick")["parts"]["upgrade"]
        assert (done["upgrade"]["app"], done["upgrade"]["state"]) == ("hours", "done"), done
    finally:
        hours.run("remove", "minutes", "--data", "--yes", check=None)
        first.unlink()
