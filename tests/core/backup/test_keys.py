"""The owner's key: who has which key is read from restic's list, and a former one goes only after the new one opened."""

import json

import pytest

from tfheal.base.errors import BadReply
from tfheal.core.backup import keys


def listed(*found: dict[str, object]) -> str:
    """Return a list of keys as restic 0.18 writes it."""
    return json.dumps([{"hostName": "s1", "created": "2026-03-04 12:00:00", **one} for one in found])


def test_the_keys_of_the_owner_are_known() -> None:
    """A key is the owner's by restic's own word for whose it is; the one that asks is never taken for it."""
    ours = {"id": "0" * 8, "current": True, "userName": "owner"}
    theirs = {"id": "1" * 8, "current": False, "userName": "owner"}
    other = {"id": "2" * 8, "current": False, "userName": "root"}
    assert keys.owners(listed(ours, theirs, other)) == ("1" * 8,)
    assert keys.owners("[]") == ()


@pytest.mark.parametrize("out", ["", "{}", "[", '[{"id": "../x", "current": false, "userName": "owner"}]'])
def test_a_list_that_cannot_be_read_is_none(out: str) -> None:
    """What is no list of keys is refused, and no id of another form gets into a script."""
    with pytest.raises(BadReply):
        keys.owners(out)


def test_a_former_key_goes_last() -> None:
    """The new key is made, then tried, then the former ones are removed; each only if all before it did well."""
    tasks = keys.add_tasks("files", ("1" * 8, "2" * 8))
    assert [task.name for task in tasks][2:] == ["add", keys.PROVE, f"remove {'1' * 8}", f"remove {'2' * 8}"]
    assert all(task.needed for task in tasks)
