"""The recovery sheet: how the owner gets everything back with plain restic, without tfheal and without us.

It is text to read, and its indented lines are commands that a shell runs as they stand: a test does so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tfheal.base import sh
from tfheal.base.moments import rfc3339
from tfheal.core.backup import by_hand
from tfheal.core.backup.capture import Source
from tfheal.model.backup import STORE
from tfheal.model.inventory import Slice

SFTP: Final = (
    'store="sftp.args=-o HostKeyAlias=store -o UserKnownHostsFile=$PWD/known_hosts -o StrictHostKeyChecking=yes"'
)
_HEAD: Final = """\
RECOVERY SHEET of the app {app}, for its owner {owner}
made {made} by {provider}
{copies}
Keep it where neither the provider nor your machines can lose it. Who has it, and a way to the store, reads all your data.
The backups are ordinary restic repositories {kept}. Each opens by the password below, which
the provider does not keep. tfheal is not needed.

Do this on any Linux machine {machine}, in an empty folder with enough room.
The indented lines are commands of a shell; the text between them is for you.

1. restic 0.17 or newer (Debian 13 has it), and how {store} is reached.{needs}

    command -v restic >/dev/null || apt-get install -y restic
    umask 077
    printf '%s\\n' {pins} >known_hosts
    {sftp}
"""
_COPIES: Final = """
This sheet is of the copies, on the second store {store}: they serve when the first store is lost, and are as new as the
last copying.
"""
_CHEST: Final = """
{number}. The data of {app} on {slice}: the password, what there is, and all of it into ./restored/{slice}.

    printf '%s\\n' {password} >password-{slice}
    export RESTIC_PASSWORD_FILE="$PWD/password-{slice}" RESTIC_REPOSITORY={url}
    restic -o "$store" snapshots
"""
_TAIL: Final = """
Good to know
- `latest` is the newest by the clock of the machine that was backed up. For an earlier one, or if that machine was broken
  into, look at the list and write the id of a snapshot in place of `latest`.
- As root, files come back with their owners by number. Put them where they were, at the paths under ./restored/SLICE.
- `restic -o "$store" check --read-data` reads everything that is stored and says whether it is whole.
{folders}- The provider has keys of its own to the same repositories. A key that is removed may have been copied before: whoever
  wants the provider out for good copies everything into a new repository: `tfheal backup revoke-provider` says how.
- A lost or shown password: `tfheal backup owner-key {app} --new` makes another, and this one opens nothing any more.
"""


@dataclass(frozen=True, slots=True)
class Chest:
    """One repository as its owner meets it: whose data, in which folder of the store, by which password."""

    slice: str
    folder: str
    password: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a sheet is about: the app, its store with the pinned host keys, and the repositories there.

    Where the store is no slice it has an `address`, and `needs` variables that its owner has. It may be the store of `copies`.
    """

    app: str
    owner: str
    provider: str
    made: datetime
    store: Slice
    pins: tuple[str, ...]
    chests: tuple[Chest, ...]
    address: str = ""
    needs: tuple[str, ...] = ()
    copies: bool = False


def sheet(facts: Facts) -> str:
    """Given what it is about, return the sheet: text whose lines with four spaces in front are commands."""
    store = facts.address or facts.store.name
    words = {"app": facts.app, "owner": facts.owner, "provider": facts.provider, "store": store}
    pins = sh.join(*(f"{STORE} {pin}" for pin in facts.pins))
    copies = _COPIES.format(store=store) if facts.copies else ""
    told = {"made": rfc3339(facts.made), "pins": pins, "sftp": SFTP, "copies": copies}
    parts = [_HEAD.format(**told, **words, **_whereabouts(facts, store))]
    parts += ["".join(_chest(facts, number, one)) for number, one in enumerate(facts.chests, start=2)]
    folders = ", ".join(one.folder for one in facts.chests)
    where = "" if facts.address else f"- On {store} itself the repositories are the folders {folders}.\n"
    return "".join([*parts, _TAIL.format(folders=where, **words)])


def _whereabouts(facts: Facts, store: str) -> dict[str, str]:
    """Return how a sheet says where the repositories are, from where they are reached, and what that needs."""
    if not facts.address:
        machine = f"whose root may log in as root on {store} by SSH"
        return {"kept": f"on {store}, a machine of yours", "machine": machine, "needs": ""}
    needs = (
        f"\n   First tell restic what you were given for it, by `export`: {', '.join(facts.needs)}."
        if facts.needs
        else ""
    )
    return {"kept": f"at {store}", "machine": "from which that is reached", "needs": needs}


def place(facts: Facts, chest: Chest) -> str:
    """Given what a sheet is about and one of its repositories, return restic's address of it, as its owner reaches it."""
    return chest.folder if facts.address else location(facts.store, chest.folder)


def location(store: Slice, folder: str) -> str:
    """Given a store and a folder on it, return restic's address of that repository, as root of any machine reaches it."""
    host = f"[{store.address}]" if ":" in store.address else store.address
    return f"sftp://root@{host}:{store.port or 22}/{folder}"


def _chest(facts: Facts, number: int, chest: Chest) -> Iterator[str]:
    yield _CHEST.format(
        app=facts.app,
        number=number,
        slice=chest.slice,
        password=sh.quote(chest.password),
        url=sh.quote(place(facts, chest)),
    )
    for source in chest.sources:
        which = sh.join(*(word for path in source.paths for word in ("--path", path)))
        yield f'    restic -o "$store" restore latest {which} --target restored/{chest.slice}\n'
    for source in chest.sources:
        if source.put_back:
            yield f"\n{source.paths[0]} is {source.put_back}.\n"
        elif source.command:
            lines = "".join(f"| {line}\n" for line in source.command.strip().splitlines())
            yield f"\n{source.paths[0]} is what this wrote:\n{lines}"
        if source.base:
            yield by_hand.replay(source.base, source.paths[0], facts.app, chest.slice)
