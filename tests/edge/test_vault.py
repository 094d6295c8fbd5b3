"""Secrets are encrypted at rest, survive kills and races, and are in no message."""

import json
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pyrage
import pytest

from tfheal.base.errors import ConfigError, UsageError
from tfheal.base.secret import Secret
from tfheal.edge.key_pair import new_key_pair
from tfheal.edge.vault import KEY_VARIABLE, AgeVault, default_key_file, make_key

VALUE = "correct horse battery staple"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Return where the provider's key will be."""
    return tmp_path / "operator" / "age.key"


@pytest.fixture
def vault(tmp_path: Path, key: Path) -> AgeVault:
    """Return the vault of a workspace without secrets."""
    (tmp_path / "workspace").mkdir()
    return AgeVault(tmp_path / "workspace", key)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return where a workspace keeps its secrets."""
    return tmp_path / "workspace" / "secrets"


def test_nothing_is_made_before_it_is_needed(vault: AgeVault, key: Path, folder: Path) -> None:
    """Asking for a secret that is not there makes neither key nor folder."""
    assert vault.latest("crm", "admin") == 0
    assert vault.names("crm") == ()
    assert vault.known_values("crm") == ()
    assert not key.exists()
    assert not folder.exists()


def test_versions_count_from_one_and_stay(vault: AgeVault) -> None:
    """Each value is a version of its own; the older ones can still be had."""
    assert vault.put("crm", "admin", Secret(VALUE)) == 1
    assert vault.make("crm", "admin", 40) == 2
    assert vault.put("crm", "smtp_password", Secret("ünïcode\nlines\n")) == 1
    assert vault.latest("crm", "admin") == 2
    assert vault.get("crm", "admin", 1) == Secret(VALUE)
    made = vault.get("crm", "admin", 2).reveal()
    assert len(made) == 40
    assert made.isalnum()
    assert vault.names("crm") == ("admin", "smtp_password")
    assert set(vault.known_values("crm")) == {Secret(VALUE), Secret(made), Secret("ünïcode\nlines\n")}
    assert vault.names("blog") == ()


@pytest.mark.parametrize("version", [0, -1, 2])
def test_a_version_that_is_not_there_is_a_mistake(vault: AgeVault, version: int) -> None:
    """Only the versions that were made can be had."""
    vault.put("crm", "admin", Secret(VALUE))
    with pytest.raises(ConfigError) as caught:
        vault.get("crm", "admin", version)
    assert caught.value.mistakes[0].key == "admin"
    with pytest.raises(ConfigError):
        vault.get("crm", "root", 1)


def test_the_files_are_age_and_private(vault: AgeVault, key: Path, folder: Path) -> None:
    """What is on disk is age, readable with the key and by nobody else; the recipient is public."""
    vault.put("crm", "admin", Secret(VALUE))
    data = (folder / "crm.age").read_bytes()
    assert data.startswith(b"age-encryption.org/v1\n")
    assert VALUE.encode() not in data
    assert (stat.S_IMODE(key.stat().st_mode), stat.S_IMODE((folder / "crm.age").stat().st_mode)) == (0o600, 0o600)
    identity = pyrage.x25519.Identity.from_str(key.read_text().splitlines()[-1])
    assert (folder / "recipient.txt").read_text().strip() == str(identity.to_public())
    assert json.loads(pyrage.decrypt(data, [identity]))["secrets"] == {"admin": [VALUE]}


def test_a_clone_goes_on_with_the_key_and_not_without(vault: AgeVault, key: Path, folder: Path, tmp_path: Path) -> None:
    """Another machine needs the key file: it is told which, and no second key is made beside it."""
    vault.put("crm", "admin", Secret(VALUE))
    elsewhere = tmp_path / "elsewhere" / "age.key"
    clone = AgeVault(folder.parent, elsewhere)
    for attempt in (lambda: clone.get("crm", "admin", 1), lambda: clone.make("blog", "admin", 12)):
        with pytest.raises(UsageError, match="cannot read the key") as caught:
            attempt()
        assert KEY_VARIABLE in caught.value.hint
    assert not elsewhere.exists()
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(key.read_bytes())
    elsewhere.chmod(0o600)
    assert clone.get("crm", "admin", 1) == Secret(VALUE)


def test_the_wrong_key_is_told_before_anything(vault: AgeVault, folder: Path, tmp_path: Path) -> None:
    """Another key neither reads nor writes, and the message names both public keys and no private one."""
    vault.put("crm", "admin", Secret(VALUE))
    other = tmp_path / "other" / "age.key"
    make_key(other)
    stranger = AgeVault(folder.parent, other)
    for attempt in (lambda: stranger.get("crm", "admin", 1), lambda: stranger.put("crm", "admin", Secret("x"))):
        with pytest.raises(UsageError, match="not the key of the workspace") as caught:
            attempt()
        assert str(caught.value).count("age1") == 2
        assert "AGE-SECRET" not in str(caught.value)
    assert vault.latest("crm", "admin") == 1


def test_without_the_note_of_the_recipient_the_wrong_key_still_fails(
    vault: AgeVault, folder: Path, tmp_path: Path
) -> None:
    """If recipient.txt is gone, decryption decides, and no new key is made over existing secrets."""
    vault.put("crm", "admin", Secret(VALUE))
    (folder / "recipient.txt").unlink()
    other = tmp_path / "other" / "age.key"
    stranger = AgeVault(folder.parent, other)
    with pytest.raises(UsageError, match="cannot read the key"):
        stranger.make("blog", "admin", 12)
    make_key(other)
    with pytest.raises(UsageError, match="cannot be read"):
        stranger.get("crm", "admin", 1)


def test_a_key_file_of_several_keys_finds_its_own(vault: AgeVault, key: Path, folder: Path, tmp_path: Path) -> None:
    """A key file may hold comments and other keys, as age's may."""
    vault.put("crm", "admin", Secret(VALUE))
    make_key(tmp_path / "second.key")
    key.write_text(f"# two keys\n\n{(tmp_path / 'second.key').read_text()}{key.read_text()}")
    assert vault.put("crm", "admin", Secret("next")) == 2
    assert vault.get("crm", "admin", 1) == Secret(VALUE)
    assert (folder / "recipient.txt").read_text().strip() in key.read_text()


