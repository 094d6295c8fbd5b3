"""Two workspaces of one fleet: what a colleague deployed is neither undone nor fought over, and is taken over."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from documents import actions, document, findings
from running_lab import RunningLab

pytestmark = pytest.mark.lab
SPEC = "apps/files.yaml"


@pytest.fixture
def colleague(shop: RunningLab, tmp_path: Path) -> Iterator[RunningLab]:
    """Give a colleague a copy of the workspace, journal and all; afterwards ours is deployed again."""
    copy = tmp_path / "colleague"
    shutil.copytree(shop.workspace, copy, ignore=shutil.ignore_patterns("*.lock"))
    before = (shop.workspace / SPEC).read_text()
    yield replace(shop, workspace=copy)
    (shop.workspace / SPEC).write_text(before)
    shop.run("deploy", "files")


def test_what_a_colleague_deployed_is_left_alone_and_then_taken_over(shop: RunningLab, colleague: RunningLab) -> None:
    """Without the colleague's spec it is unknown, and healing keeps its hands off it; with the spec it is ours too."""
    spec = colleague.workspace / SPEC
    spec.write_text(spec.read_text().replace("Example files", "Files of a colleague"))
    colleague.run("deploy", "files")

    seen = document(shop, "status", check=4)
    assert "foreign-release" in findings(seen)
    assert actions(document(shop, "heal", "--auto", check=4)) == []
    assert document(colleague, "status")["health"] == "healthy"

    shutil.copy(spec, shop.workspace / SPEC)
    assert (document(shop, "status")["health"], findings(document(shop, "status"))) == ("healthy", set())
    shop.do("break", "s1", "stop-service", "--app", "files")
    assert actions(document(shop, "heal", "--auto")) == [("restart", "done")]
    assert document(shop, "deploy", "files")["round_trips"] == 1


def test_a_slice_that_left_the_inventory_leaves_no_dead_end(shop: RunningLab, colleague: RunningLab) -> None:
    """An instance there is unknown and says what to do; removing it drops the record, and the app goes on elsewhere."""
    spec = colleague.workspace / SPEC
    spec.write_text(spec.read_text().replace("[s1]", "[s2]"))
    colleague.run("slice", "forget", "s1")
    seen = document(colleague, "status", check=4)
    assert "not in the inventory" in next(one["detail"] for one in seen["findings"] if one["finding"] == "unasked")
    document(colleague, "heal", "--auto", check=4)
    assert document(colleague, "deploy", "files", "--plan", check=6)["apps"][0]["refused"]
    document(colleague, "remove", "files/web@s1")
    assert document(colleague, "status", "files")["health"] == "absent"
    assert document(shop, "status")["health"] == "healthy", "on the slice nothing was touched"
