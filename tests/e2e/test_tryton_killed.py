"""A deploy of two tiers that is killed in the midst of a resource: one `heal --auto` later the app is well, with its data.

A kill is told by the name of what it comes in the midst of. The scenes follow each other on one app, each from where the
one before left it; all of it takes long.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from crashes import KILLED, nothing_is_held
from documents import document
from running_lab import RunningLab, name_of_ours
from tryton_user import TrytonUser

pytestmark = [pytest.mark.lab, pytest.mark.long]
ROOT = Path(__file__).parents[2]
DATABASE, WEB, OTHER = "s1", "s2", "s3"
ALL = "restart, free-disk, redeploy, rollback, rebuild, recreate, rehome, page"
SPEC = """\
app: crm
owner: lab
playbook: tryton
version: "7.0.59"
place: {{db: [s1], web: [s2, s3]}}
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
TABLE = "$(nft list tables inet | grep -o 'tfheal[^ ]*')"


@dataclass(frozen=True, slots=True)
class Crm:
    """The app under test: its lab, and the party that its database keeps."""

    lab: RunningLab
    party: int = 0

    def writes(self, allow: str = ALL, port: int = 8000) -> None:
        """Write the app's spec."""
        (self.lab.workspace / "apps/crm.yaml").write_text(SPEC.format(allow=allow, port=port))

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
        lab.run("lab", "up", "--slices", "3", "--name", lab.name, "--yes")
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
}


@pytest.mark.parametrize("at", RESOURCES)
def test_a_deploy_that_is_killed(crm: Crm, at: str) -> None:
    """In the midst of putting one kind of resource there."""
    name, damage = RESOURCES[at]
    crm.lab.on(name, damage)
    crm.killed(at, "deploy", "crm")
    crm.is_well()
    crm.keeps(WEB, OTHER)
