"""The README is the manual of whoever reads nothing else: what it names exists, and what exists is named."""

import re
import shlex
from collections.abc import Iterator
from typing import get_args

from commands import every_command, options_of
from kept import ROOT, modules, project
from reference import renewed

from tfheal.base.exits import PRECEDENCE
from tfheal.model.findings import Cause
from tfheal.model.playbook import SHIPPED_LADDER

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```\w*\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
TELLS = re.compile(r'\b(?:_?tell|tell_json|give)\(\s*"([a-z-]+)"')


def written_commands() -> Iterator[list[str]]:
    """Yield the words of each command of ours that a block of the README shows, comments left out."""
    for line in "\n".join(BLOCKS).splitlines():
        shown = re.match(r"(?:[$#] )?(?:\S+ && )*(?:\S*/)?tfheal ((?:[a-z-].*))$", line)
        if shown and not line.startswith("# "):
            yield shlex.split(re.split(r";|&&| #|\|| >", shown[1])[0])


def test_two_lines_are_enough() -> None:
    """The first block holds two lines: one that shows the product at work, one that runs the tests."""
    demo, tests = BLOCKS[0].splitlines()
    assert demo.startswith("apt-get update && apt-get install -y python3-venv")
    assert demo.endswith("tfheal demo --yes")
    assert tests == "bash tests/run"


def test_every_command_and_fault_is_described() -> None:
    """The lists are what the program says of itself; `python tests/house/reference.py` writes them anew."""
    assert README.splitlines() == renewed(README).splitlines()


def test_every_command_that_is_shown_exists() -> None:
    """Each command in a block is one of ours, with options that it has."""
    shown = list(written_commands())
    assert len(shown) > 10
    known = every_command()
    for words in shown:
        name = tuple(words[:2]) if tuple(words[:2]) in known else tuple(words[:1])
        assert name in known, words
        ours = words[: words.index("--")] if "--" in words else words
        options = {word.partition("=")[0] for word in ours if re.match(r"--\w", word)}
        assert options - set(options_of(known[name])) == set(), words


def test_every_exit_code_is_described() -> None:
    """The table has a row for each code, the one that wins first."""
    rows = [int(code) for code in re.findall(r"^\| (\d+) \|", README, flags=re.MULTILINE)]
    assert rows == [code.value for code in PRECEDENCE]


def test_every_document_is_described() -> None:
    """The table of JSON documents has a row for each schema."""
    sources = "".join(path.read_text() for path in modules("tfheal/cli"))
    names = {*TELLS.findall(sources), "page"}
    rows = set(re.findall(r"^\| `tfheal/([a-z-]+)/1` \|", README, flags=re.MULTILINE))
    assert rows == names


def test_every_dependency_has_its_reason() -> None:
    """Each dependency is listed with what it is for."""
    needed = {re.split(r"[><=;\[ ]", line)[0] for line in project()["project"]["dependencies"]}
    rows = dict(re.findall(r"^\| \[?`([\w-]+)`\S* \| (.+) \|$", README, flags=re.MULTILINE))
    assert needed - set(rows) == set()


def test_every_rung_and_cause_is_named() -> None:
    """The remedies are described, and so is what becomes of each cause."""
    assert [word for word in (*SHIPPED_LADDER, *get_args(Cause)) if f"`{word}`" not in README] == []


def test_links_lead_somewhere() -> None:
    """A link into the repository or into the page itself has its target."""
    heads = {
        re.sub(r"[^\w -]", "", line.lower()).strip().replace(" ", "-")
        for line in re.findall(r"^#+ (.*)$", README, flags=re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            assert target[1:] in heads, target
        elif "://" not in target:
            assert (ROOT / target).exists(), target