def test_a_key_that_others_can_read_is_refused(vault: AgeVault, key: Path) -> None:
    """A wider mode than 0600 is refused with the command that mends it."""
    vault.put("crm", "admin", Secret(VALUE))
    key.chmod(0o640)
    with pytest.raises(UsageError, match="read by others") as caught:
        vault.get("crm", "admin", 1)
    assert (caught.value.why, caught.value.hint) == ("its mode is 0640", f"chmod 600 {key}")


@pytest.mark.parametrize("text", ["", "hello\n", "AGE-SECRET-KEY-1NOTAKEY\n", "ssh-ed25519 AAAA\n"])
def test_a_file_that_is_no_key_is_told(vault: AgeVault, key: Path, text: str) -> None:
    """What is not a key file is refused without quoting it."""
    key.parent.mkdir()
    key.write_text(text)
    key.chmod(0o600)
    with pytest.raises(UsageError, match="not a file of age keys") as caught:
        vault.make("crm", "admin", 12)
    assert "NOTAKEY" not in str(caught.value)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "swap"])
def test_a_damaged_file_is_told_and_left_alone(vault: AgeVault, folder: Path, damage: str) -> None:
    """A cut, changed, emptied or swapped file is refused, never overwritten, and says nothing of its content."""
    vault.put("blog", "admin", Secret("another"))
    vault.put("crm", "admin", Secret(VALUE))
    file = folder / "crm.age"
    data = file.read_bytes()
    file.write_bytes(
        {
            "cut": data[:-5],
            "flip": data[:-1] + bytes([data[-1] ^ 1]),
            "empty": b"",
            "swap": (folder / "blog.age").read_bytes(),
        }[damage]
    )
    damaged = file.read_bytes()
    for attempt in (lambda: vault.get("crm", "admin", 1), lambda: vault.make("crm", "admin", 12)):
        with pytest.raises(UsageError, match="cannot be read") as caught:
            attempt()
        assert VALUE not in str(caught.value)
        assert "another" not in str(caught.value).replace("another key", "")
    assert file.read_bytes() == damaged


def test_content_of_another_shape_is_not_quoted(vault: AgeVault, key: Path, folder: Path) -> None:
    """What decrypts but is not ours is refused without a word of it, also in the chain of causes."""
    vault.put("crm", "admin", Secret(VALUE))
    identity = pyrage.x25519.Identity.from_str(key.read_text().splitlines()[-1])
    content = json.dumps({"schema": "tfheal/secrets/1", "app": "crm", "secrets": {"admin": VALUE}}).encode()
    (folder / "crm.age").write_bytes(pyrage.encrypt(content, [identity.to_public()]))
    with pytest.raises(UsageError, match="cannot be read") as caught:
        vault.names("crm")
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize("app", ["../crm", "crm/x", "", "Crm", "crm\n"])
def test_a_name_is_never_a_path(vault: AgeVault, app: str) -> None:
    """Only names of apps become names of files."""
    with pytest.raises(UsageError):
        vault.latest(app, "admin")


