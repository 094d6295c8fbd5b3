"""A pause on real slices: it stops actions and not observation, is seen by a colleague, ends by itself, leaves nothing."""

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from documents import actions, document, findings
from running_lab import RunningLab

pytestmark = pytest.mark.lab
FILES = "/var/lib/tfheal/pause.d"


def test_a_pause_stops_actions_and_not_observation(shop: RunningLab, tmp_path: Path) -> None:
    """A colleague, whose journal knows nothing of it, sees it on the slice; what acts is refused and says which pause."""
    colleague = replace(shop, workspace=tmp_path / "colleague")
    shutil.copytree(shop.workspace, colleague.workspace, ignore=shutil.ignore_patterns("*.lock"))

    made = document(shop, "pause", "files", "--for", "2h", "--why", "moving a disk")
    assert [place["outcome"] for place in made["slices"]] == ["done"]
    shop.do("break", "s1", "stop-service", "--app", "files")
    seen = document(colleague, "status", check=0)
    assert (seen["health"], findings(seen)) == ("paused", {"paused", "unit-stopped"})
    assert actions(document(colleague, "heal", "--auto", check=6)) == []
    assert "moving a disk" in document(shop, "deploy", "files", check=6)["apps"][0]["refused"]
    assert "moving a disk" in shop.run("remove", "files", "--json", check=6).stdout
    assert "moving a disk" in colleague.run("remove", "files", "--json", check=6).stdout, "by the guard on the slice"

    document(colleague, "resume", "files")
    document(shop, "heal", "--auto", check=6)
    first = f"{made['pause']['until']}\n"
    assert shop.on("s1", f"head -n 1 {FILES}/files") == first, "our journal holds it still, and a round writes it again"

    document(shop, "pause", "files", "--for", "1s", "--why", "a moment")
    time.sleep(1.5)
    assert actions(document(shop, "heal", "--auto")) == [("restart", "done")], "it ended by itself"
    assert shop.on("s1", f"ls -d {FILES} || true") == ""


def test_a_pause_out_of_reach_holds_all_the_same(shop: RunningLab) -> None:
    """What a slice could not be told is told by the next round; what ended while it was away is swept by it."""
    shop.do("break", "s1", "drop-ssh")
    assert document(shop, "pause", "slice:s1", "--for", "1h", "--why", "no link", check=4)["pause"]["kind"] == "slice"
    shop.do("mend", "s1")
    shop.do("break", "s1", "stop-service", "--app", "files")
    assert actions(document(shop, "heal", "--auto", check=6)) == []
    assert "no link" in shop.on("s1", f"cat {FILES}/_slice")

    shop.do("break", "s1", "drop-ssh")
    document(shop, "resume", "s1", check=4)
    shop.do("mend", "s1", "drop-ssh")
    assert actions(document(shop, "heal", "--auto")) == [("restart", "done")], "a file that is left over stops nobody"
    assert shop.on("s1", f"ls -d {FILES} || true") == ""
