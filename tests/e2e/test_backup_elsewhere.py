"""Backups that go to no slice of ours: to a disk, to an SFTP server and to a rest-server of the owner's."""

import base64
import hashlib
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
from backups import kept
from documents import document
from running_lab import RunningLab

pytestmark = pytest.mark.lab
# What stands for the package of an older release: it is there, has the name, and is too old.
OLD = """\
mkdir -p /root/old/DEBIAN /root/old/usr/bin
printf 'Package: restic\\nVersion: 0.14.0-1\\nArchitecture: amd64\\nMaintainer: nobody <nobody@localhost>\\nDescription: old\\n' >/root/old/DEBIAN/control
printf '#!/bin/sh\\necho restic 0.14.0 compiled with go1.19.8 on linux/amd64\\n' >/root/old/usr/bin/restic
chmod 755 /root/old/usr/bin/restic
dpkg-deb --build /root/old /root/old.deb >/dev/null && dpkg -i --force-downgrade /root/old.deb
"""
DATA = "/srv/tfheal/files/web"
DISK, OTHER = "/mnt/disk", "/mnt/other"  # two, as what is on one is not on the other
WORD = "a $\"word's"
ASIDE = f"rm -rf /root/owner {DATA}/files/one {DATA}.before-*"
Goes = Callable[[str], None]
KEEPER = """\
useradd --create-home keeper && install -d -o keeper -m 0700 /home/keeper/.ssh
echo 'restrict,command="internal-sftp" {public}' >/home/keeper/.ssh/authorized_keys
chown keeper /home/keeper/.ssh/authorized_keys
"""
SERVER = """\
command -v restic-rest-server >/dev/null ||
  {{ apt-get -q update && apt-get -q -y install --no-install-recommends restic-rest-server; }} >/dev/null
mkdir /srv/rest && echo 'me:{{SHA}}{hashed}' >/srv/rest/.htpasswd
systemd-run --quiet --collect --unit=keeps restic-rest-server --path /srv/rest --append-only --listen '[::]:8000'
until curl -s -o /dev/null --noproxy '*' 'http://[::1]:8000/'; do sleep 0.1; done
"""
SILENT = """\
nft add table inet tfheal_test
nft add chain inet tfheal_test out '{ type filter hook output priority 0; }'
nft add rule inet tfheal_test out tcp dport 8000 drop
"""


@pytest.fixture
def goes(deployed: RunningLab) -> Iterator[Goes]:
    """Return what has the example's backups go somewhere; after the test they go nowhere again."""
    spec = deployed.workspace / "apps" / "files.yaml"
    before = spec.read_text()

    def to(words: str) -> None:
        spec.write_text(f"{before}backup: {{to: {words}, every: 1h}}\n")
        deployed.run("deploy", "files")

    yield to
    spec.write_text(before)
    deployed.run("deploy", "files")


def taken(lab: RunningLab, state: str = "good", check: int = 0) -> str:
    """Make a backup, demand how it ends, and return what is said of it."""
    (made,) = document(lab, "backup", "run", check=check)["backups"]
    assert made["state"] == state, made
    return str(made["parts"][0]["detail"])


def taken_id(lab: RunningLab) -> str:
    """Make a good backup, and return its id."""
    taken(lab)
    return str(document(lab, "backup", "list")["backups"][0]["id"])


def comes_back(lab: RunningLab, exports: str = "") -> None:
    """Spoil a file; demand that a restore, and the owner by the recovery sheet alone, get back what it was."""
    lab.on("s1", f"echo before >{DATA}/files/one")
    taken(lab)
    lab.on("s1", f"echo spoilt >{DATA}/files/one")
    lab.run("restore", "files", "--yes")
    assert lab.on("s1", f"cat {DATA}/files/one") == "before\n"
    sheet = document(lab, "backup", "owner-key", "files")["sheet"]
    commands = "".join(line[4:] for line in sheet.splitlines(keepends=True) if line.startswith("    "))
    packed = base64.b64encode((exports + commands).encode()).decode()
    lab.on("s1", f"mkdir /root/owner && cd /root/owner && echo {packed} | base64 -d >commands && sh -eu commands")
    assert lab.on("s1", f"cat /root/owner/restored/s1{DATA}/files/one") == "before\n"


def test_a_disk_has_to_be_there(deployed: RunningLab, goes: Goes) -> None:
    """Nothing is written where a disk is not mounted; from one that is, tfheal and the owner get everything back."""
    goes(DISK)
    deployed.on("s1", f"mkdir {DISK}")
    assert "is no disk of its own" in taken(deployed, "failed", 5)
    deployed.on("s1", f"mount -t tmpfs none {DISK}")
    try:
        comes_back(deployed)
        assert document(deployed, "backup", "verify", "files")["repositories"][0]["sound"]
        assert document(deployed, "backup", "rescan")["apps"][0]["unknown"] == []
    finally:
        deployed.on("s1", f"umount {DISK}; rmdir {DISK}; {ASIDE}")


