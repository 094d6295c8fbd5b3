"""A mistake of our own is told, and its report kept, without letting through what a slice said."""

import re
import stat
from pathlib import Path

import pytest

from tfheal.base.exits import Exit
from tfheal.cli.output import bug_report


def test_what_a_bug_quotes_is_neutralised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control and bidi characters reach neither the screen nor the report, which is the operator's alone."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(KeyError) as caught:
        raise KeyError("\x1b[2J\u202e\x9b\nowned" + "x" * 300)
    told = bug_report(caught.value)
    (report,) = tmp_path.iterdir()
    kept = report.read_text()
    assert told.exit is Exit.BUG
    assert str(report) in told.hint
    assert "test_bug_report.py" in kept
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", told.why + kept)
    assert len(told.why) == 200
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
