"""`restore --to`: the data of a backup on another slice of the owner, stopped, for whoever wants to go on there."""

from collections.abc import Iterator

import pytest
from documents import document
from running_lab import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.long]
DATA = "/srv/tfheal/files/web"
UNIT = "tfheal-files-web.service"
LATER = "the backup has it, and what came later not"


@pytest.fixture
def backed(deployed: RunningLab) -> Iterator[RunningLab]:
    """Have the example's backups go to s2, and one made; afterwards it is on s1 again, and has none."""
    spec = deployed.workspace / "apps" / "files.yaml"
    before = spec.read_text()
    spec.write_text(f"{before}backup: {{to: s2, every: 1h}}\n")
    deployed.run("deploy", "files")
    yield deployed
    deployed.run("remove", "files", "--backups", "--data", "--yes", check=None)
    deployed.on("s3", "userdel somebody; rm -rf /srv/tfheal/files", check=None)
    spec.write_text(before)
    deployed.run("deploy", "files")


def test_a_spare_is_lent_for_a_drill(backed: RunningLab) -> None:
    """The app's software is put there, started on what was restored, and taken away; what is live is not asked for room."""
    spec = backed.workspace / "apps" / "files.yaml"
    spec.write_text(spec.read_text().replace("every: 1h", "every: 1h, drill_on: s3"))
    backed.run("backup", "run", "files")
    backed.on("s1", f"printf '%s' later >{DATA}/files/one")
    (drill,) = document(backed, "backup", "drill", "files")["drills"]
    assert (drill["state"], {step["slice"] for step in drill["steps"]}) == ("passed", {"s3"})
    assert {"software", "restore", "read", "start web", "ready web"} <= {step["step"] for step in drill["steps"]}
    left = (
        f"ls -d {DATA} /srv/tfheal/.drill-* /etc/systemd/system/{UNIT} /opt/tfheal/files/web /var/lib/tfheal/files/web"
    )
    assert backed.on("s3", f"{left} 2>/dev/null; id -u tf-files-web 2>/dev/null", check=None) == ""
    assert backed.on("s1", f"cat {DATA}/files/one; systemctl is-active {UNIT}") == "lateractive\n"
    backed.on("s3", f"mkdir -p {DATA} && echo mine >{DATA}/mine")
    (drill,) = document(backed, "backup", "drill", "files", check=5)["drills"]
    assert f"{DATA} is there" in drill["detail"]
    assert backed.on("s3", f"cat {DATA}/mine; rm -r {DATA}") == "mine\n"


def test_data_is_drilled_in_a_lab_where_its_owner_lets_it_leave(backed: RunningLab) -> None:
    """Without a word in the charter on the slice itself nothing leaves it, whatever else that file says."""
    backed.run("backup", "run", "files")
    for charter in ("", 'allow = ["patch"]', 'allow = "data-leaves"', "allow = ["):
        backed.on("s1", f"mkdir -p /etc/tfheal; printf '%s\\n' '{charter}' >/etc/tfheal/charter.toml")
        (drill,) = document(backed, "backup", "drill", "files", "--lab", check=6)["drills"]
        assert "its data may not leave it" in drill["detail"]
    backed.on("s1", "rm /etc/tfheal/charter.toml")
    document(backed, "backup", "drill", "files", "--lab", check=6)
    try:
        backed.on("s1", "echo 'allow = [\"data-leaves\"]' >/etc/tfheal/charter.toml")
        (drill,) = document(backed, "backup", "drill", "files", "--lab")["drills"]
    finally:
        backed.on("s1", "rm -f /etc/tfheal/charter.toml")
    assert (drill["state"], {step["slice"] for step in drill["steps"]}) == ("passed", {"s3"})
    assert {"restore", "read", "start web", "ready web"} <= {step["step"] for step in drill["steps"]}
    assert backed.on("s3", f"ls -d {DATA} /srv/tfheal/.drill-* 2>/dev/null", check=None) == "", "nothing of it stays"


def test_data_is_set_down_elsewhere_and_taken_up_there(backed: RunningLab) -> None:
    """Nothing runs there and what is live stays; its files are its user's; then the app is placed there and serves it."""
    backed.on("s1", f"echo '{LATER}' >{DATA}/files/one && chown tf-files-web: {DATA}/files/one")
    backed.run("backup", "run", "files")
    backed.on("s1", f"echo later >{DATA}/files/one")
    backed.on("s3", "useradd --system somebody")  # so that the same name has another number there
    for wrong, status in (("s9", 2), ("s2", 6), ("s1", 6)):
        backed.run("restore", "files", "--to", wrong, "--yes", check=status)
    backed.run("restore", "files", "--to", "s3", "--scratch", "/root/x", "--yes", check=2)
    plan = document(backed, "restore", "files", "--to", "s3", "--plan")
    assert (plan["to"], plan["instances"][0]["instance"]) == ("s3", "files/web@s1")
    done = document(backed, "restore", "files", "--to", "s3", "--yes")
    assert done["outcomes"] == [{"instance": "files/web@s1", "outcome": "done"}]
    assert (
        backed.on("s3", f"cat {DATA}/files/one; stat -c %U {DATA}/files/one {DATA}")
        == f"{LATER}\n" + "tf-files-web\n" * 2
    )
    states = backed.on("s3", f"systemctl is-active {UNIT}; systemctl is-enabled {UNIT}", check=None)
    assert states == "inactive\ndisabled\n"
    assert backed.on("s1", f"cat {DATA}/files/one; systemctl is-active {UNIT}") == "later\nactive\n"
    said = backed.run("restore", "files", "--to", "s3", "--yes", check=5)
    assert f"{DATA} is there" in said.stdout
    backed.run("remove", "files/web@s1", "--yes")
    spec = backed.workspace / "apps" / "files.yaml"
    spec.write_text(spec.read_text().replace("web: [s1]", "web: [s3]"))
    backed.run("deploy", "files")
    assert backed.on("s3", f"cat {DATA}/files/one; systemctl is-active {UNIT}") == f"{LATER}\nactive\n"
    backed.run("backup", "run", "files")
