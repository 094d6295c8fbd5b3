"""Who can open a repository: the provider by its password, and the owner by one that only the owner has.

Keys are made and removed on the store, where no slice that was broken into can lie about them.
"""

import json
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from tfheal.base import sh
from tfheal.base.errors import BadReply
from tfheal.core.backup.job import OPEN, REACH, Task

OWNER: Final = "owner"  # restic's word for whose key it is; the provider's bears the name of who ran `init`
LIST: Final = "list"
PROVE: Final = "prove"
_ADD: Final = """\
r key add --new-password-file "$CREDENTIALS_DIRECTORY/owner" --user owner --host HOST >&2 && owned keys
"""
# A key counts once it has opened the repository.
_PROVE: Final = """\
RESTIC_PASSWORD_FILE="$CREDENTIALS_DIRECTORY/owner"
r cat config >/dev/null
"""


class Key(BaseModel):
    """One key of a repository, as restic lists it: a current one is the one that is asking."""

    model_config = ConfigDict(strict=True, frozen=True)

    id: str = Field(pattern=r"^[0-9a-f]{8,64}$")
    current: bool
    user: str = Field(alias="userName")


_KEYS: Final = TypeAdapter(list[Key])


def list_tasks() -> tuple[Task, ...]:
    """Return the tasks that list the keys of a repository."""
    return (REACH, OPEN, Task(LIST, "r key list"))


def owners(out: str) -> tuple[str, ...]:
    """Given the list of keys, return the ids of the owner's; raise BadReply if it cannot be read."""
    try:
        found = _KEYS.validate_python(json.loads(out))
    except (ValueError, RecursionError, ValidationError) as error:
        raise BadReply("the list of keys cannot be read") from error
    return tuple(key.id for key in found if key.user == OWNER and not key.current)


def add_tasks(app: str, former: tuple[str, ...]) -> tuple[Task, ...]:
    """Given an app and the ids of the owner's former keys, return the tasks that make a new one, try it, and remove them."""
    removals = (Task(f"remove {key}", f"r key remove {sh.quote(key)} >&2", needed=True) for key in former)
    add = Task("add", _ADD.replace("HOST", sh.quote(app)), needed=True)
    return (REACH, OPEN, add, Task(PROVE, _PROVE, needed=True), *removals)
