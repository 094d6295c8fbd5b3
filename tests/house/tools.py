"""The programs that come with the test dependencies, from the same environment as the Python that runs the tests."""

import subprocess
import sys
from pathlib import Path

from kept import ROOT


def tool(name: str) -> str:
    """Return the path of a program."""
    return str(Path(sys.executable).with_name(name))


def checked(*words: str, timeout: float = 600.0) -> str:
    """Run a program in the repository, demand that it is content, and return what it said."""
    ran = subprocess.run(
        [tool(words[0]), *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False, timeout=timeout
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
