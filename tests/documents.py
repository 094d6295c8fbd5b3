"""What tfheal says to scripts, asked as a script does."""

import json
from typing import Any

from running_lab import RunningLab


def document(shop: RunningLab, *words: str, check: int | None = 0) -> dict[str, Any]:
    """Run a command with --json, demand its exit code unless `check` is None, and return its one document."""
    ran = shop.run(*words, "--json", check=check)
    said = dict(json.loads(ran.stdout))
    assert said["exit"] == ran.returncode
    return said


def actions(healed: dict[str, Any]) -> list[tuple[str, str]]:
    """Given what heal said, return its actions as rung and outcome."""
    return [(one["rung"], one["outcome"]) for incident in healed["incidents"] for one in incident["actions"]]


def findings(seen: dict[str, Any]) -> set[str]:
    """Given what status said, return the names of its findings."""
    return {finding["finding"] for finding in seen["findings"]}
