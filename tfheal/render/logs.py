"""Log lines in words."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from tfheal.model.results import LogLines


def logs_words(found: Sequence[LogLines]) -> RenderableType:
    """Given log lines by instance, return them for people, each under its head."""
    parts: list[RenderableType] = []
    for entry in found:
        parts.append(Text(entry.instance, style="bold"))
        parts.append(Text(entry.error, style="magenta") if entry.error else Text(entry.text.rstrip("\n")))
    return Group(*parts)


def logs_document(found: Sequence[LogLines]) -> dict[str, object]:
    """Given log lines by instance, return them as scripts read them: schema tfheal/logs/1."""
    return {
        "instances": [
            {"instance": entry.instance, "lines": {"unknown": entry.error} if entry.error else entry.text.splitlines()}
            for entry in found
        ]
    }
