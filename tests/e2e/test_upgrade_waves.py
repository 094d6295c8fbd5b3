"""An upgrade over many apps on real slices: in waves, stopped by what fails, gone on with by the same command."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from documents import document
from running_lab import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.long]
PLAYBOOK = """\
playbook: row
title: Row
versions: {"1": locks/any.txt, "2": locks/any.txt}
upgrade: {soak: 1s, rollback: safe}
settings:
  port: {type: number, default: 8100, minimum: 8100, maximum: 8200, description: where it answers}
  breaks: {default: "no", pattern: "yes|no", description: whether version 2 does not start}
components:
  web:
    packages: [python3]
    resources: [{kind: file, path: "{{ config }}/version", content: "{{ version }}\\n"}]
    service:
      exec: "{% if version == '2' and settings.breaks == 'yes' %}/bin/false{% else %}/usr/bin/python3 -m http.server {{ settings.port }} --directory {{ config }}{% endif %}"
      start_timeout: 3s
      stop_timeout: 1s
    checks: [{name: answers, kind: alive, tcp: "{{ settings.port }}"}]
"""
RINGS = {"one": ("s1", "canary"), "two": ("s2", "early"), "three": ("s3", "rest"), "four": ("s1", "rest")}
UPGRADE = ("upgrade", "playbook:row", "--to", "2")


def spec(name: str, version: str = "1", breaks: str = "no") -> str:
    """Return the spec of one of the four apps."""
    place, ring = RINGS[name]
    port = 8100 + list(RINGS).index(name)
    return (
        f'app: {name}\nowner: lab\nplaybook: row\nversion: "{version}"\nplace: {{web: [{place}]}}\nring: {ring}\n'
        f'settings: {{port: {port}, breaks: "{breaks}"}}\nheal: {{reflex: off}}\n'
    )


@pytest.fixture(scope="module")
def row(fleet: RunningLab) -> Iterator[RunningLab]:
    """Have version 1 of four apps on three slices; taken away after the last test."""
    folder = fleet.workspace / "playbooks/row"
    (folder / "locks").mkdir(parents=True)
    (folder / "locks/any.txt").write_text("# nothing\n")
    (folder / "playbook.yaml").write_text(PLAYBOOK)
    (fleet.workspace / "apps").mkdir(exist_ok=True)
    put(fleet)
    try:
        fleet.run("deploy", *RINGS)
        yield fleet
    finally:
        fleet.run("remove", *RINGS, "--data", "--yes", check=None)
        for name in RINGS:
            (fleet.workspace / f"apps/{name}.yaml").unlink()
        shutil.rmtree(folder)


def put(lab: RunningLab, breaks: str = "") -> None:
    """Write the specs of the four apps, of which one may break."""
    for name in RINGS:
        (lab.workspace / f"apps/{name}.yaml").write_text(spec(name, breaks="yes" if name == breaks else "no"))


def anew(lab: RunningLab, breaks: str = "") -> None:
    """Have all of them at version 1 again."""
    put(lab, breaks)
    lab.run("deploy", *RINGS, "--in-place")


def versions(lab: RunningLab) -> dict[str, str]:
    """Return which version each app is at, by its slice's own word."""
    return {
        name: lab.on(place, f"cat /opt/tfheal/{name}/web/config/version").strip() for name, (place, _) in RINGS.items()
    }


def states(done: dict[str, Any]) -> dict[str, str]:
    """Return how each app went."""
    return {one["app"]: one["state"] for one in done["upgrades"]}


def test_waves_stop_at_what_fails_and_go_on(row: RunningLab) -> None:
    """The canary ring first, then early, then the rest, up to the one that fails; mended, the same command goes on from there."""
    anew(row, breaks="three")
    plan = document(row, *UPGRADE, "--plan", check=3)
    assert plan["waves"] == [["one"], ["two"], ["four", "three"]]
    assert document(row, *UPGRADE, "--waves", "1,50%,rest", "--plan", check=3)["waves"] == [
        ["one"],
        ["two", "four"],
        ["three"],
    ]
    assert set(versions(row).values()) == {"1"}, "a plan changes nothing"

    done = document(row, *UPGRADE, "--waves", "2,1", check=5)
    assert (done["state"], done["waves"]) == ("stopped", [["one", "two"], ["four"], ["three"]])
    assert states(done) == {"one": "done", "two": "done", "four": "done", "three": "rolled-back"}
    assert "three did not come through" in done["detail"]
    assert versions(row) == {"one": "2", "two": "2", "four": "2", "three": "1"}

    refused = document(row, *UPGRADE, check=6)
    assert states(refused)["three"] == "refused", "what was taken back is not tried again by itself"
    assert "is held" in str(refused["upgrades"][-1]["error"])
    (row.workspace / "apps/three.yaml").write_text(spec("three"))
    row.run("deploy", "three", "--in-place")
    done = document(row, *UPGRADE)
    assert states(done) == {"one": "unchanged", "two": "unchanged", "four": "unchanged", "three": "done"}
    assert set(versions(row).values()) == {"2"}
    document(row, "upgrade", "playbook:row", "--to", "9", check=2)
    document(row, "upgrade", "--to", "2", check=2)


