"""Upgrades that migrate data while all of an app is stopped: its gateway says so, and what fails or is killed loses nothing."""

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import readers
from documents import actions, document
from readers import Answered, Readers
from running_lab import RunningLab

from tfheal.core import maintenance
from tfheal.model.release import InstanceName

pytestmark = pytest.mark.lab
NAME = "shelf.example"
BOOKS, EDGE = "s3", "s1"
SPEC = f"""\
app: shelf
owner: lab
playbook: shelf
version: "1.0"
hostname: {NAME}
route: {{gateway: edge}}
place: {{books: [{BOOKS}], web: [s2, s3]}}
settings: {{fails: never}}
heal: {{reflex: off}}
backup: {{to: s1}}
"""
GATEWAY = f"""\
app: edge
owner: lab
playbook: gateway
version: "debian"
place: {{gateway: [{EDGE}]}}
settings: {{patience: 50}}
heal: {{reflex: off}}
"""
UPGRADE = ("upgrade", "shelf", "--to", "2.0", "--soak", "1s", "--again")
ADD = "curl -s --noproxy '*' http://127.0.0.1:8092/add/{}"
RUNS = "systemctl is-active tfheal-shelf-web"


@pytest.fixture(scope="module")
def shelf(fleet: RunningLab) -> Iterator[RunningLab]:
    """Have version 1.0 of web servers on s2 and s3 over books on s3, behind a gateway on s1, which keeps the backups too."""
    folder = fleet.workspace / "playbooks" / "shelf"
    shutil.copytree(Path(__file__).parent / "shelf", folder)
    (fleet.workspace / "apps").mkdir(exist_ok=True)
    spec(fleet).write_text(SPEC)
    edge = fleet.workspace / "apps/edge.yaml"
    edge.write_text(GATEWAY)
    try:
        fleet.run("deploy", "shelf", "edge")
        is_open(fleet, "version 1.0: ")
        yield fleet
    finally:
        fleet.run("remove", "shelf", "edge", "--data", "--backups", "--yes", check=None)
        spec(fleet).unlink(missing_ok=True)
        edge.unlink(missing_ok=True)
        shutil.rmtree(folder)


def spec(lab: RunningLab) -> Path:
    """Return the spec of the app."""
    return lab.workspace / "apps/shelf.yaml"


@contextlib.contextmanager
def that_fails(lab: RunningLab, when: str) -> Iterator[None]:
    """Have version 2.0 fail."""
    spec(lab).write_text(spec(lab).read_text().replace("fails: never", f"fails: {when}"))
    try:
        yield
    finally:
        spec(lab).write_text(spec(lab).read_text().replace(f"fails: {when}", "fails: never"))


def asked(lab: RunningLab) -> Answered:
    """Ask through the gateway."""
    return readers.asked(lab.address(EDGE), NAME)


def is_open(lab: RunningLab, begins: str) -> str:
    """Demand that people reach the app, at once or when its gateway has seen that it is well; return what it says."""
    until = time.monotonic() + 20
    while (found := asked(lab))[0] != 200 and time.monotonic() < until:
        assert not found[2], "it is closed"
        time.sleep(0.3)
    assert (found[0], found[1].startswith(begins)) == (200, True), found
    return found[1].removeprefix(begins).strip()


def reading(lab: RunningLab) -> Readers:
    """Have readers who ask through the gateway."""
    return Readers(lab.address(EDGE), NAME)


def at_first(lab: RunningLab) -> str:
    """Have version 1.0, with the books that were there before 2.0 if that was tried; return what people read."""
    status, said, _ = asked(lab)
    if status != 200 or not said.startswith("version 1.0: "):
        last = max(document(lab, "backup", "list", "shelf")["backups"], key=lambda one: str(one["started"]))
        spec(lab).write_text(SPEC)
        lab.run("deploy", "shelf", "--in-place", check=None)
        lab.run("restore", "shelf", "--snapshot", last["id"], "--yes")
        lab.run("heal", "--auto", "shelf", check=None)
    return is_open(lab, "version 1.0: ")


