"""The server of one repository, on its store, for the time of one job: so that no slice with data has a key to the store.

It listens on the loopback alone, for one password that was made for this job, takes what is added, deletes nothing, and is
shut out by a prune as a key is. It lives by our word every few seconds: whoever is gone leaves nothing behind that serves.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from tfheal.base import sh, untrusted
from tfheal.core.probe.script import PRELUDE, called_once
from tfheal.core.reach import SHUT_OUT
from tfheal.core.stores import locked
from tfheal.model import paths
from tfheal.model.lease import SILENCE

USER: Final = "tfheal"
_TOLD: Final = re.compile(rb"(serving|refused|failed) ([A-Za-z0-9+/=]*)")
# A server that outlived what started it would serve on: it asks to be killed with that, by `setpriv`.
_SERVE: Final = """\
say() { printf '%s %s\\n' "$marker" "$*"; }
packed() { printf %s "$1" | base64 -w 0; }
refuse() { say "refused $(packed "$1")"; }
fail() { say "failed $(packed "$1")"; }
over() {
  [ -z "$server" ] || kill "$server" 2>/dev/null
  [ -z "$place" ] || rm -rf "$place"
}
port() { sed -n 's/.*start server on 127[.]0[.]0[.]1:\\([0-9]\\{1,5\\}\\)$/\\1/p' "$place/said"; }
begin() {
  setpriv --reuid "$user" --regid "$group" --init-groups --pdeathsig KILL LOCKED restic-rest-server \\
    --append-only --listen 127.0.0.1:0 --htpasswd-file "$place/htpasswd" --path "$repository" >"$place/said" 2>&1 &
  server=$!
  for _ in $(seq 100); do
    [ -z "$(port)" ] || return 0
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  kill "$server" 2>/dev/null
  wait "$server"
  [ "$?" -ne SHUT_OUT ] || { refuse 'nothing is taken there for now: what is stored is pruned'; return 1; }
  fail "no server begins there: $(tail -c 300 "$place/said")"
  return 1
}
server= place=
trap over EXIT
[ ! -e HANDS_OFF ] || { refuse 'it is paused by the owner'; return; }
[ -e IDENTITY ] || { refuse 'the marker of identity is gone: this is not the machine that was deployed to'; return; }
command -v restic-rest-server >/dev/null || { fail 'restic-rest-server is not there: a deploy installs it'; return; }
user=$(stat -c %u "$repository" 2>/dev/null) group=$(stat -c %g "$repository" 2>/dev/null) ||
  { fail "$repository is not there"; return; }
mkdir -p RUN && place=$(mktemp -d RUN/serves.XXXXXX) || { fail 'no folder in /run'; return; }
printf '%s\\n' "$entry" >"$place/htpasswd"
chmod 0500 "$place" && chmod 0400 "$place/htpasswd" && chown -R "$user:$group" "$place"
begin || return
say "serving $(packed "$(port)")"
while kill -0 "$server" 2>/dev/null && timeout "$silence" sh -c 'read -r beat' <&7; do printf . >&2; done
"""


@dataclass(frozen=True, slots=True)
class Word:
    """What is said of a server: the port that it listens on, or why there is none; `refused` passes by itself."""

    port: int = 0
    why: str = ""
    refused: bool = False


def script(repository: str, password: str, marker: str) -> str:
    """Given a repository's folder, the password for one job and a random marker, return the script that serves it.

    It ends with its stdin, or when no word came for too long.
    """
    hashed = base64.b64encode(hashlib.sha1(password.encode(), usedforsecurity=False).digest()).decode()
    entry = f"{USER}:{{SHA}}{hashed}"  # of a password that nobody guesses, and that ends with the job
    values = f"marker={marker} silence={SILENCE:g} repository={sh.quote(repository)} entry={sh.quote(entry)}\n"
    words = {
        "LOCKED": locked(sh.quote(repository)).strip(),
        "SHUT_OUT": str(SHUT_OUT),
        "HANDS_OFF": paths.HANDS_OFF,
        "IDENTITY": paths.IDENTITY,
        "RUN": paths.RUN,
    }
    body = _SERVE
    for name, value in words.items():
        body = re.sub(rf"\b{name}\b", value, body)
    return called_once(f"{PRELUDE}{values}{body}", marker)


def word(line: bytes, marker: str) -> Word | None:
    """Given a line of that script, return what it says, or None for noise."""
    head = f"{marker} ".encode()
    match = _TOLD.fullmatch(line[len(head) :]) if line.startswith(head) else None
    if match is None:
        return None
    said = sh.unencoded(match[2]) or b""
    if match[1] != b"serving":
        return Word(why=untrusted.line(said, 400), refused=match[1] == b"refused")
    port = int(said) if said.isdigit() and len(said) <= 5 else 0  # noqa: PLR2004
    return Word(port) if 0 < port < 1 << 16 else Word(why="the port that it names is none")
