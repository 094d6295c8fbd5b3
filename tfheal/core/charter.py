"""What the owner forbids, in a file of their own on the slice: `forbid = ["patch"]`. Who cannot read it does nothing."""

import tomllib


def forbids(written: str, word: str) -> str:
    """Given the text of a charter (empty: there is none) and a word for an action, return why it is forbidden, or nothing."""
    try:
        said = tomllib.loads(written).get("forbid", [])
    except tomllib.TOMLDecodeError:
        return "the owner's charter cannot be read"
    if not isinstance(said, list):
        return "the owner's charter has a `forbid` that is no list"
    return f"the owner's charter forbids {word}" if word in said else ""
