"""Help comes at once and is complete: no library of weight is loaded before a command needs it."""

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Sequence

import pytest
from commands import every_command, options_of

WEIGHTY = {
    "bcrypt",
    "concurrent.futures",
    "cryptography",
    "fabric",
    "invoke",
    "jinja2",
    "nacl",
    "paramiko",
    "pydantic",
    "pyrage",
    "rich",
    "sqlite3",
    "tomli_w",
    "tomlkit",
    "yaml",
}
LOADED = """
import sys
try:
    from tfheal.cli.main import run
    code = run(sys.argv[1:])
finally:
    print("LOADED", *sorted(sys.modules), file=sys.stderr)
"""
AT_ONCE = [(), ("--help",), ("--version",)]
GROUPS = [("lab",), ("slice",), ("secret",)]


def ran(words: Sequence[str], *, before: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command line."""
    argv = [sys.executable, *before, *words]
    env = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, env=env)


def loaded(told: str) -> set[str]:
    """Given the stderr of a run before LOADED, return the modules that were loaded at its end."""
    return set(told.rpartition("LOADED ")[2].split())


@pytest.mark.parametrize("words", AT_ONCE, ids=" ".join)
def test_help_loads_nothing_of_weight(words: tuple[str, ...]) -> None:
    """The help of all commands loads the command line and nothing else."""
    modules = loaded(ran(words, before=["-c", LOADED]).stderr)
    assert "tfheal.cli.main" in modules
    assert of_weight(modules) == set()
    assert not_of_the_command_line(modules) == set()


@pytest.mark.parametrize("name", [*GROUPS, *every_command()], ids=" ".join)
def test_help_of_a_command_is_whole_and_loads_no_more(name: tuple[str, ...]) -> None:
    """The help of one command shows all of its options; Typer itself reads what is written after it by pydantic."""
    shown = ran([*name, "--help"], before=["-c", LOADED])
    modules = loaded(shown.stderr)
    assert "tfheal.cli.main" in modules
    assert of_weight(modules) <= {"pydantic", "concurrent.futures"}
    assert not_of_the_command_line(modules) == set()
    options = options_of(every_command()[name]) if name in every_command() else {}
    assert [option for option in options if option.startswith("-") and option not in shown.stdout] == []


@pytest.mark.parametrize("name", every_command(), ids=" ".join)
def test_every_command_says_what_it_is_for(name: tuple[str, ...]) -> None:
    """A command says what it does, in a sentence, and what each of its options is for."""
    command = every_command()[name]
    assert re.fullmatch(r"[A-Z].*\.", inspect.getdoc(command.callback) or "", flags=re.DOTALL)
    assert [option for option, purpose in options_of(command).items() if not purpose] == []


def of_weight(modules: set[str]) -> set[str]:
    """Return the libraries of weight among modules."""
    return {name for name in modules if name in WEIGHTY}


def not_of_the_command_line(modules: set[str]) -> set[str]:
    """Return the modules of ours that a help has no use for."""
    ours = {name for name in modules if name.startswith("tfheal.")}
    return {name for name in ours if not name.startswith(("tfheal.cli", "tfheal.base"))}


def test_no_command_shows_the_help() -> None:
    """`tfheal` alone shows the help, and is a mistake of usage."""
    shown = ran([], before=["-m", "tfheal"])
    assert shown.returncode == 2
    assert "Usage: " in shown.stdout + shown.stderr


def test_mistaken_command_is_a_mistake_of_usage() -> None:
    """A command or an option that does not exist is told in words, with exit 2."""
    for words in (["helo"], ["status", "--jsn"], ["lab", "op"]):
        told = ran(words, before=["-m", "tfheal"])
        assert told.returncode == 2, words
        assert words[-1] in told.stderr
        assert "Traceback" not in told.stderr


@pytest.mark.parametrize(
    ("words", "help_at"),
    [
        (("status", "--nope"), "tfheal status --help"),
        (("deploy",), "tfheal deploy --help"),
        (("lab", "up", "--nope"), "tfheal lab up --help"),
        (("lab", "brek"), "tfheal lab --help"),
        (("stauts",), "tfheal --help"),
    ],
)
def test_mistake_of_usage_names_the_help_that_answers_it(words: tuple[str, ...], help_at: str) -> None:
    """Who mistypes an option is sent to the help of that command, not to the list of all commands."""
    assert f"do:  {help_at} " in ran(words, before=["-m", "tfheal"]).stderr
