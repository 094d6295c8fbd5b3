"""Errors in words: what, where, why and what to do; and the same for scripts."""

from tfheal.base.errors import ConfigError, Mistake, TfhealError


def error_lines(error: TfhealError) -> list[str]:
    """Given an error, return its parts as lines; mistakes in files one line each, ordered by file and place."""
    if isinstance(error, ConfigError):
        lines = [_mistake(mistake) for mistake in error.mistakes]
        return [*lines, f"{error.what}; nothing was touched"]
    lines = [f"error: {error.where + ': ' if error.where else ''}{error.what}"]
    if error.why:
        lines.append(f"  why: {error.why}")
    if error.hint:
        lines.append(f"  do:  {error.hint}")
    return lines


def error_document(error: TfhealError) -> dict[str, object]:
    """Given an error, return it as scripts read it."""
    document: dict[str, object] = {"what": error.what, "where": error.where, "why": error.why, "do": error.hint}
    if isinstance(error, ConfigError):
        document["mistakes"] = [
            {
                "file": mistake.file,
                "line": mistake.line,
                "column": mistake.column,
                "key": mistake.key,
                "what": mistake.what,
                "do": mistake.hint,
            }
            for mistake in error.mistakes
        ]
    return {"error": document}


def _mistake(mistake: Mistake) -> str:
    key = f" {mistake.key}:" if mistake.key else ""
    hint = f" ({mistake.hint})" if mistake.hint else ""
    return f"{mistake.file}:{mistake.line}:{mistake.column}:{key} {mistake.what}{hint}"
