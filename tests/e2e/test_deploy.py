"""Deploy and remove as an operator meets them: again, changed, interrupted, cloned, refused."""

import hashlib
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from customer import Customer
from documents import actions, document, findings
from running_lab import RunningLab

pytestmark = pytest.mark.lab
SPEC = "apps/files.yaml"


@pytest.fixture
def spec(shop: RunningLab) -> Iterator[Path]:
    """Return the app's spec, and put it back after the test."""
    path = shop.workspace / SPEC
    before = path.read_text()
    yield path
    path.write_text(before)
    shop.run("deploy", "files")


@pytest.fixture
def second(shop: RunningLab) -> Iterator[Path]:
    """Write the spec of a second app on s2, and take it away after the test."""
    path = shop.workspace / "apps" / "more.yaml"
    path.write_text((shop.workspace / SPEC).read_text().replace("app: files", "app: more").replace("[s1]", "[s2]"))
    yield path
    shop.run("remove", "more", "--data", "--yes", check=None)
    path.unlink()


def test_a_second_deploy_changes_nothing(shop: RunningLab) -> None:
    """What is as it should be costs one round trip and is said to be unchanged."""
    again = document(shop, "deploy", "files")
    assert again["round_trips"] == 1
    assert [item["outcome"] for item in again["apps"][0]["instances"]] == ["unchanged"]


def test_a_change_is_information_until_it_is_deployed(shop: RunningLab, customer: Customer, spec: Path) -> None:
    """Status only mentions a newer spec, heal leaves it alone, the plan shows its diff, and deploy takes two trips."""
    spec.write_text(spec.read_text().replace("Example files", "Other files"))
    assert findings(document(shop, "status")) == {"not-deployed"}
    assert actions(document(shop, "heal", "--auto")) == []

    plan = document(shop, "deploy", "files", "--plan", check=3)
    assert plan["round_trips"] == 1
    changes = {change["resource"]: change for change in plan["apps"][0]["instances"][0]["changes"]}
    config = changes["file:/opt/tfheal/files/web/config/copyparty.conf"]
    assert (config["certainty"], "+  name: Other files" in config["diff"]) == ("will", True)
    assert changes["unit:tfheal-files-web.service"]["certainty"] == "might"
    assert findings(document(shop, "status")) == {"not-deployed"}, "a plan changes nothing"

    assert document(shop, "deploy", "files")["round_trips"] == 2
    assert b"Other files" in customer.get("")
    assert findings(document(shop, "status")) == set()


def test_no_secret_is_shown(shop: RunningLab, customer: Customer, spec: Path) -> None:
    """A plan, a status, the logs, the history and everything kept in the workspace hold no password."""
    spec.write_text(spec.read_text().replace("Example files", "Third files"))
    shop.on("s1", f"echo garbled-{customer.password} >/opt/tfheal/files/web/config/accounts.conf")
    said = [
        shop.run(*words, check=None)
        for words in (
            ("deploy", "files", "--plan"),
            ("status", "--json"),
            ("logs", "files"),
            ("heal", "--auto"),
            ("history",),
        )
    ]
    assert not [ran.args for ran in said if customer.password in ran.stdout + ran.stderr]
    kept = [
        path for path in shop.workspace.rglob("*") if path.is_file() and customer.password.encode() in path.read_bytes()
    ]
    assert kept == []
    assert customer.password not in shop.on("s1", "cat /var/log/tfheal/journal.jsonl /var/lib/tfheal/files/web/state")


