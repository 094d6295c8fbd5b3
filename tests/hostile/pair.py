"""One good slice and some hostile ones: all real, reached over a real sshd, and everything that came of it kept."""

import contextlib
import hashlib
import json
import re
import shlex
import sqlite3
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cases import HONEST
from running_lab import RunningLab

GOOD: Final = "s1"
HOSTILE: Final = ("s2", "s3", "s4", "s5", "s6", "s7")
APPS: Final = ("good", "evil", "shared", "gone")  # the last one was removed before it began
ROUND: Final = 10.0  # seconds, as the workspace has it
_PORT: Final = 2222
_HERE: Final = Path(__file__).parent
RECORDER: Final = (_HERE / "recorder.sh").read_text()
_KEPT: Final = frozenset("\n\t")
_OURS: Final = re.compile(r"\r\n|\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[1A|\x1b\[2K|\r")  # colours and bars on a terminal
_WILD: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_OF_A_RUN: Final = re.compile(rb"[0-9a-f]{32}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.+Z]+|(?<=\"why\":\")[^\"]*|(?<=run )\S+")
_WORDS: Final = {
    "status": ("status", "--json"),
    "heal": ("heal", "--auto"),
    "logs": ("logs", "shared", "--lines", "1000"),
    "plan": ("deploy", "shared", "--plan"),  # on a terminal
}
_ALONE: Final = {
    "heal evil": ("heal", "evil", "--auto", "--json"),
    "deploy": ("deploy", "good", "evil", "shared"),
}


