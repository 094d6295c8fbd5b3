"""Tryton on a lab of its own, to go from version to version: a database, two web servers, a gateway, and a store of backups."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

from documents import document
from running_lab import RunningLab, name_of_ours
from tryton_user import TrytonUser
from tryton_visitors import Asked

_ROOT = Path(__file__).parents[1]
WEB, EDGE = ("s2", "s3"), "s5"
_CRM = """\
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
_GATEWAY = """\
app: edge
owner: lab
playbook: gateway
version: debian
place: {gateway: [s5]}
heal: {reflex: off}
"""
_PROVIDER = """\
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


@contextmanager
def tryton_to_upgrade(ground: Path, name: str) -> Iterator[RunningLab]:
    """Given a folder and a name of its own, have Tryton 7.0.58 with a party in it, and its lab, until the context ends."""
    folder = ground / name
    (folder / "apps").mkdir(parents=True)
    (folder / "inventory.toml").touch()
    for path, text in {"tfheal.toml": _PROVIDER, "apps/crm.yaml": _CRM, "apps/edge.yaml": _GATEWAY}.items():
        (folder / path).write_text(text)
    playbook = folder / "playbooks/tryton"
    shutil.copytree(_ROOT / "playbooks/tryton", playbook)
    shutil.copy(playbook / "locks/8.0.12.txt", playbook / f"locks/{BAD}.txt")
    text = (playbook / "playbook.yaml").read_text()
    text = text.replace('  "8.0.12": locks', f'  "{BAD}": locks/{BAD}.txt\n  "8.0.12": locks')
    text = text.replace('    "8.0.12": needs', f'    "{BAD}": needs-restore\n    "8.0.12": needs')
    (playbook / "playbook.yaml").write_text(text)
    ready = (playbook / "ready.sh.j2").read_text()
    bad = f"{{% if version == '{BAD}' %}}echo 'this version is bad'; exit 1{{% endif %}}\n"
    (playbook / "ready.sh.j2").write_text(bad + ready)
    running = RunningLab(name_of_ours(name), folder, ("env", f"TFHEAL_AGE_KEY_FILE={ground / f'{name}.key'}"))
    try:
        running.run("lab", "up", "--slices", "5", "--name", running.name, "--yes")
        running.run("deploy", "crm", "edge", timeout=2400)
        TrytonUser.admin(running, WEB[0]).call("model.party.party.create", [{"name": "Ada Ltd"}])
        yield running
    finally:
        running.run("lab", "down", "--name", running.name)


def asked_of(crm: RunningLab) -> Asked:
    """Return whom its visitors ask."""
    user = TrytonUser.admin(crm, WEB[0])
    (party, *_) = user.call("model.party.party.search", [["name", "=", "Ada Ltd"]], 0, 1, None)
    password = document(crm, "secret", "show", "crm", "admin_password")["value"]
    path = urlparse(user.url).path.removesuffix("rpc/")
    return Asked(crm.address(EDGE), "crm.example", path, user.session, password, party)


def parties(crm: RunningLab) -> list[set[str]]:
    """Return the names of the parties, as each web server shows them."""
    users = [TrytonUser.admin(crm, name) for name in WEB]
    return [
        {one["name"] for one in user.call("model.party.party.search_read", [], 0, None, None, ["name"])}
        for user in users
    ]