def test_what_closes_an_app_has_an_owner_and_an_end(shelf: RunningLab) -> None:
    """A reload of the gateway keeps it closed, a stranger opens it not, its timer and a new start do: whoever is killed leaves it not for ever."""
    gateway, marker = InstanceName("edge", "gateway", EDGE), "0123456789abcdef0123456789abcdef"

    def said(script: str) -> maintenance.Answer:
        ran = shelf.on(EDGE, script)
        return maintenance.answer(ran.encode(), gateway, marker)

    def closed(owner: str, seconds: float) -> maintenance.Answer:
        return said(maintenance.closed(gateway, "shelf", owner, (seconds, 1.0), marker))

    def is_closed() -> bool:
        return said(maintenance.asked(gateway, "shelf", "ada", marker)).already

    assert not is_closed()
    assert closed("ada", 600.0) == maintenance.Answer()
    assert is_closed()
    assert closed("ada", 300.0) == maintenance.Answer(already=True)
    assert asked(shelf)[2]
    edge = shelf.workspace / "apps/edge.yaml"
    edge.write_text(GATEWAY.replace("50", "60"))
    shelf.run("deploy", "edge")
    assert asked(shelf)[2]
    assert [one["owner"] for one in document(shelf, "gateway", "status")["gateways"][0]["backends"]] == ["ada", "ada"]
    with pytest.raises(Exception, match="somebody else"):
        closed("bob", 1.0)
    assert closed("ada", 1.0).already
    time.sleep(3.0)
    is_open(shelf, "version 1.0: ")
    assert said(maintenance.opened(gateway, "shelf", "ada", marker)).answered > 0
    closed("ada", 600.0)
    shelf.on(EDGE, "systemctl restart tfheal-edge-gateway")
    assert [is_closed(), is_closed()] == [False, False], (
        "a gateway that starts anew leads to it, and who asks finds that out"
    )
    is_open(shelf, "version 1.0: ")


def test_all_of_it_is_stopped_and_migrated_once(shelf: RunningLab) -> None:
    """People read that it is closed, and nothing else fails; half a migration is taken back with what was there before."""
    plan = document(shelf, *UPGRADE, "--plan", check=3)
    assert (plan["closes"], "all of it is stopped" in plan["interruption"]["web"]) == (True, True), plan
    shelf.on(BOOKS, ADD.format("kept"))
    before = is_open(shelf, "version 1.0: ")
    with that_fails(shelf, "midway"), reading(shelf) as people:
        back = document(shelf, *UPGRADE, check=5)
    assert (back["state"], "half of it is done" in back["detail"]) == ("rolled-back", True), back
    assert back["closed_for"] > 0
    assert (is_open(shelf, "version 1.0: "), people.failed) == (before, [])
    assert (people.answered > 0, people.closed > 0) == (True, True)
    assert 'version: "1.0"' in spec(shelf).read_text()
    held = document(shelf, "upgrade", "shelf", "--to", "2.0", check=6)
    assert "is held" in held["error"]["what"]
    with reading(shelf) as people:
        done = document(shelf, *UPGRADE)
    assert (done["state"], {one["outcome"] for one in done["instances"]}) == ("done", {"done"}), done
    assert is_open(shelf, "version 2.0: ") == before.replace("schema 1, migrated 0", "schema 2, migrated 1")
    assert (people.failed, people.closed > 0) == ([], True)
    assert 'version: "2.0"' in spec(shelf).read_text()
    assert actions(document(shelf, "heal", "--auto", "shelf")) == []
    assert "needs a restore" in document(shelf, "rollback", "shelf", check=6)["error"]["what"]


@pytest.mark.long
def test_a_version_that_does_not_serve_is_taken_back(shelf: RunningLab) -> None:
    """The books are migrated, and nobody reads them: they come back, as the old version can read them."""
    at_first(shelf)
    shelf.on(BOOKS, ADD.format("unread"))
    before = is_open(shelf, "version 1.0: ")
    with that_fails(shelf, "to-serve"):
        back = document(shelf, *UPGRADE, check=5)
    assert (back["state"], "HTTP 503" in back["detail"]) == ("rolled-back", True), back
    assert is_open(shelf, "version 1.0: ") == before
    assert document(shelf, "status", "shelf")["health"] == "healthy"


@pytest.mark.long
def test_what_needs_no_migration_is_rolled(shelf: RunningLab) -> None:
    """Version 1.1 has the same series: nobody reads that it is closed."""
    at_first(shelf)
    with reading(shelf) as people:
        done = document(shelf, "upgrade", "shelf", "--to", "1.1", "--soak", "1s")
        back = document(shelf, "rollback", "shelf")
    assert (done["state"], done["closes"], back["state"]) == ("done", False, "rolled-back")
    assert people.closed == 0


