"""A release that fails is gone back from and held; software that is damaged unseen is made anew."""

import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from documents import actions, document, findings
from running_lab import RunningLab

pytestmark = pytest.mark.lab
PLAYBOOK = Path(__file__).parent / "notes"
VISITS = "/srv/tfheal/notes/web/visits"
SPEC = 'app: notes\nowner: lab\nplaybook: notes\nversion: "{version}"\nplace: {{web: [s3]}}\nsettings: {{fails: {fails}}}\n'


@pytest.fixture(scope="module")
def notes(fleet: RunningLab) -> Iterator[RunningLab]:
    """Have version 1.0 of a small server on s3, known good; taken away after the last test."""
    folder = fleet.workspace / "playbooks" / "notes"
    shutil.copytree(PLAYBOOK, folder)
    asks_for(fleet, "1.0")
    try:
        fleet.run("deploy", "notes")
        proven(fleet)
        yield fleet
    finally:
        fleet.run("remove", "notes", "--data", "--yes", check=None)
        (fleet.workspace / "apps/notes.yaml").unlink()
        shutil.rmtree(folder)


def asks_for(shop: RunningLab, version: str, fails: str = "never") -> None:
    """Write the app's spec: which version, and when it fails."""
    (shop.workspace / "apps").mkdir(exist_ok=True)
    (shop.workspace / "apps/notes.yaml").write_text(SPEC.format(version=version, fails=fails))


def proven(shop: RunningLab) -> None:
    """Look twice, a soak apart."""
    document(shop, "status", "notes")
    time.sleep(1.2)
    document(shop, "status", "notes")


def healed_until_quiet(shop: RunningLab) -> list[tuple[str, str]]:
    """Heal until nothing is left to do, and return what was done."""
    taken: list[tuple[str, str]] = []
    for _ in range(15):
        done = document(shop, "heal", "--auto", "notes", check=None)
        taken += actions(done)
        if done["exit"] == 0 and not done["incidents"]:
            return taken
        time.sleep(1.0)
    raise AssertionError(taken)


def test_a_version_that_fails_is_gone_back_from(notes: RunningLab) -> None:
    """The older one runs again with the data as it was, the bad one is held everywhere, and only --again tries it."""
    kept = notes.on("s3", f"cat {VISITS}").strip()
    asks_for(notes, "2.0", "at-start")
    refused = document(notes, "deploy", "notes", check=6)["apps"][0]["refused"]
    assert "it holds data, and would go from 1.0 to 2.0 (tfheal upgrade notes --to 2.0" in refused
    assert document(notes, "deploy", "notes", "--in-place", check=5)["apps"][0]["instances"][0]["outcome"] == "failed"
    assert actions(document(notes, "heal", "--auto", "notes")) == [("redeploy", "failed"), ("rollback", "done")]
    seen = document(notes, "status", "notes", check=0)
    assert (seen["apps"][0]["health"], findings(seen)) == ("healthy", {"not-deployed", "held"})
    why = next(one["detail"] for one in seen["findings"] if one["finding"] == "held")
    assert re.search("did not stay up|not alive after", why), why  # by whether it was met before it ended
    assert notes.on("s3", f"cat {VISITS}").startswith(kept), "the data is the owner's, before and after"
    time.sleep(1.2)
    assert actions(document(notes, "heal", "--auto", "notes")) == []

    for workspace in (notes, replace(notes, workspace=_clone(notes))):
        refused = document(workspace, "deploy", "notes", "--in-place", check=6)
        assert "--again" in refused["apps"][0]["refused"]


@pytest.mark.long
def test_a_version_that_is_never_ready_is_gone_back_from(notes: RunningLab) -> None:
    """It lives and does not serve: nothing is restarted for that; held, it is put there again by --again alone."""
    asks_for(notes, "2.0", "to-serve")
    document(notes, "deploy", "notes", "--in-place")
    assert healed_until_quiet(notes) == [("rollback", "done")]
    document(notes, "deploy", "notes", "--in-place", "--plan", check=6)
    assert (
        document(notes, "deploy", "notes", "--in-place", "--again")["apps"][0]["instances"][0]["outcome"] == "changed"
    )
    asks_for(notes, "1.0")
    document(notes, "deploy", "notes", "--in-place")


@pytest.mark.long
def test_past_a_version_whose_data_is_new_a_human_decides(notes: RunningLab) -> None:
    """A way back that needs a restore is not taken: the page says so, and a deploy of the old version mends it."""
    asks_for(notes, "3.0", "at-start")
    document(notes, "deploy", "notes", "--in-place", check=5)
    healed = document(notes, "heal", "--auto", "notes", check=5)
    assert actions(healed) == [("redeploy", "failed"), ("page", "done")]
    page = json.loads((notes.workspace / "pages.jsonl").read_text().splitlines()[-1])
    assert "rollback (from version 3.0 to 1.0 going back needs a restore of the data)" in page["why"]
    asks_for(notes, "1.0")
    document(notes, "deploy", "notes", "--in-place")
    assert document(notes, "status", "notes")["health"] == "healthy"


@pytest.mark.long
def test_software_that_is_damaged_unseen_is_made_anew(notes: RunningLab) -> None:
    """A compiled module that no manifest lists: a restart fails, a redeploy finds all in order, a rebuild heals."""
    module = "/opt/tfheal/notes/web/current/lib/python3*/site-packages/__pycache__/six.*.pyc"
    notes.on("s3", f"printf '\\377\\377\\377\\377' | dd of=$(echo {module}) bs=1 seek=16 conv=notrunc 2>&1")
    notes.on("s3", "systemctl restart tfheal-notes-web; sleep 1; systemctl is-failed tfheal-notes-web", check=None)
    taken = healed_until_quiet(notes)
    assert list(dict.fromkeys(rung for rung, _ in taken)) == ["restart", "redeploy", "rebuild"]
    assert taken[-1] == ("rebuild", "done")
    assert document(notes, "status", "notes")["health"] == "healthy"


@pytest.mark.long
def test_a_version_that_dies_after_a_while_is_gone_back_from(notes: RunningLab) -> None:
    """It lives long enough for every restart and redeploy to look well, and is gone back from all the same."""
    settings = notes.workspace / "tfheal.toml"
    settings.write_text(settings.read_text().replace("budget = 20", "budget = 2"))
    asks_for(notes, "2.0", "soon")
    document(notes, "deploy", "notes", "--in-place", "--again")
    taken: list[tuple[str, str]] = []
    while ("rollback", "done") not in taken and len(taken) < 12:  # each remedy gives it 2.5 s
        time.sleep(3)
        taken += actions(document(notes, "heal", "--auto", "notes", check=None))
    assert {rung for rung, _ in taken} == {"restart", "redeploy", "rollback"}
    assert document(notes, "status", "notes")["health"] == "healthy"
    settings.write_text(settings.read_text().replace("budget = 2\n", "budget = 20\n"))


def _clone(shop: RunningLab) -> Path:
    """Return a clone of the workspace on another machine, which has no journal."""
    clone = shop.workspace.with_name("clone-of-notes")
    shutil.rmtree(clone, ignore_errors=True)
    shutil.copytree(
        shop.workspace, clone, ignore=lambda folder, _: [".tfheal"] if folder == str(shop.workspace) else []
    )
    shutil.copytree(shop.workspace / f".tfheal/lab/{shop.name}", clone / f".tfheal/lab/{shop.name}")
    return clone
