"""A mistake of our own is told, and its report kept, without letting through what a slice said."""

import re
import stat
from pathlib import Path

import pytest

from tfheal.base.exits import Exit
from tfheal.cli import wiring
from tfheal.cli.main import run
from tfheal.cli.output import bug_report


def test_what_a_bug_quotes_is_neutralised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control and bidi characters reach neither the screen nor the report, which is the operator's alone."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(KeyError) as caught:
        raise KeyError("\x1b[2J\u202e\x9b\nowned" + "x" * 300)
    told = bug_report(caught.value, ())
    (report,) = tmp_path.iterdir()
    kept = report.read_text()
    assert told.exit is Exit.BUG
    assert str(report) in told.hint
    assert "test_bug_report.py" in kept
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", told.why + kept)
    assert len(told.why) == 200
    assert stat.S_IMODE(report.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "named", [["--workspace", "{}"], ["--workspace={}"], []], ids=["word", "one word", "environment"]
)
def test_what_a_bug_quotes_of_the_secrets_is_masked(
    named: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of every app of the workspace; where they cannot be read, the words of the exception are left out."""
    root = tmp_path / "ours"
    monkeypatch.setenv("TFHEAL_AGE_KEY_FILE", str(tmp_path / "age.key"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run(["init", str(root)]) == 0
    wiring.vault(root).make("files", "admin_password", 40)
    (value,) = (secret.reveal() for secret in wiring.vault(root).every_value())
    if not named:
        monkeypatch.setenv("TFHEAL_WORKSPACE", str(root))

    def breaks(_root: Path) -> None:
        raise KeyError(f"it is {value}")

    monkeypatch.setattr(wiring, "load", breaks)
    for words in ("it is ***", "its words are left out"):
        assert run(["validate", *(word.format(root) for word in named)]) == Exit.BUG
        (report,) = tmp_path.glob("tfheal-bug-*")
        told = capsys.readouterr().err + report.read_text()
        assert words in told
        assert "test_bug_report.py" in told
        assert value not in told
        report.unlink()
        (tmp_path / "age.key").unlink(missing_ok=True)


def test_a_bug_in_finding_the_secrets_hides_no_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where even the workspace cannot be looked for, the first mistake is told, without its words."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    value = tmp_path.name[::-1]  # such as no line of a source has

    def breaks(_given: str | None) -> Path:
        raise KeyError(value)

    monkeypatch.setattr(wiring, "find_workspace", breaks)
    assert run(["validate"]) == Exit.BUG
    (report,) = tmp_path.glob("tfheal-bug-*")
    told = capsys.readouterr().err + report.read_text()
    assert "its words are left out" in told
    assert value not in told
