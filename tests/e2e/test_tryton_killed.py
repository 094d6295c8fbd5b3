"""Killed once in the midst of each kind of action on two tiers: one `heal --auto` later the app is well, with its data.

What a kind is: a resource that deploy puts on a slice, and a rung of heal. A kill is told by the name of what it comes in
the midst of. The scenes follow each other on one app, each from where the one before left it; all of it takes long.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from crashes import KILLED, nothing_is_held
from documents import document
from running_lab import RunningLab, name_of_ours
from tryton_user import TrytonUser

from tfheal.lab import places

pytestmark = [pytest.mark.lab, pytest.mark.long]
ROOT = Path(__file__).parents[2]
DATABASE, WEB, OTHER, SPARE = "s1", "s2", "s3", "s4"
ALL = "restart, free-disk, redeploy, rollback, rebuild, recreate, rehome, page"
SPEC = """\
app: crm
owner: lab
playbook: tryton
version: "7.0.59"
place: {{db: [s1], web: [s2, s3]}}
spares: [s4]
settings: {{port: {port}}}
heal: {{allow: [{allow}], reflex: off}}
"""
PROVIDER = """\
name = "Test provider"
[page]
command = ["/bin/true"]
[ssh]
patience = "4s"
connect_timeout = "4s"
[heal]
asks = 1
backoff = "20ms"
budget = 20
budget_window = "60s"
healthy_for = "0s"
min_healthy_period = "1s"
chronic = 1000
gone_after = "1s"
"""
SQL = "cd /; runuser -u postgres -- psql -XAqt -d crm -c"
PARTIES = "cd /; runuser -u postgres -- psql -XAqt -d crm -c 'SELECT name FROM party_party'"
TABLE = "$(nft list tables inet | grep -o 'tfheal[^ ]*')"
STRANGE = """
cd /etc/ssh && rm -f ssh_host_*
ssh-keygen -q -t ed25519 -N '' -f ssh_host_ed25519_key && systemctl restart ssh
"""
# The same size and the same times: no manifest tells.
DAMAGED = """
serve=/opt/tfheal/crm/web/current/bin/gunicorn
touch -r $serve /run/crm.times
sed -i '1s,.,%,' $serve && touch -r /run/crm.times $serve
systemctl restart tfheal-crm-web
true
"""
STRANGER = "systemd-run -q --unit stranger python3 -m http.server 8001 --bind ::"


@dataclass(frozen=True, slots=True)
class Crm:
    """The app under test: its lab, and the party that its database keeps."""

    lab: RunningLab
    party: int = 0

    def writes(self, allow: str = ALL, port: int = 8000) -> None:
        """Write the app's spec."""
        (self.lab.workspace / "apps/crm.yaml").write_text(SPEC.format(allow=allow, port=port))

    def provides(self, recreate: str) -> None:
        """Write by which command any slice is made anew, with no back-off between two of them."""
        path = self.lab.workspace / "inventory.toml"
        anew = f'recreate = "{recreate}"\nbackoff = "20ms"'
        path.write_text(re.sub(r'recreate = ".*"(\nbackoff = ".*")?', anew, path.read_text()))

    def killed(self, at: str, *command: str) -> None:
        """Run a command that is to die at something, and demand that it did."""
        dying = RunningLab(self.lab.name, self.lab.workspace, (*self.lab.around, f"TFHEAL_FAILPOINT={at}"))
        ran = dying.run(*command, check=None, timeout=2400)
        assert ran.returncode == KILLED, (ran.returncode, ran.stdout[-2000:], ran.stderr[-2000:])

    def is_well(self) -> None:
        """Demand that one `heal --auto` puts all in order: the next has nothing to do, and nothing is held."""
        healed = self.lab.run("heal", "--auto", "--json", check=None, timeout=2400)
        again = document(self.lab, "heal", "--auto", check=None)
        assert again["exit"] == 0, (healed.stdout, again)
        assert [one for incident in again["incidents"] for one in incident["actions"]] == [], (healed.stdout, again)
        assert document(self.lab, "status")["health"] == "healthy"
        nothing_is_held(self.lab)
        for name in self.lab.slices():
            self.lab.on(
                name, "for lock in /run/tfheal/crm*.lock; do [ ! -e $lock ] || flock -n $lock true || exit 1; done"
            )

    def keeps(self, *names: str) -> None:
        """Demand that the party is read at each of some web servers."""
        for name in names:
            (read,) = TrytonUser.admin(self.lab, name).call("model.party.party.read", [self.party], ["name"])
            assert read["name"] == "Ada Ltd"


@pytest.fixture(scope="module")
def crm(lab_ground: Path) -> Iterator[Crm]:
    """Deploy the app, killed in the midst of making its database and finished by heal; a customer writes into it."""
    folder = lab_ground / "killed"
    (folder / "apps").mkdir(parents=True)
    (folder / "inventory.toml").touch()
    (folder / "tfheal.toml").write_text(PROVIDER)
    playbook = folder / "playbooks/tryton"
    shutil.copytree(ROOT / "playbooks/tryton", playbook)
    text = (playbook / "playbook.yaml").read_text()
    (playbook / "playbook.yaml").write_text(text.replace("upgrade:\n", "upgrade:\n  soak: 1s\n"))
    lab = RunningLab(name_of_ours("killed"), folder, ("env", f"TFHEAL_AGE_KEY_FILE={lab_ground / 'killed.key'}"))
    app = Crm(lab)
    app.writes()
    try:
        lab.run("lab", "up", "--slices", "4", "--name", lab.name, "--yes")
        app.killed("command:", "deploy", "crm")
        app.is_well()
        (party,) = TrytonUser.admin(lab, WEB).call("model.party.party.create", [{"name": "Ada Ltd"}])
        yield Crm(lab, party)
    finally:
        lab.run("lab", "down", "--name", lab.name)


