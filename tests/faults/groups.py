"""Which rows share slices: each group is one run of pytest with labs of its own, and several run at one time."""

import sys
from typing import Final

import pytest

# Those that take longest come first.
GROUPS: Final = (
    *("crm-web-0", "crm-web-1", "crm-web-2", "peers-0", "peers-1", "peers-2", "crm-db-0", "crm-db-1"),
    *("files-web-0", "files-web-1", "files-web-2", "two-crm", "two-files", "flapping", "restraint", "storm"),
)


def group(name: str) -> pytest.MarkDecorator:
    """Return the mark of a group."""
    assert name in GROUPS, name
    return pytest.mark.group(name=name)


def one_of(begin: str, number: int) -> pytest.MarkDecorator:
    """Return the mark of one of the groups whose names begin so, each in its turn."""
    those = sorted(name for name in GROUPS if name.startswith(begin))
    return group(those[number % len(those)])


if __name__ == "__main__":
    sys.stdout.write("".join(f"{name}\n" for name in GROUPS))
