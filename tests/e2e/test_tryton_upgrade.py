"""Tryton behind its gateway goes to another fix of its series under load, to the next series with all of its data, and back.

All of it is long. What is lost is printed: the README has the figures of a run.
"""

import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest
from documents import actions, document
from running_lab import RunningLab, name_of_ours
from tryton_user import TrytonUser
from tryton_visitors import Asked, Counts, TrytonVisitors

pytestmark = [pytest.mark.lab, pytest.mark.long]
ROOT = Path(__file__).parents[2]
WEB, EDGE = ("s2", "s3"), "s5"
PAGES, CALLS = 180, 20  # a second
CRM = """\
app: crm
owner: lab
playbook: tryton
version: "7.0.58"
hostname: crm.example
route: {gateway: edge}
place: {db: [s1], web: [s2, s3]}
backup: {to: s4}
heal: {reflex: off}
"""
GATEWAY = """\
app: edge
owner: lab
playbook: gateway
version: debian
place: {gateway: [s5]}
heal: {reflex: off}
"""
PROVIDER = """\
name = "Test provider"
[page]
command = ["/bin/true"]
[ssh]
patience = "4s"
connect_timeout = "4s"
login_timeout = "6s"
[heal]
ask_every = "300ms"
backoff = "500ms"
"""
BAD = "8.0.11"  # in the workspace of this test alone: 8.0.12 with a check that nothing passes


@pytest.fixture(scope="module")
def crm(lab_ground: Path) -> Iterator[RunningLab]:
    """Deploy Tryton 7.0.58 on a database and two web servers behind a gateway, with backups, and write into it."""
    folder = lab_ground / "series"
    (folder / "apps").mkdir(parents=True)
    (folder / "inventory.toml").touch()
    for name, text in {"tfheal.toml": PROVIDER, "apps/crm.yaml": CRM, "apps/edge.yaml": GATEWAY}.items():
        (folder / name).write_text(text)
    playbook = folder / "playbooks/tryton"
    shutil.copytree(ROOT / "playbooks/tryton", playbook)
    shutil.copy(playbook / "locks/8.0.12.txt", playbook / f"locks/{BAD}.txt")
    text = (playbook / "playbook.yaml").read_text()
    text = text.replace('  "8.0.12": locks', f'  "{BAD}": locks/{BAD}.txt\n  "8.0.12": locks')
    text = text.replace('    "8.0.12": needs', f'    "{BAD}": needs-restore\n    "8.0.12": needs')
    (playbook / "playbook.yaml").write_text(text)
    ready = (playbook / "ready.sh.j2").read_text()
    bad = f"{{% if version == '{BAD}' %}}echo 'this version is bad'; exit 1{{% endif %}}\n"
    (playbook / "ready.sh.j2").write_text(bad + ready)
    running = RunningLab(name_of_ours("series"), folder, ("env", f"TFHEAL_AGE_KEY_FILE={lab_ground / 'series.key'}"))
    try:
        running.run("lab", "up", "--slices", "5", "--name", running.name, "--yes")
        running.run("deploy", "crm", "edge", timeout=2400)
        TrytonUser.admin(running, WEB[0]).call("model.party.party.create", [{"name": "Ada Ltd"}])
        yield running
    finally:
        running.run("lab", "down", "--name", running.name)


def parties(crm: RunningLab) -> list[set[str]]:
    """Return the names of the parties, as each web server shows them."""
    users = [TrytonUser.admin(crm, name) for name in WEB]
    return [
        {one["name"] for one in user.call("model.party.party.search_read", [], 0, None, None, ["name"])}
        for user in users
    ]


def under_load(crm: RunningLab, *words: str, check: int = 0) -> tuple[dict[str, Any], Counts]:
    """Upgrade while people ask, and return how that ended and what they met."""
    user = TrytonUser.admin(crm, WEB[0])
    (party, *_) = user.call("model.party.party.search", [["name", "=", "Ada Ltd"]], 0, 1, None)
    asked = Asked(crm.address(EDGE), "crm.example", urlparse(user.url).path.removesuffix("rpc/"), user.session, party)
    began = time.monotonic()
    with TrytonVisitors(asked, PAGES, CALLS) as visitors:
        time.sleep(3)
        ran = crm.run("upgrade", "crm", "--soak", "5s", "--json", *words, check=check, timeout=2400)
        time.sleep(3)
    counts, seconds = visitors.counts, time.monotonic() - began
    sys.stderr.write(f"{' '.join(words)}: {seconds:.0f} s, {counts}\n")
    return dict(json.loads(ran.stdout)), counts


def test_a_fix_of_its_series_reaches_it_without_a_lost_request(crm: RunningLab) -> None:
    """One web server after the other: of pages and calls none fails, and nobody is told to come back."""
    done, counts = under_load(crm, "--to", "7.0.59")
    assert (done["state"], done["closes"]) == ("done", False), done
    assert (counts.failed, counts.closed) == ({}, 0)
    assert min(counts.answered["page"], counts.answered["call"]) > 100


def test_a_bad_version_of_the_next_series_is_taken_back(crm: RunningLab) -> None:
    """Its tables were migrated, and nobody was let in: the server of before has all that was written until it was stopped."""
    TrytonUser.admin(crm, WEB[1]).call("model.party.party.create", [{"name": "Written before a bad version"}])
    back, counts = under_load(crm, "--to", BAD, check=5)
    assert (back["state"], "this version is bad" in back["detail"]) == ("rolled-back", True), back
    assert (counts.failed, counts.closed > 0) == ({}, True)
    assert parties(crm) == [{"Ada Ltd", "Written before a bad version"}] * 2
    assert document(crm, "status", "crm")["health"] == "healthy"
    assert 'version: "7.0.59"' in (crm.workspace / "apps/crm.yaml").read_text()
    assert "is held" in document(crm, "upgrade", "crm", "--to", BAD, "--plan", check=6)["refused"]


def test_the_next_series_has_all_of_its_data(crm: RunningLab) -> None:
    """People read that it is closed, and then work on, with the passwords that they had; another user's session goes on, too."""
    TrytonUser.admin(crm, WEB[0]).call("model.party.party.create", [{"name": "Written to the last"}])
    before = parties(crm)
    done, counts = under_load(crm, "--to", "8.0.12")
    assert (done["state"], done["closes"]) == ("done", True), done
    assert (counts.failed, counts.closed > 0) == ({}, True)
    assert (parties(crm), len(before[0])) == (before, 3)
    assert document(crm, "status", "crm")["health"] == "healthy"
    assert actions(document(crm, "heal", "--auto", "crm")) == []
    assert document(crm, "rollback", "crm", check=6)["error"]["what"].endswith("going back needs a restore of the data")
