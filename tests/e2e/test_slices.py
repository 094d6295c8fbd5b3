"""`tfheal slice` and the transport on real slices: trust, what cannot be managed, sudo, and a slice that goes away."""

import json
import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_lab import RunningLab, new_workspace

from tfheal.base.errors import ConnectionLost, LoginFailed, RemoteTimeout
from tfheal.edge.known_hosts import KnownHosts
from tfheal.edge.ssh.transport import SshTransport
from tfheal.model.inventory import Slice
from tfheal.model.ports import Exec
from tfheal.model.ssh import SshSettings

pytestmark = pytest.mark.lab
CAP = 1 << 16


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Make another provider's workspace, which knows no slice yet."""
    return new_workspace(tmp_path / "elsewhere")


@pytest.fixture
def plain_user(lab: RunningLab) -> Iterator[str]:
    """Make a user on s1 who is let in by the lab's key and may become nobody else."""
    script = "useradd -m -s /bin/sh admin; cp -r /root/.ssh /home/admin/; chown -R admin: /home/admin/.ssh"
    lab.on("s1", script)
    yield "admin"
    lab.on("s1", "rm -f /etc/sudoers.d/admin; userdel -rf admin", check=None)


def tfheal(workspace: Path, *words: str, stdin: int = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
    """Run a command in a workspace."""
    argv = [sys.executable, "-m", "tfheal", *words]
    return subprocess.run(argv, cwd=workspace, stdin=stdin, capture_output=True, text=True, timeout=60, check=False)


def add_words(lab: RunningLab, *words: str, name: str = "acme-1") -> tuple[str, ...]:
    """Return the words that add s1 under a name of its own."""
    return ("slice", "add", name, lab.slices()["s1"]["address"], "--owner", "acme", "--key", str(lab.key), *words)


def fingerprint_of(lab: RunningLab) -> str:
    """Return what the owner reads from the machine's own file."""
    return lab.on("s1", "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]


def told(workspace: Path, answer: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command whose question is answered on a terminal."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        return tfheal(workspace, *words, stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)


def kept(workspace: Path) -> str:
    """Return what a workspace knows of slices."""
    return "".join(path.read_text() for path in sorted(workspace.iterdir()) if path.is_file())


def test_slice_is_added_with_the_fingerprint_that_was_told(lab: RunningLab, elsewhere: Path) -> None:
    """With the owner's fingerprint nothing is asked; the owner is new and is added; then OpenSSH gets in too."""
    ran = tfheal(elsewhere, *add_words(lab, "--label", "role=web", "--fingerprint", fingerprint_of(lab), "--json"))
    document = json.loads(ran.stdout)
    assert (ran.returncode, document["exit"], document["platform"]["system"]) == (0, 0, "debian")
    assert document["host_keys"] == [fingerprint_of(lab)]
    listed = json.loads(tfheal(elsewhere, "slice", "list", "--json").stdout)["slices"]
    assert [(one["slice"], one["owner"], one["labels"]) for one in listed] == [("acme-1", "acme", {"role": "web"})]
    inside = tfheal(elsewhere, "ssh", "acme-1", "--", "hostname; exit 5")
    assert (inside.stdout, inside.returncode) == ("s1\n", 5)


def test_told_fingerprint_may_be_of_another_kind_of_key(lab: RunningLab, elsewhere: Path) -> None:
    """An owner who read the fingerprint of another key of the machine is right as well; that one is pinned."""
    lab.on("s1", "ssh-keygen -q -t rsa -N '' -f /etc/ssh/ssh_host_rsa_key")
    lab.on("s1", "systemctl restart ssh")
    try:
        told_one = lab.on("s1", "ssh-keygen -lf /etc/ssh/ssh_host_rsa_key.pub").split()[1]
        assert tfheal(elsewhere, *add_words(lab, "--fingerprint", told_one)).returncode == 0
        assert (elsewhere / "known_hosts").read_text().startswith("acme-1 ssh-rsa ")
    finally:
        lab.on("s1", "rm /etc/ssh/ssh_host_rsa_key*; systemctl restart ssh")


def test_question_is_asked_on_a_terminal_only(lab: RunningLab, elsewhere: Path) -> None:
    """Without a terminal the flag is named (2); no is a refusal (6); both keep nothing; yes adds."""
    before = kept(elsewhere)
    silent = tfheal(elsewhere, *add_words(lab))
    assert (silent.returncode, "--fingerprint" in silent.stderr) == (2, True)
    refused = told(elsewhere, "n", *add_words(lab))
    assert (refused.returncode, fingerprint_of(lab) in refused.stderr) == (6, True)
    assert kept(elsewhere) == before
    assert told(elsewhere, "y", *add_words(lab)).returncode == 0
    assert "[slices.acme-1]" in kept(elsewhere)


def test_wrong_fingerprint_keeps_nothing(lab: RunningLab, elsewhere: Path) -> None:
    """Another key than the told one is exit 3 with both fingerprints, whatever --yes says."""
    ran = tfheal(elsewhere, *add_words(lab, "--fingerprint", f"SHA256:{'a' * 43}", "--yes"))
    assert ran.returncode == 3
    assert fingerprint_of(lab) in ran.stderr
    assert "acme" not in kept(elsewhere)


def test_machine_that_cannot_be_managed_keeps_nothing(lab: RunningLab, elsewhere: Path) -> None:
    """A machine of another family is refused (6) with the reason, and neither listed nor pinned."""
    lab.on("s1", "cp /etc/os-release /root/os-release; printf 'ID=alpine\\nPRETTY_NAME=Alpine\\n' >/etc/os-release")
    try:
        ran = tfheal(elsewhere, *add_words(lab, "--yes"))
    finally:
        lab.on("s1", "cat /root/os-release >/etc/os-release; rm /root/os-release")
    assert (ran.returncode, "Alpine" in ran.stderr) == (6, True)
    assert "acme" not in kept(elsewhere)


def test_slice_that_was_made_anew_is_trusted_again(lab: RunningLab, elsewhere: Path) -> None:
    """A changed host key stops everything (3) until somebody compared it; the new one is pinned in its place."""
    assert tfheal(elsewhere, *add_words(lab, "--fingerprint", fingerprint_of(lab))).returncode == 0
    before = fingerprint_of(lab)
    swap = "cd /etc/ssh; mkdir -p old; mv ssh_host_* old/; ssh-keygen -q -t ed25519 -N '' -f ssh_host_ed25519_key"
    lab.on("s1", f"{swap}; ssh-keygen -lf ssh_host_ed25519_key.pub >/root/new; systemctl restart ssh")
    try:
        refused = tfheal(elsewhere, "ssh", "acme-1", "--", "true")
        assert refused.returncode == 255
        asked = told(elsewhere, "y", "slice", "trust", "acme-1")
        assert asked.returncode == 0
        assert before in asked.stderr
        assert f"before: {before}" in asked.stdout
        now = tfheal(
            elsewhere, "ssh", "acme-1", "--", "cat /root/new; cd /etc/ssh; mv -f old/* .; systemctl restart ssh"
        )
        assert now.stdout.split()[1] in asked.stdout
    finally:
        assert lab.on("s1", "ls /etc/ssh/old").strip() == ""
    again = tfheal(elsewhere, "slice", "trust", "acme-1", "--json", "--fingerprint", before)
    assert json.loads(again.stdout)["changed"] is True


def test_user_without_sudo_is_refused_and_with_it_works(lab: RunningLab, elsewhere: Path, plain_user: str) -> None:
    """Who cannot become root is a failed login (4) that says what to permit; with sudo, scripts run as root and end."""
    words = add_words(lab, "--user", plain_user, "--yes")
    refused = tfheal(elsewhere, *words)
    assert (refused.returncode, "sudo" in refused.stderr) == (4, True)
    assert "acme" not in kept(elsewhere)
    lab.on("s1", "command -v sudo || { apt-get update -q; apt-get install -y -q sudo; }", check=0)
    still_refused = tfheal(elsewhere, *words)
    assert (still_refused.returncode, "NOPASSWD" in still_refused.stderr) == (4, True)
    lab.on("s1", "echo 'admin ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/admin")
    assert tfheal(elsewhere, *words).returncode == 0
    transport, target = reached(lab, user=plain_user)
    try:
        assert transport.run(target, Exec("id -u", timeout=10, cap=CAP)).stdout == b"0\n"
        with pytest.raises(RemoteTimeout):
            transport.run(target, Exec("timeout 9999 sleep 7654.25 & sleep 7654.25", timeout=1, cap=CAP))
        assert transport.run(target, Exec("pgrep -f '[7]654.25'", timeout=10, cap=CAP)).stdout == b""
    finally:
        transport.close()


def test_slice_that_goes_away_is_noticed_and_ends_its_script(lab: RunningLab) -> None:
    """A half-open connection is noticed within the silence, and the slice ends the script by itself."""
    transport, target = reached(lab, silence=4.0)
    begun = 0.0

    def partition(_: bytes) -> None:
        nonlocal begun
        begun = time.monotonic()
        threading.Thread(target=lab.do, args=("break", "s1", "partition")).start()

    script = "timeout 9999 sleep 8765.25 & echo ready; sleep 8765.25"
    try:
        with pytest.raises(ConnectionLost):
            transport.run(target, Exec(script, timeout=9, cap=CAP, on_line=partition))
        assert time.monotonic() - begun < 9
    finally:
        transport.close()
        lab.do("mend", "s1", "partition")
    end = time.monotonic() + 25
    while lab.on("s1", "pgrep -f '[8]765.25'", check=None):
        assert time.monotonic() < end
        time.sleep(0.5)


def test_key_that_is_not_let_in(lab: RunningLab, tmp_path: Path) -> None:
    """A key that the slice does not know is a failed login on a real slice too."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "stranger"], check=True)
    transport, target = reached(lab, key=str(tmp_path / "stranger"))
    try:
        with pytest.raises(LoginFailed):
            transport.run(target, Exec("true", timeout=10, cap=CAP))
    finally:
        transport.close()


def reached(
    lab: RunningLab, user: str | None = None, key: str | None = None, silence: float = 20.0
) -> tuple[SshTransport, Slice]:
    """Return a transport to s1 of the lab, with the lab's own pins."""
    target = Slice("s1", "lab", lab.slices()["s1"]["address"], user=user, key=key or str(lab.key))
    return SshTransport(SshSettings(silence=silence), KnownHosts(lab.known_hosts), lab.workspace), target
