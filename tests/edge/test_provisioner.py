"""The commands that make slices anew, run for real: no shell, no end without a time-out, and words that are safe to show."""

import time
from pathlib import Path

import pytest

from tfheal import __version__
from tfheal.base.errors import ActionFailed
from tfheal.edge.provisioner import LocalProvisioners


def test_a_command_is_run_without_a_shell(tmp_path: Path) -> None:
    """Shell signs mean nothing; both outputs are kept, control characters made visible; the workspace is known to it."""
    script = tmp_path / "make.sh"
    script.write_text('#!/bin/sh\nprintf "%s|" "$@"; printf "\\033[1m%s" "$TFHEAL_WORKSPACE" >&2; exit 3\n')
    script.chmod(0o755)
    said = LocalProvisioners(tmp_path).run(["./make.sh", "$(id)", "a b; c"], 10)
    assert said.status == 3
    assert said.text == f"$(id)|a b; c|\n\\x1b[1m{tmp_path}"


def test_our_own_name_is_this_very_program(tmp_path: Path) -> None:
    """Also where it is not on the path."""
    said = LocalProvisioners(tmp_path).run(["tfheal", "--version"], 30)
    assert (said.text, said.status) == (f"tfheal {__version__}", 0)


def test_what_takes_too_long_is_ended_and_what_is_not_there_is_told(tmp_path: Path) -> None:
    """Neither is waited for."""
    begun = time.monotonic()
    with pytest.raises(ActionFailed, match="outlived"):
        LocalProvisioners(tmp_path).run(["sleep", "60"], 0.3)
    with pytest.raises(ActionFailed, match="cannot be started"):
        LocalProvisioners(tmp_path).run(["./missing"], 10)
    assert time.monotonic() - begun < 5
