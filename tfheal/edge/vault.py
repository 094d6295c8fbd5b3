"""The secrets of the apps: one file an app in `secrets/`, encrypted by age to the key of the provider.

The files are made to be kept in git with the rest of the workspace; the key is not in it. `secrets/recipient.txt` says
to which key they are encrypted, so that a machine with another key is told so before anything is read or written.
"""

import hmac
import os
import re
import secrets
import stat
import string
from collections.abc import Collection
from pathlib import Path
from typing import Final, Literal

import pyrage
from pydantic import Field, ValidationError

from tfheal.base.errors import ConfigError, Mistake, UsageError
from tfheal.base.secret import Secret
from tfheal.edge.disk import locked_folder, replace_file
from tfheal.model.names import NAME_PATTERN, Strict

KEY_VARIABLE: Final = "TFHEAL_AGE_KEY_FILE"
_ALPHABET: Final = string.ascii_letters + string.digits
_LENGTH: Final = 40  # 238 bits
_OTHERS: Final = 0o077


class SecretsFile(Strict):
    """What an app's file holds once it is decrypted: every secret by name, its versions in order."""

    format: Literal["tfheal/secrets/1"] = Field(default="tfheal/secrets/1", alias="schema")
    app: str
    secrets: dict[str, list[str]]


def default_key_file() -> Path:
    """Return where the key is: where the environment says, else in the operator's own configuration."""
    named = os.environ.get(KEY_VARIABLE)
    return Path(named).expanduser() if named else Path.home() / ".config" / "tfheal" / "age.key"


class AgeVault:
    """The vault port over age files; safe for threads and for several processes at once."""

    def __init__(self, root: Path, key_file: Path | None = None) -> None:
        """Keep secrets under the root of a workspace; nothing is read or made before it is needed."""
        self._folder = root / "secrets"
        self._recipient_file = self._folder / "recipient.txt"
        self._key_file = key_file or default_key_file()

    def get(self, app: str, name: str, version: int) -> Secret:
        """Return that version of a secret; raise ConfigError if there is none."""
        versions = self._read(app).get(name, [])
        if not 1 <= version <= len(versions):
            what = f"{app} has no version {version} of the secret {name}"
            hint = f"its newest is {len(versions)}" if versions else f"see `tfheal secret set {app} {name}`"
            raise ConfigError((Mistake(f"secrets/{app}.age", 1, 1, name, what, hint),))
        return Secret(versions[version - 1])

    def latest(self, app: str, name: str) -> int:
        """Return the newest version of a secret, 0 if there is none yet."""
        return len(self._read(app).get(name, []))

    def make(self, app: str, name: str, length: int) -> int:
        """Make a new version of random letters and digits, and return its number."""
        return self.put(app, name, self.password(length))

    def put(self, app: str, name: str, value: Secret) -> int:
        """Keep a given value as a new version, and return its number."""
        _make_folder(self._folder)
        with locked_folder(self._folder):
            key = self._key()
            kept = self._read(app)
            versions = [*kept.get(name, []), value.reveal()]
            self._write(app, {**kept, name: versions}, key)
        return len(versions)

    def drop(self, app: str, names: Collection[str]) -> None:
        """Forget every version of these secrets of an app."""
        with locked_folder(self._folder):
            key = self._key()
            kept = {name: versions for name, versions in self._read(app).items() if name not in names}
            self._write(app, kept, key)

    def names(self, app: str) -> tuple[str, ...]:
        """Return the names of the secrets that an app has, sorted."""
        return tuple(sorted(self._read(app)))

    def password(self, length: int = _LENGTH) -> Secret:
        """Return a new password of random letters and digits, and keep it nowhere."""
        return Secret("".join(secrets.choice(_ALPHABET) for _ in range(length)))

    def sealed(self, text: str, recipient: str) -> str:
        """Return a text encrypted to a recipient of age (its own or an SSH key), as text; raise UsageError."""
        kind = pyrage.ssh.Recipient if recipient.startswith("ssh-") else pyrage.x25519.Recipient
        try:
            data: bytes = pyrage.encrypt(text.encode(), [kind.from_str(recipient)], armored=True)
        except (pyrage.RecipientError, pyrage.EncryptError) as error:
            what, hint = (
                "nothing can be encrypted to this recipient",
                "look at `recipient` of the owner in inventory.toml",
            )
            raise UsageError(what, where=recipient, why=str(error), hint=hint) from error
        return data.decode()

    def closed(self, text: str) -> str:
        """Return a text encrypted to the key of the workspace, with a proof that whoever wrote it has that key."""
        key = self._matching(self._identities())[0]
        return self.sealed(f"{_proof(key, text)}\n{text}", str(key.to_public()))

    def opened(self, closed: str) -> str:
        """Return a text that was `closed`; raise UsageError if it is for another key, was changed, or is by another."""
        key = self._matching(self._identities())[0]
        try:
            plain: bytes = pyrage.decrypt(closed.encode(), [key])
            proof, _, text = plain.decode().partition("\n")
        except (pyrage.DecryptError, UnicodeDecodeError) as error:
            raise UsageError("it was closed by another key than ours, or is damaged") from error
        if not hmac.compare_digest(proof, _proof(key, text)):
            raise UsageError("it was not written by us", why="anybody can encrypt to our key, and only we can sign so")
        return text

    def known_values(self, app: str) -> tuple[Secret, ...]:
        """Return every version of every secret of an app, so that all can be masked."""
        return tuple(Secret(value) for versions in self._read(app).values() for value in versions)

    def every_value(self) -> tuple[Secret, ...]:
        """Return every version of every secret of every app that has a file here."""
        return tuple(value for file in sorted(self._folder.glob("*.age")) for value in self.known_values(file.stem))

    def _file(self, app: str) -> Path:
        if not re.fullmatch(NAME_PATTERN, app):
            raise UsageError(f"{app!r} is not the name of an app")
        return self._folder / f"{app}.age"

    def _read(self, app: str) -> dict[str, list[str]]:
        path = self._file(app)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise _unreadable(path, error.strerror or str(error)) from error
        return self._decrypted(app, path, data)

    def _decrypted(self, app: str, path: Path, data: bytes) -> dict[str, list[str]]:
        identities = self._matching(self._identities())
        try:
            plain = pyrage.decrypt(data, identities)
        except pyrage.DecryptError as error:
            raise _unreadable(path, f"it was encrypted for another key than {self._key_file}, or is damaged") from error
        found = _parsed(plain)
        if found is None or found.app != app:
            raise _unreadable(path, "what it holds is not the secrets of this app")
        return found.secrets

    def _write(self, app: str, kept: dict[str, list[str]], key: pyrage.x25519.Identity) -> None:
        content = SecretsFile(schema="tfheal/secrets/1", app=app, secrets=kept).model_dump_json(by_alias=True)
        try:
            data = pyrage.encrypt(content.encode(), [key.to_public()])
        except pyrage.EncryptError as error:
            raise UsageError("the secrets cannot be encrypted", where=str(self._key_file), why=str(error)) from error
        replace_file(self._file(app), data, 0o600)

    def _key(self) -> pyrage.x25519.Identity:
        """Return the key to write with; made, and its recipient noted, when the workspace has no secrets yet."""
        identities = self._identities(make=self._recipient() is None and not any(self._folder.glob("*.age")))
        key = self._matching(identities)[0]
        if self._recipient() is None:
            replace_file(self._recipient_file, f"{key.to_public()}\n".encode())
        return key

    def _recipient(self) -> str | None:
        try:
            return self._recipient_file.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise _unreadable(self._recipient_file, str(error)) from error

    def _matching(self, identities: list[pyrage.x25519.Identity]) -> list[pyrage.x25519.Identity]:
        """Given the keys of the key file, return those that the workspace is encrypted to; raise if none is."""
        wanted = self._recipient()
        matching = [identity for identity in identities if wanted in (None, str(identity.to_public()))]
        if not matching:
            raise UsageError(
                "this is not the key of the workspace",
                where=str(self._key_file),
                why=f"its secrets are encrypted for {wanted}, the key is of {identities[0].to_public()}",
                hint=f"name the right key file: {KEY_VARIABLE}=FILE",
            )
        return matching

    def _identities(self, *, make: bool = False) -> list[pyrage.x25519.Identity]:
        if make:
            make_key(self._key_file)
        try:
            mode = stat.S_IMODE(self._key_file.stat().st_mode)
            text = self._key_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise self._no_key(error) from error
        if mode & _OTHERS:
            raise UsageError(
                "the key can be read by others",
                where=str(self._key_file),
                why=f"its mode is {mode:04o}",
                hint=f"chmod 600 {self._key_file}",
            )
        return _keys(text, self._key_file)

    def _no_key(self, error: OSError | UnicodeDecodeError) -> UsageError:
        return UsageError(
            "cannot read the key of the workspace",
            where=str(self._key_file),
            why=getattr(error, "strerror", None) or "it is not a text file",
            hint=f"copy it from the machine on which the workspace was made, or name it: {KEY_VARIABLE}=FILE",
        )