@pytest.mark.long
def test_the_owner_lets_us_delete(deployed: RunningLab, goes: Goes) -> None:
    """What is to be erased stays there, and nothing is even marked, until the owner says so; then it goes."""
    kept = f"ls {OTHER}/files/s1/snapshots"
    deployed.on("s1", f"mkdir {OTHER} && mount -t tmpfs none {OTHER}")
    try:
        goes(OTHER)
        made = taken_id(deployed)
        assert "delete: true" in deployed.run("backup", "forget", made, "--why", "asked", "--yes", check=6).stderr
        goes(f"{OTHER}, delete: true")
        deployed.run("backup", "forget", made, "--why", "asked", "--yes")
        taken(deployed)
        assert len(deployed.on("s1", kept).split()) == 2
        (done,) = document(deployed, "backup", "prune", "files", "--yes")["apps"]
        assert (done["state"], len(deployed.on("s1", kept).split())) == ("done", 1)
        assert made not in [each["id"] for each in document(deployed, "backup", "list")["backups"]]
        deployed.run("restore", "files", "--yes")
    finally:
        deployed.on("s1", f"umount {OTHER}; rmdir {OTHER}; {ASIDE}")


@pytest.mark.long
def test_an_sftp_server_is_known_by_its_key(deployed: RunningLab, goes: Goes) -> None:
    """Whoever shows another host key than the one that the spec names gets nothing."""
    goes(DISK)  # with the first deploy comes the key that is handed over
    public = deployed.run("secret", "show", "files", "backup_public_s1").stdout.strip()
    pins = {line.split()[0]: " ".join(line.split()[1:3]) for line in deployed.known_hosts.read_text().splitlines()}
    place = f'"sftp://keeper@[{deployed.address("s3")}]:22//home/keeper/kept"'
    deployed.on("s3", KEEPER.format(public=public))
    try:
        goes(f'{place}, host_key: "{pins["s2"]}"')
        taken(deployed, "failed", 5)
        assert deployed.on("s3", "ls /home/keeper") == ""
        goes(f'{place}, host_key: "{pins["s3"]}"')
        taken(deployed)
        newest = document(deployed, "backup", "list")["backups"][0]["id"]
        assert document(deployed, "backup", "ls", newest)["parts"]["folders@s1"]
    finally:
        deployed.on("s3", "userdel --remove keeper 2>/dev/null")


@pytest.mark.long
def test_what_a_server_needs_is_told_to_nobody(deployed: RunningLab, goes: Goes) -> None:
    """Nothing is tried without its secret, which lies in no file, log or unit; a silent server is given up soon."""
    hashed = base64.b64encode(hashlib.sha1(WORD.encode(), usedforsecurity=False).digest()).decode()
    deployed.on("s3", SERVER.format(hashed=hashed))
    try:
        needs = "variables: {RESTIC_REST_USERNAME: me}, secrets: [restic_rest_password]"
        goes(f'"rest:http://[{deployed.address("s3")}]:8000/", {needs}')
        assert "was not given yet" in document(deployed, "backup", "run", check=6)["backups"][0]["refused"]
        words = deployed.command("secret", "set", "files", "restic_rest_password", "--stdin")
        subprocess.run(words, input=WORD, text=True, cwd=deployed.workspace, check=True, capture_output=True)
        deployed.run("secret", "rotate", "files", "restic_rest_password", check=2)
        packed = base64.b64encode(WORD.encode()).decode()
        exports = f"export RESTIC_REST_USERNAME=me; RESTIC_REST_PASSWORD=$(echo {packed} | base64 -d); export RESTIC_REST_PASSWORD\n"
        comes_back(deployed, exports)
        seen = "grep -rlF -f /root/word /run /etc /var/lib /var/cache /tmp; journalctl -b | grep -cF -f /root/word"
        found = deployed.on("s1", f"echo {packed} | base64 -d >/root/word; {seen}; rm /root/word", check=None)
        assert found == "0\n"
        goes(f'"rest:http://[{deployed.address("s3")}]:8000/", delete: true, {needs}')
        deployed.run("backup", "forget", taken_id(deployed), "--why", "asked", "--yes")
        taken(deployed)
        (done,) = document(deployed, "backup", "prune", "files", "--yes", check=5)["apps"]
        assert done["state"] == "failed", "the server forbids it all the same"
        deployed.on("s1", SILENT)
        begun = time.monotonic()
        assert "does not answer within 20 s" in taken(deployed, "failed", 5)
        assert time.monotonic() - begun < 40
    finally:
        deployed.on("s1", f"nft delete table inet tfheal_test 2>/dev/null; {ASIDE}", check=None)
        deployed.on("s3", "systemctl stop keeps; rm -rf /srv/rest")


@pytest.mark.long
def test_a_slice_with_an_old_restic_gets_one_that_does(deployed: RunningLab) -> None:
    """Debian 12's would not do: a deploy puts Debian 13's package there, by its hash, and the backup is good."""
    deployed.on("s1", OLD)
    try:
        with kept(deployed, "") as lab:
            assert lab.on("s1", "restic version").startswith("restic 0.18")
            taken(lab)
    finally:
        deployed.on("s1", "rm -rf /root/old /root/old.deb")
