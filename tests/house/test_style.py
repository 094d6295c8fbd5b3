"""The style of the house: the tools are content, every exception has its reason, everything is small and says why."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from kept import ROOT, modules, named
from tools import checked

LONGEST_MODULE = 400
LONGEST_FUNCTION = 50
LONGEST_COMMAND = 25
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "manager", "misc", "common", "base_classes"}
Function = ast.FunctionDef | ast.AsyncFunctionDef

PACKAGE = modules("tfheal")
EVERY = modules()


def functions(path: Path) -> Iterator[Function]:
    """Yield the functions and methods of a module."""
    yield from (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, Function))


def length(function: Function) -> int:
    """Return how many lines the body of a function has, its docstring and its signature left out."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_ruff_is_content() -> None:
    """Every rule of ruff holds, but for the exceptions that pyproject names."""
    checked("ruff", "check", "--no-cache", ".")


def test_everything_is_formatted() -> None:
    """What the formatter would change is changed already."""
    checked("ruff", "format", "--check", "--no-cache", ".")


def test_types_hold() -> None:
    """Strict types hold in the whole package, and tests name only what is there."""
    checked("mypy")


def test_every_exception_has_its_reason() -> None:
    """What a linter or type checker is told to overlook is said with a reason on the same line."""
    sections = re.split(r"^(?=\[)", (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)
    ours = [text for text in sections if text.startswith(("[tool.ruff.lint]", "[tool.ruff.lint.per-file"))]
    lists = re.findall(r"^\S.* = \[(?:.*\]|\n(?:.*\n)*?\]).*$", "".join(ours), flags=re.MULTILINE)
    entries = [line for each in lists for line in each.splitlines() if '"' in line and not line.endswith("= [")]
    bare = [line for line in entries if "#" not in line and "select = " not in line]
    assert len(entries) > 20
    assert bare == []


def test_strict_means_strict() -> None:
    """Nobody turns the tools down: all rules of ruff, all strictness of mypy, warnings are errors."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert tools["ruff"]["lint"]["select"] == ["ALL"]
    assert tools["mypy"]["strict"] is True
    assert tools["pytest"]["ini_options"]["filterwarnings"] == ["error"]


def test_modules_are_small() -> None:
    """A module has at most 400 lines."""
    lengths = {named(path): len(path.read_text().splitlines()) for path in EVERY}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE} == {}


def test_modules_say_why_they_exist() -> None:
    """A module opens with a docstring."""
    assert [named(path) for path in EVERY if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_functions_are_short() -> None:
    """A function has at most 50 lines."""
    assert longer_than(LONGEST_FUNCTION, EVERY) == []


def test_commands_are_thin() -> None:
    """A command has at most 25 lines: what it does is a flow."""
    assert longer_than(LONGEST_COMMAND, [path for path in modules("tfheal/cli") if "wiring" not in path.stem]) == []


def test_names_say_something() -> None:
    """No module and no folder has a name under which anything could be put."""
    parts = {named(path): path.relative_to(ROOT).with_suffix("").parts for path in EVERY}
    assert [name for name, words in parts.items() if EMPTY_NAMES & {*words}] == []


def test_tests_say_what_they_show() -> None:
    """Every test has a docstring."""
    tests = [(path, each) for path in EVERY for each in functions(path) if path.name.startswith("test_")]
    silent = [(named(path), each.name) for path, each in tests if not ast.get_docstring(each)]
    assert [(path, name) for path, name in silent if name.startswith("test_")] == []


def test_nothing_happens_at_import() -> None:
    """A module defines: it calls nothing for its effect, and it keeps nothing that can change."""
    found = [(named(path), node) for path in PACKAGE for node in ast.parse(path.read_text()).body if acts(node)]
    assert [f"{name}:{node.lineno}  {ast.unparse(node)[:60]}" for name, node in found] == []


def longer_than(most: int, paths: list[Path]) -> list[str]:
    """Return the functions that are longer than they may be."""
    lengths = [(path, each, length(each)) for path in paths for each in functions(path)]
    return [
        f"{named(path)}:{each.lineno}  {each.name} has {lines} lines" for path, each, lines in lengths if lines > most
    ]


def acts(node: ast.stmt) -> bool:
    """Return whether a statement at the top of a module acts, or makes a list, dictionary or set that can change."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call) and "app." not in ast.unparse(node.value.func)
    if isinstance(node, ast.For | ast.While | ast.With):
        return "app.command" not in ast.unparse(node)
    if isinstance(node, ast.Assign):  # what is said to be Final is not changed: mypy sees to that
        return isinstance(node.value, ast.List | ast.Dict | ast.Set) and ast.unparse(node.targets[0]) != "__all__"
    return False
