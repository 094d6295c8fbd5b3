"""`tfheal upgrade` where nothing is connected to: words that say too little are answered by what there is to say."""

from pathlib import Path

import pytest
from workspaces import write_workspace

from tfheal.cli.main import run


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("site",), "--to VERSION: there are of demo 1.0"),
        (("--all",), "--to VERSION: there are of demo 1.0"),
        (("sit",), "did you mean site?"),
        ((), "say which apps"),
        (("site", "--all"), "not both"),
        (("site", "--to", "1.0", "--strategy", "blue"), "there is no --strategy blue"),
    ],
)
def test_what_is_not_said_is_asked_for(
    words: tuple[str, ...], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The versions to choose from are named."""
    assert run(["upgrade", *words, "--workspace", str(write_workspace(tmp_path))]) == 2
    assert told in capsys.readouterr().err
