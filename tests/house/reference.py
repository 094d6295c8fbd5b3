"""The README's list of commands is written by the program itself: `python tests/house/reference.py` writes it anew."""

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

README = ROOT / "README.md"
BEGIN = "<!-- commands: written by tests/house/reference.py -->\n"
END = "<!-- end of commands -->\n"


def reference() -> str:
    """Return all commands with what they do, and each option with what it is for; those of all commands once."""
    groups = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    parts = [_shared()]
    for name, command in every_command().items():
        if len(name) > 1 and f"\n#### `tfheal {name[0]}" not in "".join(parts):
            parts.append(f"\n#### `tfheal {name[0]}`: {_sentence(groups[name[0]].help)}\n")
        parts.append(_entry(name, command))
    return "".join(parts)


def inside(readme: str) -> str:
    """Return what stands in the README between the two marks."""
    return readme.partition(BEGIN)[2].partition(END)[0]


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
    found = {}
    for command in every_command().values():
        found |= {param.opts[0]: param for param in command.params if param.opts[0] in SHARED}
    said = {option: f"`{_written(found[option])}` {_sentence(found[option].help)}" for option in SHARED}
    variable = f" Or the variable `{found['--workspace'].envvar}`; else the nearest folder upwards that is one."
    return "".join(f"- {words}{variable if option == '--workspace' else ''}\n" for option, words in said.items())


def _written(param: Any) -> str:  # noqa: ANN401
    if not param.opts[0].startswith("-"):
        return name_of(param)
    flag = param.type_descriptor.annotation is bool
    return ", ".join(param.opts) + ("" if flag else f" {param.metavar or _kind(param)}")


def _kind(param: Any) -> str:  # noqa: ANN401
    number = param.type_descriptor.annotation in {int, float}
    return "NUMBER" if number else "TEXT"


def _default(param: Any) -> str:  # noqa: ANN401
    said = param.default in (None, False, "", ()) or "default" in param.help.lower()
    shown = f"{param.default:g}" if isinstance(param.default, float) else str(param.default)
    return "" if said or callable(param.default) else f" Default: `{shown}`."


def _sentence(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    before, _, rest = README.read_text().partition(BEGIN)
    README.write_text(before + BEGIN + reference() + END + rest.partition(END)[2])
