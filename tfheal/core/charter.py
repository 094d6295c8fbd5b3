"""What the owner forbids and allows, in a file of their own on the slice. Who cannot read it does nothing.

`forbid = ["patch"]` takes away what is allowed else; `allow = ["data-leaves"]` gives what is forbidden else.
"""

import tomllib
from collections.abc import Collection
from typing import Final

DATA_LEAVES: Final = "data-leaves"  # data of the owner may be on machines that are not theirs, for a drill
_UNREAD: Final = "the owner's charter cannot be read"


def forbids(written: str, word: str) -> str:
    """Given the text of a charter (empty: there is none) and a word for an action, return why it is forbidden, or nothing."""
    said = _list(written, "forbid")
    return said if isinstance(said, str) else f"the owner's charter forbids {word}" if word in said else ""


def withholds(written: str, word: str) -> str:
    """Given the text of a charter (empty: there is none) and a word, return why that is not allowed, or nothing."""
    said = _list(written, "allow")
    return said if isinstance(said, str) else "" if word in said else f"the owner's charter does not allow {word}"


def _list(written: str, key: str) -> Collection[str] | str:
    """Return the words of a list in a charter, or in one string why they are not known."""
    try:
        said = tomllib.loads(written).get(key, [])
    except (ValueError, RecursionError):  # also a number of thousands of digits, and lists in lists in lists
        return _UNREAD
    return (
        tuple(one for one in said if isinstance(one, str))
        if isinstance(said, list)
        else f"the owner's charter has a `{key}` that is no list"
    )