@dataclass(frozen=True, slots=True)
class Ran:
    """What one command said, and what it cost."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    memory: int  # bytes at its peak

    @property
    def document(self) -> dict[str, Any]:
        """Return its one JSON document."""
        return dict(json.loads(self.stdout))


@dataclass(frozen=True, slots=True)
class Pair:
    """The slices, the workspace that knows them, and folders that nothing may be written to."""

    lab: RunningLab
    ground: Path
    secrets: tuple[str, ...]  # the sentinels: of each app

    @property
    def home(self) -> Path:
        """Return the home of the operator."""
        return self.ground / "home"

    def inside(self, name: str, script: str, *, check: int | None = 0) -> str:
        """Run a script on a slice by a way of the test's own, which no hostility closes."""
        *words, place = self.lab.ssh(name)
        argv = [*words, "-p", str(_PORT), place, "--", "/bin/sh"]
        ran = subprocess.run(argv, input=script.encode(), capture_output=True, check=False, timeout=60)
        assert check in {None, ran.returncode}, ran
        return ran.stdout.decode(errors="replace")

    def prepare(self) -> None:
        """Open the way of the test, and put our front between sshd and the shell of each."""
        poison = shlex.quote((_HERE / "poison.pl").read_text())
        talks = dict.fromkeys(HOSTILE, HONEST) | {GOOD: RECORDER}

        def prepare(name: str) -> None:
            self.lab.on(name, (_HERE / "prepare.sh").read_text())
            known = f"printf %s {poison} >/front/poison.pl; printf %s {self.secrets[-1]} >/front/gone"
            self.inside(name, f"{known}\n{front(talks[name])}")

        at_once(talks, prepare)

    def run(self, *names: str) -> dict[str, Ran]:
        """Run commands side by side, each of a round if none is named, and return what came of each."""
        running = {name: self._begun(name) for name in names or tuple(_WORDS)}
        return {name: self._ended(name, process) for name, process in running.items()}

    def files(self) -> dict[str, str]:
        """Return every path that belongs to the operator, with what is in it; the journal may grow."""
        folders = (self.lab.workspace, self.home, self.ground / "tmp")
        paths = (path for folder in folders for path in folder.rglob("*"))
        return {
            str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            for path in paths
            if not path.name.startswith("journal.db")
        }

    def journal(self) -> str:
        """Return all that the journal holds, as text."""
        place = f"file:{self.lab.workspace / '.tfheal' / 'journal.db'}?mode=ro"
        with contextlib.closing(sqlite3.connect(place, uri=True)) as database:
            tables = [row[0] for row in database.execute("select name from sqlite_master where type = 'table'")]
            rows = [row for table in tables for row in database.execute(f"select * from {table}")]  # noqa: S608 (its own names)
        return "\n".join(str(value) for row in rows for value in row)

    @contextlib.contextmanager
    def settings(self, **values: str) -> Iterator[None]:
        """Have other numbers for a while; those that the workspace does not name are of healing."""
        place = self.lab.workspace / "tfheal.toml"
        before = place.read_text()
        named = {key: f"{key} = {value}" for key, value in values.items()}
        lines = [named.pop(line.partition(" = ")[0], line) for line in before.splitlines()]
        place.write_text("\n".join([*lines, *named.values(), ""]))
        try:
            yield
        finally:
            place.write_text(before)

    def forget_tries(self) -> None:
        """Let the tries of healing be long ago and their incidents over, as if much time had passed: budgets are whole again."""
        with contextlib.closing(sqlite3.connect(self.lab.workspace / ".tfheal" / "journal.db")) as database, database:
            database.execute("update action set started = '2026-01-01T00:00:00.000000Z'")
            database.execute("delete from incident")

    def sent(self, name: str = GOOD) -> list[bytes]:
        """Return what a slice that records was sent since the last call, without what is random in every run."""
        told = self.inside(name, "cd /front/sent; for f in *; do [ -f $f ] && base64 -w 0 <$f; echo; done; rm -f *")
        scripts = {_OF_A_RUN.sub(b"RANDOM", _unpacked(line)) for line in told.split("\n") if line}
        return sorted(scripts)

    def _begun(self, name: str) -> subprocess.Popen[bytes]:
        around = {"HOME": str(self.home), "TMPDIR": str(self.ground / "tmp")}
        settings = [f"{key}={value}" for key, value in around.items()]
        words = self.lab.command(*(_WORDS | _ALONE)[name])
        shown = "terminal" if name == "plan" else "file"
        measured = [sys.executable, str(_HERE / "measured.py"), str(self.ground / name), shown]
        return subprocess.Popen([*measured, "env", *settings, *words], cwd=self.lab.workspace, stdin=subprocess.DEVNULL)

    def _ended(self, name: str, process: subprocess.Popen[bytes]) -> Ran:
        code = process.wait(timeout=180)  # what takes longer than it may is told by its test, with its figures
        place = self.ground / name
        said = {kind: place.with_suffix(kind).read_bytes().decode() for kind in (".out", ".err")}
        cost = json.loads(place.with_suffix(".cost").read_text())
        return Ran(code, said[".out"], said[".err"], cost["seconds"], cost["memory"])


def front(body: str) -> str:
    """Return sh that lets whoever logs in with the provider's key talk to this instead of the shell."""
    write = f"printf '%s\\n' '#!/bin/sh' {shlex.quote(body)} >/front/new"
    return f"{write}; chmod 755 /front/new; mv /front/new /front/front"


def at_once(names: Iterable[str], do: Callable[[str], object]) -> None:
    """Do the same to some slices, side by side."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(do, names))


def password(lab: RunningLab, app: str) -> str:
    """Return the secret of an app."""
    shown = lab.run("secret", "show", app, "admin_password", "--json").stdout
    return str(json.loads(shown)["value"])


def strings(document: object) -> Iterator[str]:
    """Yield every text in a JSON document, keys too."""
    if isinstance(document, Mapping):
        for key, value in document.items():
            yield key
            yield from strings(value)
    elif isinstance(document, list):
        for value in document:
            yield from strings(value)
    else:
        yield str(document)


def wild(text: str, *, terminal: bool = False) -> set[str]:
    """Return the characters of a text that no terminal, log or JSON should get raw, but for our own on a terminal."""
    text = _OURS.sub("", text) if terminal else text
    return {one for one in text if one not in _KEPT and unicodedata.category(one) in _WILD}


def _unpacked(line: str) -> bytes:
    return subprocess.run(["base64", "-d"], input=line.encode(), capture_output=True, check=True).stdout