def test_nothing_is_begun_after_a_failure(row: RunningLab) -> None:
    """An app of an early ring that fails keeps the version from all behind it; with leave for one failure they get it.

    Between two waves it waits as long as was said, where something was done in the one before.
    """
    anew(row, breaks="two")
    done = document(row, *UPGRADE, check=5)
    assert (done["state"], states(done)) == (
        "stopped",
        {"one": "done", "two": "rolled-back", "four": "waiting", "three": "waiting"},
    )
    assert "not begun: four, three" in done["detail"]
    anew(row, breaks="two")
    leave = ("--max-failures", "1", "--max-unavailable", "50%", "--pause", "8s")
    done = document(row, *UPGRADE, "--again", *leave, check=5)
    assert states(done) == {"one": "done", "two": "rolled-back", "four": "done", "three": "done"}
    acts = {name: document(row, "history", name)["actions"] for name in ("one", "two")}
    ended = datetime.fromisoformat(acts["one"][-1]["ended"])
    begun = next(one for one in acts["two"] if datetime.fromisoformat(one["time"]) > ended)
    assert (datetime.fromisoformat(begun["time"]) - ended).total_seconds() >= 8


@pytest.mark.parametrize("at", ["upgrades, put_rollout", "two/web@s2  from", "specs, put"])
def test_a_rollout_that_is_killed_is_gone_on_with(row: RunningLab, at: str) -> None:
    """By the same command, with the waves that it had; what is done is not done again, and a pause is kept."""
    anew(row)
    dying = replace(row, around=(*row.around, f"TFHEAL_FAILPOINT={at}"))
    ran = dying.run(*UPGRADE, "--waves", "1", "--again", "--pause", "1s", check=-9)
    assert "failpoint: " in ran.stderr
    done = document(row, *UPGRADE, "--again")
    assert (done["state"], set(states(done).values()) <= {"done", "unchanged"}) == ("done", True)
    if at != "upgrades, put_rollout":
        assert [len(wave) for wave in done["waves"]] == [1, 1, 1, 1]
    assert set(versions(row).values()) == {"2"}


def test_failures_before_a_kill_count_on(row: RunningLab) -> None:
    """With leave for one failure the second one stops it, though the run that saw the first was killed in between."""
    anew(row, breaks="two")
    (row.workspace / "apps/four.yaml").write_text(spec("four", breaks="yes"))
    dying = replace(row, around=(*row.around, "TFHEAL_FAILPOINT=four/web@s1  from"))
    assert "failpoint: " in dying.run(*UPGRADE, "--max-failures", "1", "--again", check=-9).stderr
    done = document(row, *UPGRADE, "--max-failures", "1", check=5)
    assert states(done) == {"one": "unchanged", "two": "refused", "four": "rolled-back", "three": "waiting"}
    assert (done["state"], "two, four did not come through" in done["detail"]) == ("stopped", True), done["detail"]


def test_who_says_no_is_passed_over(row: RunningLab) -> None:
    """A pause, an owner's word and a slice that cannot be asked stop nobody else; each is told, and none has failed."""
    anew(row)
    row.run("pause", "two", "--for", "10m", "--why", "a fair")
    row.on("s3", "mkdir -p /etc/tfheal; echo 'forbid = [\"upgrade\"]' >/etc/tfheal/charter.toml")
    try:
        done = document(row, *UPGRADE, "--again", check=6)
        assert states(done) == {"one": "done", "two": "refused", "four": "done", "three": "refused"}
        row.on("s3", "rm /etc/tfheal/charter.toml")
        row.run("resume", "two")
        row.do("break", "s3", "partition", check=None)
        done = document(row, *UPGRADE, "--again", check=4)
        assert states(done) == {"one": "unchanged", "two": "done", "four": "unchanged", "three": "unreachable"}
    finally:
        row.do("mend", "s3", check=None)
        row.run("resume", "two", check=None)
    assert states(document(row, *UPGRADE, "--again"))["three"] == "done"


def test_too_many_unwell_stop_it(row: RunningLab) -> None:
    """One that is down already counts: nothing is begun beside it, unless two may be."""
    anew(row)
    row.on("s3", "systemctl stop tfheal-three-web")
    done = document(row, *UPGRADE, "--again", check=6)
    assert (done["state"], set(states(done).values())) == ("stopped", {"waiting"})
    assert "three not well, and --max-unavailable is 1" in done["detail"]
    done = document(row, *UPGRADE, "--again", "--max-unavailable", "2", check=6)
    assert states(done) == {"one": "done", "two": "done", "four": "done", "three": "refused"}
    row.run("heal", "--auto", "three", check=None)
