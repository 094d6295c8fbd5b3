"""Pinned host keys: what OpenSSH writes is read, what people wrote is kept."""

import subprocess
import threading
from pathlib import Path

import pytest

from tfheal.base.errors import ConfigError
from tfheal.edge.known_hosts import KnownHosts
from tfheal.model.ssh import fingerprint

ONE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB1FRpGkoGSuiA5gcQJzQnzmOpYH1bJ5ckmgu5kHX4cE"
TWO = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHxB2bWqVxqWDLjUa2s2DDfCkJl3VhBqcJqGYBbVWf2W"
RSA = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7"

WRITTEN = f"""\
# our customers
s1 {ONE} root@s1

@revoked * {TWO}
s2,s3 {ONE}
|1|bm9ib2R5|aGFzaGVk= {TWO}
s1 {RSA}
"""


def test_pins_are_by_name(tmp_path: Path) -> None:
    """A slice has the keys of its lines; comments, markers and hashed lines are nobody's."""
    path = tmp_path / "known_hosts"
    path.write_text(WRITTEN)
    known = KnownHosts(path)
    assert known.pinned("s1") == (ONE, RSA)
    assert known.pinned("s3") == (ONE,)
    assert known.pinned("s4") == ()


def test_no_file_is_no_pins(tmp_path: Path) -> None:
    """A workspace without known_hosts has nothing pinned, and reading makes no file."""
    assert KnownHosts(tmp_path / "known_hosts").pinned("s1") == ()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "keys", "expected"),
    [
        ("s1", (TWO,), WRITTEN.replace(f"s1 {ONE} root@s1", f"s1 {TWO}").replace(f"s1 {RSA}\n", "")),
        ("s2", (TWO,), WRITTEN.replace(f"s2,s3 {ONE}", f"s2 {TWO}\ns3 {ONE}")),
        ("s9", (ONE, TWO), f"{WRITTEN}s9 {ONE}\ns9 {TWO}\n"),
        ("s3", (), WRITTEN.replace("s2,s3", "s2")),
        ("s8", (), WRITTEN),
    ],
)
def test_pin_changes_its_own_lines_only(tmp_path: Path, name: str, keys: tuple[str, ...], expected: str) -> None:
    """Comments, order and the lines of other slices stay as they were."""
    path = tmp_path / "known_hosts"
    path.write_text(WRITTEN)
    path.chmod(0o644)
    known = KnownHosts(path)
    known.pin(name, keys)
    assert path.read_text() == expected
    assert known.pinned(name) == keys
    assert path.stat().st_mode & 0o777 == 0o644
    assert [one.name for one in tmp_path.iterdir()] == ["known_hosts"]


def test_forgotten_slice_has_no_pin(tmp_path: Path) -> None:
    """Forgetting drops every key of a slice."""
    path = tmp_path / "known_hosts"
    path.write_text(WRITTEN)
    known = KnownHosts(path)
    known.forget("s1")
    assert (known.pinned("s1"), "s1 " in path.read_text()) == ((), False)


@pytest.mark.parametrize("line", ["s1", "s1 ssh-ed25519", "s1 ssh-ed25519 not_base64!", "s1 AAAA"])
def test_mistakes_are_told_with_their_lines(tmp_path: Path, line: str) -> None:
    """A line that is no pin is an error with its place, never a slice without a pin."""
    path = tmp_path / "known_hosts"
    path.write_text(f"# first\n{line}\ns2 {ONE}\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        KnownHosts(path).pinned("s2")
    assert [(one.file, one.line) for one in caught.value.mistakes] == [("known_hosts", 2), ("known_hosts", 4)]


def test_new_pin_mends_a_broken_line(tmp_path: Path) -> None:
    """`slice trust` gets rid of the broken line that it is recommended for."""
    path = tmp_path / "known_hosts"
    path.write_text(f"s1 ssh-ed25519 garbage\ns2 {ONE}\n")
    known = KnownHosts(path)
    known.pin("s1", (TWO,))
    assert path.read_text() == f"s1 {TWO}\ns2 {ONE}\n"


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    """Slices pinned at the same time by two holders of the file are all there."""
    path = tmp_path / "known_hosts"
    holders = [KnownHosts(path), KnownHosts(path)]

    def pin(number: int) -> None:
        holders[number % 2].pin(f"s{number}", (ONE,))

    threads = [threading.Thread(target=pin, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(KnownHosts(path).pinned(f"s{number}") for number in range(20)) == [(ONE,)] * 20


def test_fingerprint_is_what_ssh_keygen_says(tmp_path: Path) -> None:
    """People compare our fingerprints with those of OpenSSH."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    said = subprocess.run(["ssh-keygen", "-lf", tmp_path / "key"], check=True, capture_output=True, text=True).stdout
    assert fingerprint((tmp_path / "key.pub").read_text()) == said.split()[1]


@pytest.mark.parametrize("written", ["", "ssh-ed25519", "ssh-ed25519 ???"])
def test_fingerprint_of_no_key(written: str) -> None:
    """What is no key has no fingerprint."""
    with pytest.raises(ValueError, match="TYPE KEY"):
        fingerprint(written)
