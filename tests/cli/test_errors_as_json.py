"""An error is the one document of its command, by the same schema as its result."""

import json

import pytest
from commands import every_command, options_of

from tfheal.cli.main import run

TOLD = [name for name, command in every_command().items() if "--json" in options_of(command)]


@pytest.mark.parametrize("name", TOLD, ids=" ".join)
def test_an_error_has_the_schema_of_its_command(name: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Also that of a command of a group."""
    assert run([*name, "--no-such-option", "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["exit"]) == (f"tfheal/{'-'.join(name)}/1", 2)
