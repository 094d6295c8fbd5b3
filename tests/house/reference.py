"""The README's lists come from the program itself: `python tests/house/reference.py` writes them."""

import inspect
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

import typer
from commands import SHARED, every_command, name_of, options_of
from kept import ROOT

from tfheal.cli.main import app
from tfheal.core.manual import explained
from tfheal.lab.breaking import Faults

README = ROOT / "README.md"


def renewed(readme: str) -> str:
    """Given the text of the README, return it with its lists as they should be."""
    for name, written in {"commands": reference(), "faults": faults(), "topics": topics()}.items():
        begin, end = f"<!-- {name}: written by tests/house/reference.py -->\n", f"<!-- end of {name} -->\n"
        before, _, rest = readme.partition(begin)
        readme = before + begin + written + end + rest.partition(end)[2]
    return readme


def reference() -> str:
    """Return all commands with what they do, and each option with what it is for; those of all commands once."""
    groups = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    parts = [_shared()]
    for name, command in every_command().items():
        if len(name) > 1 and f"\n#### `tfheal {name[0]}" not in "".join(parts):
            parts.append(f"\n#### `tfheal {name[0]}`: {_sentence(groups[name[0]].help)}\n")
        parts.append(_entry(name, command))
    return "".join(parts)


def faults() -> str:
    """Return a table of all faults that can be put into a slice."""
    kinds = Faults(Silent()).kinds()
    return "| fault | what it does |\n|---|---|\n" + "".join(f"| `{kind.name}` | {kind.does} |\n" for kind in kinds)


def topics() -> str:
    """Return the contents of the manual."""
    return f"```text\n{explained(None)}\n```\n"


class Silent:
    """A reporter that tells nothing."""

    def say(self, message: str) -> None:
        """Tell nothing."""

    def step(self, where: str, what: str, done: int = 0, total: int = 0) -> None:
        """Tell nothing."""


def _entry(name: tuple[str, ...], command: Any) -> str:  # noqa: ANN401
    options = options_of(command)
    arguments = "".join(f" {_bracketed(param)}" for param in command.params if not param.opts[0].startswith("-"))
    lines = [f"\n**`tfheal {' '.join(name)}{arguments}`** {inspect.getdoc(command.callback)}\n\n"]
    lines += [
        f"- `{_written(param)}` {_sentence(param.help)}{_default(param)}\n"
        for param in command.params
        if param.name != "help" and param.opts[0] not in SHARED
    ]
    shared = [f"`{option}`" for option in SHARED if option in options]
    lines += [f"- also {', '.join(shared)}\n"] if shared else []
    return "".join(lines)


def _bracketed(param: Any) -> str:  # noqa: ANN401
    written = name_of(param)
    return written if param.required or written.startswith("[") else f"[{written}]"


def _shared() -> str:
    found: dict[str, Any] = {}
    for command in every_command().values():
        found |= {param.opts[0]: param for param in command.params if param.opts[0] in SHARED}
    said = {option: f"`{_written(found[option])}` {_sentence(found[option].help)}" for option in SHARED}
    variable = f" Or the variable `{found['--workspace'].envvar}`; else the nearest folder upwards that is one."
    return "".join(f"- {words}{variable if option == '--workspace' else ''}\n" for option, words in said.items())


def _written(param: Any) -> str:  # noqa: ANN401
    if not param.opts[0].startswith("-"):
        return name_of(param)
    flag = param.type_descriptor.annotation is bool
    spelled = ", ".join(param.opts) + "".join(f" / {option}" for option in param.secondary_opts)
    return spelled + ("" if flag else f" {param.metavar or _kind(param)}")


def _kind(param: Any) -> str:  # noqa: ANN401
    number = param.type_descriptor.annotation in {int, float}
    return "NUMBER" if number else "TEXT"


def _default(param: Any) -> str:  # noqa: ANN401
    said = param.default in (None, False, "", ()) or "default" in param.help.lower()
    if param.secondary_opts:
        return f" Default: `{(param.opts if param.default else param.secondary_opts)[0]}`."
    shown = f"{param.default:g}" if isinstance(param.default, float) else str(param.default)
    return "" if said or callable(param.default) else f" Default: `{shown}`."


def _sentence(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    README.write_text(renewed(README.read_text()))