def _proof(key: pyrage.x25519.Identity, text: str) -> str:
    """Return what only the holder of a key can say of a text; who merely knows its public half cannot."""
    return hmac.new(f"tfheal closed {key}".encode(), text.encode(), "sha256").hexdigest()


def make_key(path: Path) -> None:
    """Make a key file that only its owner can read, in the format of age-keygen; one that exists is kept."""
    _make_folder(path.parent)
    with locked_folder(path.parent):
        if not os.path.lexists(path):
            key = pyrage.x25519.Identity.generate()
            replace_file(path, f"# public key: {key.to_public()}\n{key}\n".encode(), 0o600)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError("cannot make the folder", where=str(folder), why=error.strerror or str(error)) from error


def _keys(text: str, path: Path) -> list[pyrage.x25519.Identity]:
    lines = [line.strip() for line in text.splitlines()]
    try:
        keys = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except pyrage.IdentityError:
        keys = []
    if not keys:
        raise UsageError(
            "this is not a file of age keys",
            where=str(path),
            why="it has no line, or another line than, AGE-SECRET-KEY-1…",
            hint=f"name the right key file: {KEY_VARIABLE}=FILE",
        )
    return keys


def _parsed(plain: bytes) -> SecretsFile | None:
    # None and not an exception: a parser's complaint quotes what it read.
    try:
        return SecretsFile.model_validate_json(plain)
    except ValidationError:
        return None


def _unreadable(path: Path, why: str) -> UsageError:
    return UsageError(
        "the secrets cannot be read", where=str(path), why=why, hint="nothing was changed; put back a sound copy"
    )