# What is damaged so that the resource has to be put there again, and on which slice.
RESOURCES = {
    "packages:": (WEB, "dpkg --remove --force-depends curl"),
    "firewall:": (DATABASE, f"nft delete table inet {TABLE}"),
    "postgres:": (DATABASE, f"""{SQL} "ALTER ROLE crm PASSWORD 'another'" """),
    "file:": (WEB, "rm /opt/tfheal/crm/web/config/trytond.conf"),
    "archive:": (WEB, "rm /opt/tfheal/crm/web/client/current/index.html"),
    "venv:": (WEB, "rm -r /opt/tfheal/crm/web/current/lib"),
    "unit:": (WEB, "rm /etc/systemd/system/tfheal-crm-web.service"),
}


@pytest.mark.parametrize("at", RESOURCES)
def test_a_deploy_that_is_killed(crm: Crm, at: str) -> None:
    """In the midst of putting one kind of resource there."""
    name, damage = RESOURCES[at]
    crm.lab.on(name, damage)
    crm.killed(at, "deploy", "crm")
    crm.is_well()
    crm.keeps(WEB, OTHER)


def _broken(fault: str) -> Callable[[Crm], object]:
    return lambda crm: crm.lab.do("break", WEB, fault, "--app", "crm/web")


def _on_web(script: str) -> Callable[[Crm], object]:
    return lambda crm: crm.lab.on(WEB, script, check=None)


@dataclass(frozen=True, slots=True)
class Rung:
    """What is damaged, in the midst of what heal is killed, and which rungs it may take until then."""

    damage: Callable[[Crm], object]
    at: str
    allow: str = ALL


RUNGS = {
    "restart": Rung(_broken("kill-service"), "restart:"),
    "free-disk": Rung(lambda crm: crm.lab.do("break", WEB, "fill-disk"), "free-disk"),
    "redeploy": Rung(_broken("corrupt-config"), "file:"),
    "rebuild": Rung(_on_web(DAMAGED), "venv:", "rebuild"),
    "page": Rung(_broken("stop-service"), "notifier, page", "page"),
    "recreate": Rung(_on_web(STRANGE), "keys, pin"),
}


@pytest.mark.parametrize("rung", RUNGS)
def test_a_heal_that_is_killed(crm: Crm, rung: str) -> None:
    """In the midst of one rung; a slice that is made anew is even killed at when its new key is not known yet."""
    crm.provides(f"tfheal lab recreate {WEB} --name {crm.lab.name}")
    crm.lab.run("status", check=0)
    RUNGS[rung].damage(crm)
    crm.writes(RUNGS[rung].allow)
    crm.killed(RUNGS[rung].at, "heal", "--auto")
    crm.writes()
    crm.lab.do("mend", WEB, check=None)
    crm.is_well()
    crm.keeps(WEB, OTHER)


def test_a_rollback_that_is_killed(crm: Crm) -> None:
    """A release that finds its port taken is rolled back; killed in the midst of that, the earlier one serves again."""
    crm.lab.run("status", check=0)
    for name in (WEB, OTHER):
        crm.lab.on(name, STRANGER)
    crm.writes("rollback, page", port=8001)  # else the redeploy before it would be what is killed
    crm.lab.run("deploy", "crm", check=5, timeout=2400)
    crm.killed("unit:", "heal", "--auto")
    crm.writes(port=8001)
    crm.is_well()
    for name in (WEB, OTHER):
        crm.lab.on(name, "systemctl stop stranger")
    crm.writes()
    crm.keeps(WEB, OTHER)


def test_a_rehome_that_is_killed(crm: Crm) -> None:
    """A web server's slice is lost; killed in the midst of the move, the spare serves, and who comes back is fenced."""
    crm.provides("false")
    link = places.link(crm.lab.name, OTHER)
    subprocess.run(["ip", "link", "set", link, "down"], check=True)
    try:
        crm.lab.run("status", check=None)
        crm.killed("venv:", "heal", "--auto")
        crm.lab.run("heal", "--auto", check=None, timeout=2400)
        crm.keeps(WEB, SPARE)
    finally:
        subprocess.run(["ip", "link", "set", link, "up"], check=True)
    crm.is_well()
    crm.keeps(WEB, SPARE)
    assert crm.lab.on(OTHER, "ls /opt/tfheal/crm 2>/dev/null; true") == ""


def test_a_removal_that_is_killed(crm: Crm) -> None:
    """It stays removed, from all slices, and the database keeps what was written."""
    crm.killed(f"first line from {SPARE}", "remove", "crm")
    crm.lab.run("heal", "--auto", check=None)
    assert document(crm.lab, "heal", "--auto")["incidents"] == []
    nothing_is_held(crm.lab)
    for name in (WEB, SPARE):
        assert crm.lab.on(name, "ls -d /opt/tfheal/crm 2>/dev/null; true") == ""
    assert "Ada Ltd" in crm.lab.on(DATABASE, PARTIES).splitlines()
