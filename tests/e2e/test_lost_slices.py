"""Lost slices, for real: a storm that freezes healing, a machine made anew, an app that moves, and what is left behind."""

import json
import shutil
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from documents import actions, document, findings
from running_lab import RunningLab, name_of_ours, new_workspace

from tfheal.edge.known_hosts import KnownHosts

pytestmark = pytest.mark.lab
RELAY = Path(__file__).parents[1] / "relay"
PROVIDER = """\
[page]
command = ["./page"]
[ssh]
patience = "2s"
connect_timeout = "2s"
[heal]
asks = 2
ask_every = "300ms"
backoff = "500ms"
budget = 5
budget_window = "60s"
healthy_for = "1s"
gone_after = "2s"
"""
PAGE = "#!/bin/sh\ncat >>pages.jsonl\necho >>pages.jsonl\n"
SPEC = """\
app: chat
owner: lab
playbook: relay
version: "1"
place: {source: [s1, s2], front: [s3, s4]}
spares: [s5]
heal: {allow: [ALLOW], reflex: "off"}
"""
GONE = 2.0  # seconds, as the workspace has it


@pytest.fixture(scope="module")
def chat(lab_ground: Path) -> Iterator[RunningLab]:
    """Five slices: two with a source, two with a front that asks it, and a spare."""
    folder = new_workspace(lab_ground / "lost")
    (folder / "tfheal.toml").write_text(PROVIDER)
    (folder / "page").write_text(PAGE)
    (folder / "page").chmod(0o755)
    shutil.copytree(RELAY, folder / "playbooks" / "relay")
    (folder / "apps").mkdir()
    running = RunningLab(name_of_ours("lost"), folder, ("env", f"TFHEAL_AGE_KEY_FILE={lab_ground / 'lost.key'}"))
    permit(running, "restart")
    try:
        running.run("lab", "up", "--slices", "5", "--name", running.name, "--yes")
        running.run("deploy", "chat")
        yield running
    finally:
        running.run("lab", "down", "--name", running.name)


def permit(chat: RunningLab, *rungs: str) -> None:
    """Write what healing may do."""
    (chat.workspace / "apps" / "chat.yaml").write_text(SPEC.replace("ALLOW", ", ".join(rungs)))


def asked(chat: RunningLab, name: str) -> str:
    """Return what the front on a slice answers to whoever asks it."""
    address = chat.slices()[name]["address"]
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        f"http://[{address}]:7002/", timeout=10
    ) as told:
        return str(told.read().decode())


def healed(chat: RunningLab, code: int = 0) -> dict[str, Any]:
    """Let a slice be silent for long enough to be gone, and heal."""
    document(chat, "heal", "--auto", check=None)
    time.sleep(GONE)
    return document(chat, "heal", "--auto", check=code)


def history(chat: RunningLab) -> list[tuple[str, str, str]]:
    """Return everything that was done, as what, where and outcome."""
    done = document(chat, "history", "--limit", "1000")["actions"]
    return [(one["what"], one["instance"], one["outcome"]) for one in done]


def test_a_storm_freezes_healing_and_calls_once(chat: RunningLab) -> None:
    """With three of four slices cut off nothing is done, also not where it could be; one call, and it is over by itself."""
    cut = ("s1", "s2", "s3")
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: chat.do("break", name, "partition"), cut))
        chat.do("break", "s4", "stop-service", "--app", "chat")
    before = history(chat)
    storm = document(chat, "heal", "--auto", check=7)
    assert (actions(storm), [one["cause"] for one in storm["incidents"] if one["actions"]]) == (
        [("page", "done")],
        ["storm"],
    )
    assert actions(document(chat, "heal", "--auto", check=7)) == []
    assert [verb for verb, _, _ in history(chat)[len(before) :]] == ["page"]
    assert [json.loads(line)["cause"] for line in (chat.workspace / "pages.jsonl").read_text().split("\n") if line] == [
        "storm"
    ]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: chat.do("mend", name), cut))
    assert actions(document(chat, "heal", "--auto")) == [("restart", "done")]
    assert asked(chat, "s4") == "hello"
    chat.do("mend", "s4")


def test_a_slice_with_another_host_key_is_made_anew(chat: RunningLab) -> None:
    """Where it is not allowed a human is called and told why; where it is, the new key is pinned and the front serves."""
    pinned = KnownHosts(chat.known_hosts).pinned("s3")
    chat.on("s3", "cd /etc/ssh && rm ssh_host_*; ssh-keygen -q -A && systemctl restart ssh")
    assert "host-key-changed" in findings(document(chat, "status", check=7))
    assert actions(document(chat, "heal", "--auto", check=7)) == [("page", "done")]
    last = json.loads((chat.workspace / "pages.jsonl").read_text().strip().split("\n")[-1])
    assert "recreate (not in heal: allow: of chat)" in last["why"]
    permit(chat, "restart", "recreate")
    before = history(chat)
    assert actions(document(chat, "heal", "--auto")) == [("recreate", "done")]
    taken = [("recreate", "chat/front@s3", "done"), ("redeploy", "chat/front@s3", "done")]
    assert history(chat)[len(before) :] == taken
    assert KnownHosts(chat.known_hosts).pinned("s3") not in {(), pinned}
    assert asked(chat, "s3") == "hello"
    assert actions(document(chat, "heal", "--auto")) == []