POINTS = (
    "shelf  is closed",  # nothing is stopped yet
    "shelf/web@s2  is stopped",
    "shelf  what was written until then",  # both are stopped
    "journal, set_deployed",  # the first instance is to be of the new version
    "migrate",  # half of it is done
    "shelf/web@s3  from",  # one is there, the other one is not
    "unit:",
    "edge/gateway@s1 leads to it again",  # all of it is proven, and nobody is let in yet
    "shelf  is back",  # people use it
    "specs, put",
)


@pytest.mark.long
@pytest.mark.parametrize("heals", [False, True])
@pytest.mark.parametrize("at", POINTS)
def test_one_that_is_killed_is_finished(shelf: RunningLab, at: str, *, heals: bool) -> None:
    """The same command goes on, whether healing came by in between or not: each book is there, migrated once, and it is open."""
    at_first(shelf)
    shelf.on(BOOKS, ADD.format("killed"))
    before = is_open(shelf, "version 1.0: ")
    dying = replace(shelf, around=(*shelf.around, f"TFHEAL_FAILPOINT={at}"))
    assert "failpoint: " in dying.run(*UPGRADE, check=-9).stderr
    if heals:
        document(shelf, "heal", "--auto", "shelf", check=None)
    done = document(shelf, *UPGRADE)
    assert done["state"] in {"done", "unchanged"}, done
    assert is_open(shelf, "version 2.0: ") == before.replace("schema 1, migrated 0", "schema 2, migrated 1")
    assert 'version: "2.0"' in spec(shelf).read_text()
    assert actions(document(shelf, "heal", "--auto", "shelf")) == []


@pytest.mark.long
@pytest.mark.parametrize("at", ["shelf/web@s3  back", "unit:", "shelf  the data of backup", "data:", "specs, put"])
def test_one_that_is_killed_while_it_is_taken_back(shelf: RunningLab, at: str) -> None:
    """The same command goes on with the way back; the books are as they were."""
    at_first(shelf)
    shelf.on(BOOKS, ADD.format("returned"))
    before = is_open(shelf, "version 1.0: ")
    with that_fails(shelf, "to-serve"):
        killed = replace(shelf, around=(*shelf.around, "TFHEAL_FAILPOINT=shelf/web@s3  back"))
        assert "failpoint: " in killed.run(*UPGRADE, check=-9).stderr
        if at != "shelf/web@s3  back":
            dying = replace(shelf, around=(*shelf.around, f"TFHEAL_FAILPOINT={at}"))
            assert "failpoint: " in dying.run(*UPGRADE, check=-9).stderr
        back = document(shelf, *UPGRADE, check=5)
    assert back["state"] == "rolled-back", back
    assert is_open(shelf, "version 1.0: ") == before
    assert document(shelf, "status", "shelf")["health"] == "healthy"


@pytest.mark.long
def test_one_that_is_killed_is_taken_back_by_rollback(shelf: RunningLab) -> None:
    """Nobody can have used the new version while it is closed: all is as it was before."""
    at_first(shelf)
    shelf.on(BOOKS, ADD.format("rollback"))
    before = is_open(shelf, "version 1.0: ")
    dying = replace(shelf, around=(*shelf.around, "TFHEAL_FAILPOINT=shelf/web@s3  from"))
    assert "failpoint: " in dying.run(*UPGRADE, check=-9).stderr
    assert asked(shelf)[2], "it stays closed"
    assert document(shelf, "rollback", "shelf")["state"] == "rolled-back"
    assert is_open(shelf, "version 1.0: ") == before


@pytest.mark.long
def test_what_was_open_meanwhile_is_not_taken_back(shelf: RunningLab) -> None:
    """Killed, and opened before the next run: people may have written, so their data stays, and a human is called."""
    at_first(shelf)
    dying = replace(shelf, around=(*shelf.around, "TFHEAL_FAILPOINT=shelf/web@s3  from"))
    with that_fails(shelf, "to-serve"):
        assert "failpoint: " in dying.run(*UPGRADE, check=-9).stderr
        marker = "0123456789abcdef0123456789abcdef"
        gateway = InstanceName("edge", "gateway", EDGE)
        shelf.on(EDGE, maintenance.opened(gateway, "shelf", "upgrade shelf", marker))
        shelf.on(BOOKS, ADD.format("since"))
        for _ in range(2):  # it is closed again since, and was open all the same
            assert document(shelf, *UPGRADE, check=7)["state"] == "frozen"
    assert document(shelf, *UPGRADE)["state"] == "done", "mended, the same command goes on"
    assert "since" in is_open(shelf, "version 2.0: ")
