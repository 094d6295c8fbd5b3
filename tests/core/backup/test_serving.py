"""The server of a repository for one job: whole or nothing, no password in an argument, no word of a slice believed."""

import base64
import subprocess

import pytest

from tfheal.core.backup import serving
from tfheal.core.backup.serving import Word

MARKER = "0123456789abcdef"
SCRIPT = serving.script("/srv/tfheal/files/store/s1", "THE-PASSWORD", MARKER)


def said(state: str, text: str) -> bytes:
    """Return a line as the script writes it."""
    return f"{MARKER} {state} {base64.b64encode(text.encode()).decode()}".encode()


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_a_cut_script_does_nothing(shell: str) -> None:
    """Cut anywhere, it is no script; whole, it is one that a shell reads."""
    assert subprocess.run([shell, "-n"], input=SCRIPT, text=True, capture_output=True, check=False).returncode == 0
    for end in range(0, len(SCRIPT) - len(MARKER), 97):
        ran = subprocess.run([shell], input=SCRIPT[:end], text=True, capture_output=True, check=False)
        assert ran.stdout == ""


def test_it_can_add_and_is_shut_out() -> None:
    """It deletes nothing, listens on the loopback alone, holds the lock of a prune, and dies with who started it."""
    assert "THE-PASSWORD" not in SCRIPT
    for words in ("--append-only", "--listen 127.0.0.1:0", "--pdeathsig KILL", "flock --shared --nonblock --no-fork"):
        assert words in SCRIPT
    assert "--conflict-exit-code 75 /srv/tfheal/files/store/s1 restic-rest-server" in SCRIPT


@pytest.mark.parametrize(
    ("line", "means"),
    [
        (said("serving", "8000"), Word(8000)),
        (said("serving", "70000"), Word(why="the port that it names is none")),
        (said("serving", "8000 -oProxyCommand=x"), Word(why="the port that it names is none")),
        (said("refused", "paused"), Word(why="paused", refused=True)),
        (said("failed", "no\x1b[2J room"), Word(why="no\\x1b[2J room")),
        (b"another serving ODAwMA==", None),
        (b"Last login: today", None),
    ],
)
def test_words_are_read_strictly(line: bytes, means: Word | None) -> None:
    """A port is a port; noise is nobody's word."""
    found = serving.word(line, MARKER)
    assert found == means or (found and means and not found.port and "\x1b" not in found.why)
