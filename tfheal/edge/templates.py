"""Templates of playbooks: Jinja2 in its sandbox, where an undefined name is an error and nothing grows without end."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import SandboxedEnvironment

from tfheal.base.errors import ConfigError, Mistake
from tfheal.base.untrusted import line

MAX_OUTPUT: Final = 1_000_000
_PADDING: Final = frozenset({"center", "ljust", "rjust", "zfill", "format", "format_map", "expandtabs"})
_WIDE: Final = re.compile(r"%[^%a-zA-Z]*(\*|\d{3})")  # a text filled in with %, to a great or unknown width
MAX_STEPS: Final = 10_000  # of all ranges of one template together
# Names that Jinja2 gives to every template; `range` is ours, `lipsum` and the like are of no use here.
_GIVEN: Final = frozenset({"range", "dict", "namespace", "joiner", "cycler"})


class JinjaTemplates:
    """The template engine; safe to use from several threads."""

    def __init__(self) -> None:
        """Make the sandbox; what it compiled is kept, because many instances render the same templates."""
        self._sandbox = _Sandbox()
        self._compiled = lru_cache(maxsize=1_000)(self._sandbox.from_string)

    def render(self, source: str, values: Mapping[str, object], where: str) -> str:
        """Return the rendered text; raise ConfigError that names `where` and the line."""
        with _mapped(where):
            template = self._compiled(source)
            return _joined(template.generate({**values, "range": _Budget().range}))

    def names(self, source: str, where: str) -> tuple[tuple[str, int], ...]:
        """Return each name that a template uses, as `settings.port`, with its line; raise ConfigError as `render`."""
        with _mapped(where):
            tree = self._sandbox.parse(source)
            return tuple(dict.fromkeys(_uses(tree, find_undeclared_variables(tree) - _GIVEN)))


@contextlib.contextmanager
def _mapped(where: str) -> Iterator[None]:
    """Make every error of the library, and every one that a template provokes, one of ours."""
    try:
        yield
    except RecursionError as error:
        raise _refused(where, 1, "is nested too deeply for a template") from error
    except Exception as error:
        raise _refused(where, _line_of(error), _words_of(error)) from error


class _Sandbox(SandboxedEnvironment):
    """Refuses, beside what the sandbox refuses, texts and numbers that multiplication makes huge."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False, finalize=_said)
        self.filters = {name: made for name, made in self.filters.items() if name not in _PADDING}
        self.globals = {name: value for name, value in self.globals.items() if name in _GIVEN}

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401 (as in the library)
        """Return the result of an operator, if it stays small."""
        wide = operator == "%" and isinstance(left, str) and _WIDE.search(left)
        if operator == "**" or wide or (operator == "*" and _product_size(left, right) > MAX_OUTPUT):
            what = "a text or number that could grow too large"
            raise SecurityError(what)
        return super().call_binop(context, operator, left, right)

    def wrap_str_format(self, _value: Any) -> None:  # noqa: ANN401 (as in the library)
        """Return nothing: `format` is no method for templates, so it need not be made safe."""
        return

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:  # noqa: ANN401 (as in the library)
        """Return whether an attribute may be used: not private, and no method that pads a text to any width."""
        return attr not in _PADDING and super().is_safe_attribute(obj, attr, value)


class _Budget:
    """Counts what all ranges of one rendering yield, so that loops in loops end."""

    def __init__(self) -> None:
        self._left = MAX_STEPS

    def range(self, *limits: int) -> range:
        """Return the range, as long as the budget lasts."""
        steps = range(*limits)
        self._left -= len(steps)
        if self._left < 0:
            what = f"loops of more than {MAX_STEPS} steps"
            raise SecurityError(what)
        return steps


def _said(value: object) -> object:
    """Given what a template prints, return it; a value that is no text or number would print as Python writes it."""
    if value is None:
        what = "a value that is not set"
        raise jinja2.UndefinedError(what)
    if not isinstance(value, (str, int, float, jinja2.Undefined)):
        what = f"a {type(value).__name__} cannot be printed; print its parts, or join them with `|join(' ')`"
        raise jinja2.TemplateRuntimeError(what)
    return value


def _product_size(left: object, right: object) -> int:
    """Return how long the product of a text or list and a number is; two numbers make nothing long."""
    lengths = [len(value) for value in (left, right) if isinstance(value, (str, list, tuple))]
    times = [value for value in (left, right) if isinstance(value, int)]
    return lengths[0] * times[0] if lengths and times else 0


def _joined(parts: Any) -> str:  # noqa: ANN401 (a generator of the library)
    text: list[str] = []
    length = 0
    for part in parts:
        length += len(part)
        if length > MAX_OUTPUT:
            what = f"more than {MAX_OUTPUT // 1_000_000} MB of text"
            raise SecurityError(what)
        text.append(part)
    return "".join(text)


def _uses(tree: nodes.Template, free: set[str]) -> list[tuple[str, int]]:
    """Return the free names of a template, with the keys asked of them where these are written out."""
    found: list[tuple[str, int]] = []
    with_key: set[int] = set()
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        name, key = getattr(node, "node", None), _key(node)
        if isinstance(name, nodes.Name) and name.name in free and key:
            with_key.add(id(name))
            found.append((f"{name.name}.{key}", node.lineno))
    names = [name for name in tree.find_all(nodes.Name) if name.name in free and id(name) not in with_key]
    return found + [(name.name, name.lineno) for name in names]


def _key(node: nodes.Expr) -> str:
    if isinstance(node, nodes.Getattr):
        return node.attr
    asked = node.arg if isinstance(node, nodes.Getitem) else None
    return asked.value if isinstance(asked, nodes.Const) and isinstance(asked.value, str) else ""


def _line_of(error: Exception) -> int:
    """Return the line of the template in which an error arose, found by the frames that carry its name."""
    number = getattr(error, "lineno", None) or 1
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            number = trace.tb_lineno
        trace = trace.tb_next
    return number


def _words_of(error: Exception) -> str:
    said = line(str(error), 200)
    match error:
        case jinja2.TemplateSyntaxError():
            return f"is not a valid template: {said}"
        case SecurityError():
            return f"does what templates may not do: {said}"
        case jinja2.UndefinedError():
            name = re.fullmatch(r"'([^']+)' is undefined", said)
            missing = re.fullmatch(r"'dict object' has no attribute '([^']+)'", said)
            known = name or missing
            return f"uses {known[1]}, which is not defined" if known else f"uses {said}"
        case _:
            return f"cannot be rendered: {said}"


def _refused(where: str, number: int, what: str) -> ConfigError:
    return ConfigError((Mistake(where, number, 1, "", what),))
