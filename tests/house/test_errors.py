"""The tree of errors is as it is drawn: every class, below its parent, with its exit code."""

import inspect
import re

from tfheal.base import errors
from tfheal.base.errors import TfhealError
from tfheal.base.exits import PRECEDENCE, Exit
from tfheal.core.topics import EXIT_CODES

_LINE = re.compile(r"^(?P<lead>[│├└─ ]*)(?P<name>[A-Z]\w+) +(?:exit|(?P<exit>\d+))?", re.MULTILINE)


def drawn() -> dict[str, tuple[str, int | None]]:
    """Return the classes of the drawing, each with its parent and its exit code, if one is written."""
    found: dict[str, tuple[str, int | None]] = {}
    above: list[str] = []
    for line in _LINE.finditer((inspect.getdoc(errors) or "").partition("\n\n")[2]):
        depth = len(line["lead"]) // 4
        above[depth:] = [line["name"]]
        found[line["name"]] = (above[depth - 1] if depth else "Exception", int(line["exit"]) if line["exit"] else None)
    return found


def classes() -> dict[str, type[TfhealError]]:
    """Return the classes of the module."""
    return {
        name: each for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, TfhealError)
    }


def test_every_class_is_in_the_tree() -> None:
    """What is drawn is there, what is there is drawn, each below the class that it is drawn below."""
    parents = {name: each.__bases__[0].__name__ for name, each in classes().items()}
    assert {name: parent for name, (parent, _) in drawn().items()} == parents


def test_every_exit_code_is_in_the_tree() -> None:
    """A class ends with the exit code that is drawn beside it, else with its parent's."""
    for name, (parent, code) in drawn().items():
        inherited = classes()[parent].exit if parent in classes() else Exit.FAILED
        assert classes()[name].exit == (inherited if code is None else code), name


def test_every_class_says_what_it_is() -> None:
    """Each error has a docstring of its own."""
    assert [name for name, each in classes().items() if not each.__doc__] == []


def test_every_exit_code_has_its_place_and_its_words() -> None:
    """Each code has a rank among the others, and a line in the manual."""
    assert set(PRECEDENCE) == set(Exit)
    assert [code.value for code in PRECEDENCE] == list(EXIT_CODES)