def test_what_ran_on_a_slice_that_is_gone_moves_to_the_spare(chat: RunningLab) -> None:
    """It serves there, sources let it in; the old slice is stopped as soon as it is back, and deploy has nothing to do."""
    permit(chat, "restart", "recreate", "rehome")
    inventory = chat.workspace / "inventory.toml"
    inventory.write_text(inventory.read_text().replace("tfheal lab recreate s4", "false"))  # its provisioner cannot
    chat.do("break", "s4", "power-off")
    taken = actions(healed(chat))
    assert taken == [("recreate", "failed"), ("rehome", "done")]
    assert asked(chat, "s5") == "hello"
    seen = document(chat, "status", "chat")
    assert (seen["health"], findings(seen)) == ("healthy", {"moved", "retired"})
    placed = document(chat, "place", "chat")
    front = next(one for one in placed["components"] if one["component"] == "front")
    assert (front["slices"], front["written"], front["pinned"]) == (["s3", "s5"], ["s3", "s4"], False)
    assert placed["retired"] == ["chat/front@s4"]

    chat.do("mend", "s4")
    chat.run("lab", "up", "--name", chat.name, "--yes")  # which waits until its sshd answers
    assert chat.on("s4", "systemctl is-active tfheal-chat-front", check=None).strip() == "active"
    before = history(chat)
    deployed = document(chat, "deploy", "chat")  # any round does it, a deploy too
    assert {one["outcome"] for one in deployed["apps"][0]["instances"]} == {"unchanged"}
    assert history(chat)[len(before) :] == [("remove", "chat/front@s4", "done")]
    assert chat.on("s4", "systemctl is-active tfheal-chat-front", check=None).strip() == "inactive"
    assert actions(document(chat, "heal", "--auto")) == []
    assert asked(chat, "s5") == "hello"


def test_a_person_moves_it_back(chat: RunningLab) -> None:
    """The same story by hand: it serves there again, the spare is empty, and the app spec is right again."""
    placed = document(chat, "place", "chat", "front=s3,s4")
    assert (placed["retired"], placed["failed"]) == ([], {})
    assert asked(chat, "s4") == "hello"
    assert chat.on("s5", "ls /opt/tfheal 2>/dev/null", check=None) == ""
    assert findings(document(chat, "status", "chat")) == set()
    assert document(chat, "place", "chat", "front=s9", check=2)["error"]["what"] == "there is no slice s9"
    assert "in use" not in json.dumps(document(chat, "place", "chat"))


def test_at_a_mycelium_address_a_key_is_taken_at_first_sight(chat: RunningLab, tmp_path: Path) -> None:
    """A provisioner that prints nothing is enough there: what the new machine shows right after our recreate is pinned."""
    inventory, overlay = chat.workspace / "inventory.toml", "5f3:8a1c:2d4e:11::2"
    written, address = inventory.read_text(), chat.slices()["s2"]["address"]
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text(f"Host {overlay}\n  HostName {address}\n")  # there is no overlay here
    (chat.workspace / "silently").write_text(f'#!/bin/sh\nexec {sys.executable} -m tfheal "$@" >/dev/null 2>&1\n')
    (chat.workspace / "silently").chmod(0o755)
    before, mark, after = written.replace(f'"{address}"', f'"{overlay}"').partition("tfheal lab recreate s2")
    assert mark, "it has a provisioner"
    after = after.replace('host_key = "output"', 'host_key = "first-contact"\nbackoff = "1s"', 1)
    silent = f"{before}./silently lab recreate s2{after}"
    away = replace(chat, around=(*chat.around, f"HOME={tmp_path}"))
    pinned = KnownHosts(chat.known_hosts).pinned("s2")
    chat.on("s2", "cd /etc/ssh && rm ssh_host_*; ssh-keygen -q -A && systemctl restart ssh")
    try:
        inventory.write_text(silent)
        assert actions(document(away, "heal", "--auto")) == [("recreate", "done")]
    finally:
        inventory.write_text(written)
    assert KnownHosts(chat.known_hosts).pinned("s2") not in {(), pinned}
    assert asked(chat, "s3") == "hello"
    assert actions(document(chat, "heal", "--auto")) == []
