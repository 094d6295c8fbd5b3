"""A lab of slices with the same small app: one stays good, the others may do what they like."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cases import HONEST, MEND
from pair import APPS, GOOD, HOSTILE, ROUND, Pair, at_once, front, password
from running_lab import RunningLab, name_of_ours

PROVIDER = """\
name = "Test provider"
[page]
command = ["{page}"]
[ssh]
patience = "2s"
connect_timeout = "2s"
banner_timeout = "5s"
login_timeout = "5s"
silence = "8s"
round_timeout = "{round:g}s"
[heal]
ask_every = "200ms"
backoff = "300ms"
budget = 2
budget_window = "60s"
healthy_for = "1s"
chronic = 1000
"""
APP = """\
app: {app}
owner: lab
playbook: small
version: "1"
place: {{web: [{slices}]}}
"""
PLAYBOOK = """\
playbook: small
title: A small service
versions: {"1": locks/1.txt}
secrets:
  admin_password: {description: the sentinel, show: true}
components:
  web:
    packages: [coreutils]
    resources:
      - {kind: directory, path: "{{ data }}/files", mode: "0700", owner: "{{ user }}", group: "{{ user }}", data: true}
      - {kind: file, path: "{{ config }}/open.conf", template: open.conf.j2, mode: "0644"}
      - {kind: file, path: "{{ config }}/secret.conf", template: secret.conf.j2, mode: "0600"}
    service: {exec: "/bin/sh -c 'echo says $(hostname); exec sleep infinity'"}
    data: [{name: data}]
    checks:
      - {name: up, kind: alive, command: "cat /front/says 2>/dev/null || echo up"}
"""


def workspace_at(folder: Path) -> Path:
    """Write the workspace of the pair."""
    files = {
        "tfheal.toml": PROVIDER.format(page=folder.parent / "page", round=ROUND),
        "inventory.toml": "",
        "playbooks/small/playbook.yaml": PLAYBOOK,
        "playbooks/small/locks/1.txt": "small==1\n",
        "playbooks/small/open.conf.j2": "title = {{ app }}\n",
        "playbooks/small/secret.conf.j2": "password = {{ secrets.admin_password }}\n",
        "apps/good.yaml": APP.format(app="good", slices=GOOD),
        "apps/evil.yaml": APP.format(app="evil", slices=", ".join(HOSTILE)),
        "apps/shared.yaml": APP.format(app="shared", slices=", ".join((GOOD, *HOSTILE))),
        "apps/gone.yaml": APP.format(app="gone", slices=", ".join(HOSTILE)),
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture(scope="session")
def both(lab_ground: Path) -> Iterator[Pair]:
    """Make the pair, with its apps deployed and our fronts in place."""
    ground = lab_ground / "hostile"
    for folder in ("home/.ssh", "tmp"):
        (ground / folder).mkdir(parents=True)
    (ground / "home/.ssh/id_ed25519").write_text("the provider's own key\n")
    (ground / "page").write_text(f"#!/bin/sh\ncat >>{ground}/pages\necho >>{ground}/pages\n")
    (ground / "page").chmod(0o755)
    key = f"TFHEAL_AGE_KEY_FILE={ground / 'age.key'}"
    running = RunningLab(name_of_ours("hostile"), workspace_at(ground / "workspace"), ("env", key))
    try:
        running.run("lab", "up", "--slices", str(1 + len(HOSTILE)), "--name", running.name, "--yes")
        pair = Pair(running, ground, ())
        with pair.settings(round_timeout='"60s"'):  # a machine that makes seven slices at once is slow
            running.run("deploy", "good", "evil", "shared", "gone")
            pair = replace(pair, secrets=tuple(password(running, app) for app in APPS))
            running.run("remove", "gone", "--yes")
        (running.workspace / "apps/gone.yaml").unlink()
        pair.prepare()
        yield pair
    finally:
        running.run("lab", "down", "--name", running.name)


@pytest.fixture
def pair(both: Pair) -> Iterator[Pair]:
    """Lend the pair; whatever the hostile slices did is taken back."""
    both.sent()
    (both.ground / "pages").unlink(missing_ok=True)
    yield both
    at_once(HOSTILE, lambda name: both.inside(name, f"{MEND}\n{front(HONEST)}", check=None))
    both.forget_tries()