@pytest.mark.parametrize(
    ("moment", "end"),
    [
        ("changed  user:", signal.SIGINT),
        ("changed  command:", signal.SIGKILL),
        ("changed  venv:", signal.SIGTERM),
        ("copyparty.conf", signal.SIGKILL),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_an_interrupted_deploy_goes_on(shop: RunningLab, second: Path, end: signal.Signals, moment: str) -> None:
    """Ended at any resource, a deploy leaves no lease and no half state that heal alone does not bring to its end."""
    assert second.exists()
    code = _interrupted(shop, ("deploy", "more"), moment, end)
    assert code == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[end]

    healed = document(shop, "heal", "--auto", "more", check=None)
    if healed["exit"] == 6:  # what was begun still runs on the slice: it is waited for, not run over
        time.sleep(20)
        healed = document(shop, "heal", "--auto", "more")
    assert healed["exit"] == 0
    assert document(shop, "status", "more")["health"] == "healthy"
    assert [one["outcome"] for one in document(shop, "deploy", "more")["apps"][0]["instances"]] == ["unchanged"]
    unended = [one for one in document(shop, "history", "more")["actions"] if isinstance(one["outcome"], dict)]
    assert unended == []


def test_an_interrupted_remove_is_finished(shop: RunningLab, second: Path) -> None:
    """A remove that was killed is finished by heal, and what it does not own stays."""
    assert second.exists()
    shop.run("deploy", "more")
    _interrupted(shop, ("remove", "more"), "remove unit:", signal.SIGKILL)
    time.sleep(1)
    assert document(shop, "heal", "--auto", "more", check=None)["exit"] in {0, 3, 6}
    document(shop, "heal", "--auto", "more")
    assert document(shop, "status", "more")["apps"][0]["health"] == "absent"
    left = shop.on(
        "s2", "ls -d /opt/tfheal/more /etc/systemd/system/tfheal-more-* /var/lib/tfheal/more 2>/dev/null", check=None
    )
    assert left == ""
    assert shop.on("s2", "ls -d /srv/tfheal/more/web/files").strip(), "the owner's data stays"
    assert "install ok" in shop.on("s2", "dpkg -s python3-venv"), "packages stay"


def test_data_goes_only_when_asked_twice(shop: RunningLab, second: Path) -> None:
    """Without a terminal the question about data is refused before anything is touched."""
    assert second.exists()
    shop.run("deploy", "more")
    refused = document(shop, "remove", "more", "--data", check=2)
    assert "--yes" in refused["error"]["do"]
    assert document(shop, "status", "more")["health"] == "healthy"
    shop.run("remove", "more", "--data", "--yes")
    assert shop.on("s2", "ls -d /srv/tfheal/more 2>/dev/null", check=None) == ""


def test_two_heals_do_not_meet(shop: RunningLab) -> None:
    """The second of two runs on one app ends at once with 6 and says who is at work."""
    shop.do("break", "s1", "delete-release", "--app", "files")
    with subprocess.Popen(
        shop.command("heal", "--auto"), cwd=shop.workspace, stderr=subprocess.PIPE, text=True
    ) as first:
        time.sleep(1.5)
        begun = time.monotonic()
        second = document(shop, "heal", "--auto", check=6)
        assert time.monotonic() - begun < 15, "it does not wait for the first"
        assert str(first.pid) in second["locked"]["files"]
        first.communicate(timeout=120)
        assert first.returncode == 0


def test_the_owner_says_stop(shop: RunningLab) -> None:
    """With hands-off on the slice nothing is done there, and status says whose wish that is."""
    shop.on("s1", "test -d /etc/tfheal && touch /etc/tfheal/hands-off")
    try:
        shop.on("s1", "systemctl stop tfheal-files-web")
        seen = document(shop, "status", check=0)
        assert (seen["apps"][0]["health"], findings(seen)) == ("paused", {"paused-by-owner"})
        assert actions(document(shop, "heal", "--auto", check=6)) == []
        refused = document(shop, "deploy", "files", check=6)
        assert "owner" in json.dumps(refused)
        assert shop.on("s1", "systemctl is-active tfheal-files-web", check=None).strip() == "inactive"
    finally:
        shop.on("s1", "rm -f /etc/tfheal/hands-off")
    assert actions(document(shop, "heal", "--auto")) == [("restart", "done")]


def test_a_clone_goes_on(shop: RunningLab, tmp_path: Path) -> None:
    """A clone of the workspace without its journal sees the same, needs no deploy, and heals."""
    clone = tmp_path / "clone"
    shutil.copytree(
        shop.workspace, clone, ignore=lambda folder, _: [".tfheal"] if folder == str(shop.workspace) else []
    )
    key = f".tfheal/lab/{shop.name}"
    shutil.copytree(shop.workspace / key, clone / key)
    other = replace(shop, workspace=clone)
    assert document(other, "status")["health"] == "healthy"
    shop.do("break", "s1", "stop-service", "--app", "files")
    assert actions(document(other, "heal", "--auto")) == [("restart", "done")]
    assert document(other, "deploy", "files")["round_trips"] == 1


def test_the_owner_can_check_the_record(shop: RunningLab) -> None:
    """Every line of the journal on the slice carries the hash of the line before it."""
    lines = shop.on("s1", "cat /var/log/tfheal/journal.jsonl").encode().splitlines(keepends=True)
    records = [json.loads(line) for line in lines]
    for before, record in zip(lines, records[1:], strict=False):
        assert record["prev"] == hashlib.sha256(before).hexdigest()
    assert {record["verb"] for record in records} >= {"deploy"}
    assert all(record["writer"].startswith("Test provider") for record in records)


def test_a_slice_that_came_back_empty_is_not_healed(shop: RunningLab, second: Path) -> None:
    """A machine made anew is wiped, not healthy: status and heal say so and call a human once, deploy refuses."""
    assert second.exists()
    shop.run("deploy", "more")
    shop.do("recreate", "s2")
    assert "slice-wiped" in findings(document(shop, "status", "more", check=7))
    pages = _pages(shop)
    assert ("page", "done") in actions(document(shop, "heal", "--auto", "more", check=7))
    assert [page["cause"] for page in _pages(shop)[len(pages) :]] == ["slice-wiped"]
    document(shop, "heal", "--auto", "more", check=7)
    assert len(_pages(shop)) == len(pages) + 1, "once for an incident"
    document(shop, "deploy", "more", check=6)
    document(shop, "deploy", "more", "--onto-empty")
    assert document(shop, "status", "more")["health"] == "healthy"


def _pages(shop: RunningLab) -> list[dict[str, str]]:
    path = shop.workspace / "pages.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines() if line] if path.exists() else []


def _interrupted(shop: RunningLab, words: tuple[str, ...], moment: str, end: signal.Signals) -> int:
    """Run a command, send it a signal as soon as it speaks of a resource, and return its code."""
    command = shop.command(*words)
    with subprocess.Popen(command, cwd=shop.workspace, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        for line in process.stderr:
            if moment in line:
                process.send_signal(end)
                break
        process.stderr.read()
        return process.wait(timeout=60)