def test_threads_and_processes_lose_no_version(vault: AgeVault, folder: Path, key: Path) -> None:
    """Everybody who keeps a value at the same moment gets a version of their own."""
    script = (
        "import sys; from pathlib import Path; from tfheal.edge.vault import AgeVault\n"
        "vault = AgeVault(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "print(*(vault.make('crm', 'admin', 12) for _ in range(5)))\n"
    )
    argv = [sys.executable, "-c", script, str(folder.parent), str(key)]
    processes = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    mine: list[int] = []
    threads = [threading.Thread(target=lambda: mine.append(vault.make("crm", "admin", 12))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    theirs = [int(number) for process in processes for number in process.communicate(timeout=60)[0].split()]
    assert sorted(mine + theirs) == list(range(1, 26))
    assert len(vault.known_values("crm")) == 25


def test_a_kill_leaves_the_old_file_or_the_new(vault: AgeVault, folder: Path, key: Path) -> None:
    """After a kill at any moment every acknowledged version is there and the next one can be made."""
    script = (
        "import sys; from pathlib import Path; from tfheal.edge.vault import AgeVault\n"
        "vault = AgeVault(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "while True: print(vault.make('crm', 'admin', 12), flush=True)\n"
    )
    argv = [sys.executable, "-c", script, str(folder.parent), str(key)]
    for turn in range(5):
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            last = [int(process.stdout.readline()) for _ in range(2 + turn)][-1]
            process.send_signal(signal.SIGKILL)
        assert vault.latest("crm", "admin") >= last
    assert vault.make("crm", "admin", 12) == len(vault.known_values("crm"))


def test_the_key_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """TFHEAL_AGE_KEY_FILE names the key file; without it, it is in the operator's own configuration."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(KEY_VARIABLE, "~/keys/age.key")
    assert default_key_file() == tmp_path / "keys" / "age.key"
    monkeypatch.delenv(KEY_VARIABLE)
    assert default_key_file() == tmp_path / ".config" / "tfheal" / "age.key"


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """Where no folder can be made, the message says where and why."""
    with pytest.raises(UsageError) as caught:
        AgeVault(Path("/proc/tfheal"), tmp_path / "age.key").make("crm", "admin", 12)
    assert caught.value.where == "/proc/tfheal/secrets"


def test_what_is_for_the_owner_only_the_owner_reads(vault: AgeVault) -> None:
    """A text is encrypted to a key of age or of SSH, as text; a recipient that is none is told with where it stands."""
    identity = pyrage.x25519.Identity.generate()
    found = vault.sealed(VALUE, str(identity.to_public()))
    assert found.startswith("-----BEGIN AGE ENCRYPTED FILE-----")
    assert VALUE not in found
    assert pyrage.decrypt(found.encode(), [identity]).decode() == VALUE
    pair = new_key_pair()
    ssh = pyrage.ssh.Identity.from_buffer(pair.private.encode())
    assert pyrage.decrypt(vault.sealed(VALUE, pair.public).encode(), [ssh]).decode() == VALUE
    for wrong in (f"age1{'q' * 58}", f"ssh-ed25519 {'A' * 68}"):
        with pytest.raises(UsageError, match="recipient"):
            vault.sealed(VALUE, wrong)


def test_what_is_closed_only_we_wrote(vault: AgeVault, key: Path) -> None:
    """What was closed is opened; changed, or encrypted to our key by whoever knows its public half, it is refused."""
    vault.put("files", "any", Secret(VALUE))
    closed = vault.closed("a text\nof two lines")
    assert "a text" not in closed
    assert vault.opened(closed) == "a text\nof two lines"
    (recipient,) = (line.split()[-1] for line in key.read_text().splitlines() if "public" in line)
    forged = vault.sealed(f"{'0' * 64}\na text", recipient)
    for wrong in (forged, closed[:-60], "", "garbage"):
        with pytest.raises(UsageError):
            vault.opened(wrong)


def test_what_is_dropped_is_gone(vault: AgeVault) -> None:
    """Every version of the secrets that are named, and no other secret; what is not there is no mistake."""
    for name in ("one", "one", "two"):
        vault.put("files", name, Secret(VALUE))
    vault.drop("files", ["one", "none"])
    assert vault.names("files") == ("two",)
    assert vault.latest("files", "one") == 0
