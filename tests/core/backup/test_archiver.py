"""A base whose server cannot hand over what is changed: the script is run, with a server that does as a case says."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tfheal.core.archiving import spool
from tfheal.core.backup import recovery
from tfheal.model.playbook import Dump
from tfheal.model.release import Release
from tfheal.model.resources import Directory, Postgres

WORD = "x" * 12
RELEASE = Release(
    app="rows",
    owner="lab",
    component="db",
    slice="s1",
    playbook="rows",
    version="1",
    resources=(
        Postgres(kind="postgres", database="rows", role="rows", password=WORD),
        Directory(kind="directory", path=spool("rows", "db")),
    ),
    dumps=(Dump(name="rows", postgres="rows", wal=True),),
    ladder=("page",),
)
# restic runs what it is given, says what that said as it does, and keeps nothing of what failed.
RESTIC = """
r() {
  while [ "$1" != -- ]; do shift; done
  shift
  "$@" >"$folder/stored" || { echo '{"message_type":"exit_error","code":1,"message":"Fatal: it was not saved"}' >&2; return 1; }
}
"""


@dataclass(frozen=True)
class Server:
    """What a server says of its archiver, how long a base takes it, and for how many minutes a segment waits."""

    failing: str = "f"
    count: str = "echo 3"
    base: str = "echo base"
    waits: int | None = None


def ran(folder: Path, server: Server) -> tuple[int, str, str]:
    """Take a base; return the status, what it complained of, and what was stored."""
    status = folder / "lib" / "pg_wal" / "archive_status"
    stub = folder / "stub"
    for made in (
        status,
        folder / "lib" / "global",
        folder / "17" / "bin",
        folder / "17" / "main",
        stub,
        folder / spool("rows", "db")[1:],
    ):
        made.mkdir(parents=True)
    (folder / "17" / "main" / "postgresql.conf").touch()
    (folder / "lib" / "global" / "pg_control").write_bytes(bytes(8))
    if server.waits is not None:
        ready = status / "000000010000000000000009.ready"
        subprocess.run(["touch", f"--date=-{server.waits} minutes", str(ready)], check=True)
    query = f"case $(cat) in *data_dir*) echo {folder}/lib ;; *last_failed*) echo {server.failing} ;; *) {server.count} ;; esac"
    programs = {
        stub / "setpriv": 'while :; do case $1 in --*) shift ;; *) break ;; esac; done\nexec "$@"',
        stub / "sleep": "exec /bin/sleep 0.02",
        folder / "17" / "bin" / "psql": query,
        folder / "17" / "bin" / "pg_basebackup": server.base,
    }
    for path, text in programs.items():
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    script = recovery.base_script(RELEASE, ("--tag", "x=y"), "db-17-main.dump")
    for old in ("/usr/lib/postgresql", "/etc/postgresql", "/var/spool"):
        script = script.replace(old, str(folder / "var/spool") if old == "/var/spool" else str(folder))
    done = subprocess.run(
        ["sh"],
        input=f"folder={folder}\nreach() {{ :; }}\n{RESTIC}task() {{\n{script}\n}}\ntask",
        env={"PATH": f"{stub}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    stored = folder / "stored"
    return done.returncode, done.stderr, stored.read_text() if stored.exists() else ""


HANGS = "echo base; exec /bin/sleep 60"
GROWS = 'n=$(cat "$0.n" 2>/dev/null); echo $((n + 1)) >"$0.n"; echo $n'


@pytest.mark.parametrize(
    "server",
    [
        Server(),
        Server(waits=0, failing="t"),  # it failed just now, and may do well the next time
        Server(waits=90),  # a backlog that nothing says of that it does not get on
        Server(waits=90, count=GROWS, base="echo base; exec /bin/sleep 1"),
    ],
)
def test_a_server_that_gets_on_is_waited_for(tmp_path: Path, server: Server) -> None:
    """However much waits: as long as segments are handed over the base goes on."""
    status, said, stored = ran(tmp_path, server)
    assert (status, stored) == (0, "base\n"), said


@pytest.mark.parametrize(
    ("server", "begun"),
    [
        (Server(waits=9, failing="t", base=HANGS), False),
        (Server(waits=9, base=HANGS), True),
        (Server(waits=9, base=HANGS, count="exit 1"), True),
    ],
)
def test_a_server_that_is_stuck_ends_its_base(tmp_path: Path, server: Server, *, begun: bool) -> None:
    """Known before, nothing is copied; else it is ended once nothing was handed over for a while; the reason is what is told."""
    status, said, stored = ran(tmp_path, server)
    assert (status, stored) == (1, "base\n" if begun else "")
    assert said.startswith("the server could not hand over 1 segments for more than 2 minutes")
    assert "exit_error" not in said


def test_what_else_goes_wrong_is_told_as_it_is(tmp_path: Path) -> None:
    """Not every base that fails is the archiver's fault."""
    status, said, _ = ran(tmp_path, Server(base="echo 'no space left' >&2; exit 1"))
    assert status == 1
    assert "no space left" in said
    assert "it was not saved" in said
