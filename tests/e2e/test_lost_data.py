"""Slices with data that are lost: made anew or moved, their data back from the last backup, also by way of a kill."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from customer import Customer
from documents import actions, document, findings
from running_lab import RunningLab, name_of_ours

pytestmark = pytest.mark.lab
SPEC = """\
app: files
owner: lab
playbook: copyparty
version: "1.20.26"
place: {web: [s1]}
spares: [s2]
backup: {to: s3, every: 1h}
heal: {reflex: off, allow: [restart, free-disk, redeploy, rollback, rebuild, recreate, restore, rehome, page]}
"""
UNIT = "tfheal-files-web.service"
KEPT = b"what the customer keeps\n" * 1_000
GONE = 2.0  # seconds, as the workspace has it


@pytest.fixture(scope="module")
def stored(lab_ground: Path, made_workspace: Callable[[str, Path], Path]) -> Iterator[RunningLab]:
    """Have the example on s1 with a backup on s3, and a spare."""
    folder = made_workspace("copyparty", lab_ground / "lost-data")
    settings = (folder / "tfheal.toml").read_text()
    (folder / "tfheal.toml").write_text(f'{settings}gone_after = "{GONE:g}s"\n')
    (folder / "apps" / "files.yaml").write_text(SPEC)
    running = RunningLab(name_of_ours("data"), folder, ("env", f"TFHEAL_AGE_KEY_FILE={lab_ground / 'data.key'}"))
    try:
        running.run("lab", "up", "--slices", "4", "--name", running.name, "--yes")
        running.run("deploy", "files")
        Customer.of(running, "s1").put("kept.txt", KEPT)
        document(running, "backup", "run")
        yield running
    finally:
        running.run("lab", "down", "--name", running.name)


def provides(stored: RunningLab, recreate: str) -> None:
    """Have a command make s1 anew, at any time, and say how its contract is by what the file `contract` says."""
    inventory = stored.workspace / "inventory.toml"
    before, mark, after = inventory.read_text().partition("[slices.s1.provisioner]")
    written = f'recreate = "{recreate}"\nstate = "cat contract"\nbackoff = "20ms"'
    after = re.sub(r'recreate = ".*"(\nstate = ".*")?(\nbackoff = ".*")?', written, after, count=1)
    inventory.write_text(before + mark + after)
    (stored.workspace / "contract").write_text("running\n")


@pytest.mark.long
def test_spoilt_data_goes_back_to_when_it_was_right(stored: RunningLab) -> None:
    """A human is called and told of the times; where the app allows it, the newest backup with which all is right returns."""
    spec = stored.workspace / "apps" / "files.yaml"
    stored.on("s1", "echo spoilt >/srv/tfheal/files/web/.tfheal")
    document(stored, "backup", "run")
    good, spoilt = reversed(document(stored, "backup", "list")["backups"])
    assert (good["state"], spoilt["state"]) == ("good", "good")
    until = time.monotonic() + 120
    while not (done := actions(document(stored, "heal", "--auto", check=None))) and time.monotonic() < until:
        time.sleep(1)  # a service that started just now is left to start
    assert done == [("page", "done")]
    pages = (stored.workspace / "pages.jsonl").read_text()
    assert (
        f"it could go back to backup {spoilt['id']} of {spoilt['started']}, {good['id']} of {good['started']}" in pages
    )
    spec.write_text(SPEC.replace("restore,", "restore, restore-logical,"))
    healed = document(stored, "heal", "--auto")
    spec.write_text(SPEC)
    assert actions(healed) == [("restore", "done")], healed
    assert f"from backup {good['id']}" in healed["incidents"][0]["actions"][0]["detail"]
    assert Customer.of(stored, "s1").get("kept.txt") == KEPT
    document(stored, "backup", "run")


@pytest.mark.long
@pytest.mark.parametrize(
    "at", ["provisioners, run", "keys, pin", "user:", "held back", "files/web@s1  restore", "data:"]
)
def test_a_kill_on_the_way_is_made_good_by_the_next_heal(stored: RunningLab, at: str) -> None:
    """Killed before, in the midst of and after each step of it: the data is back, and the service runs and is enabled."""
    provides(stored, f"tfheal lab recreate s1 --name {stored.name}")
    stored.do("break", "s1", "wipe-slice")
    dying = replace(stored, around=(*stored.around, f"TFHEAL_FAILPOINT={at}"))
    assert "failpoint: " in dying.run("heal", "--auto", check=-9).stderr
    provides(stored, f"tfheal lab recreate s1 --name {stored.name}")
    healed = document(stored, "heal", "--auto")
    assert actions(healed)[-1] == ("restore", "done"), healed
    assert Customer.of(stored, "s1").get("kept.txt") == KEPT
    assert stored.on("s1", f"systemctl is-enabled {UNIT}") == "enabled\n"
    assert document(stored, "status")["health"] == "healthy"


def test_what_is_gone_moves_with_its_data_once_it_is_known_to_be_stopped(stored: RunningLab) -> None:
    """Until then a human is called; on the spare all is there, and is backed up; what comes back is stopped at once."""
    provides(stored, "false")
    stored.do("break", "s1", "power-off")
    document(stored, "heal", "--auto", check=None)
    time.sleep(GONE)
    healed = document(stored, "heal", "--auto", check=5)
    assert actions(healed) == [("recreate", "failed"), ("page", "done")]
    assert "not certain that its old machine has stopped" in (stored.workspace / "pages.jsonl").read_text()

    (stored.workspace / "contract").write_text("destroyed\n")
    healed = document(stored, "heal", "--auto")
    assert actions(healed) == [("rehome", "done"), ("restore", "done")], healed
    assert Customer.of(stored, "s2").get("kept.txt") == KEPT
    (made,) = document(stored, "backup", "run")["backups"]
    assert (made["state"], [part["slice"] for part in made["parts"]]) == ("good", ["s2"])
    (drill,) = document(stored, "backup", "drill")["drills"]
    assert drill["state"] == "passed"

    stored.do("mend", "s1")
    stored.run("lab", "up", "--name", stored.name, "--yes")  # which waits until its sshd answers
    document(stored, "heal", "--auto")
    assert stored.on("s1", f"systemctl is-active {UNIT}", check=None).strip() == "inactive"
    assert "retired" not in findings(document(stored, "status"))


@pytest.mark.long
def test_a_store_that_is_gone_is_said_and_another_one_gets_a_fresh_backup(stored: RunningLab) -> None:
    """Its backups count no more; a deploy leaves it behind, and the next tick makes one on the other store at once."""
    spec = stored.workspace / "apps" / "files.yaml"
    places = document(stored, "place", "files")["components"]
    (web,) = next(
        one["slices"] for one in places if one["component"] == "web"
    )  # a test before this one may have moved it
    stored.do("break", "s3", "lose-slice")
    document(stored, "status", check=None)
    time.sleep(GONE)
    assert "store-gone" in findings(document(stored, "status", check=3))
    spec.write_text(SPEC.replace("[s1]", f"[{web}]").replace("spares: [s2]\n", "").replace("to: s3", "to: s4"))
    document(stored, "deploy", "files", "--plan", check=3)
    document(stored, "deploy", "files")
    assert "store-gone" not in findings(document(stored, "status", check=None))
    document(stored, "restore", "files", "--plan", check=6)
    document(stored, "tick", check=None)
    assert document(stored, "restore", "files", "--plan")["state"] == "good"
