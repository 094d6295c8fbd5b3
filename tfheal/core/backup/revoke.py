"""The provider goes: what the owner does by hand, and how it is proven that nothing of ours opens the backups any more.

To remove a key from a repository does not change its master key, which every key that ever opened it could have told. So
the owner copies everything into a new repository, under a password that we never see, and puts it in place of the old.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from tfheal.base import sh
from tfheal.base.moments import rfc3339
from tfheal.core.backup.job import REACH, Task
from tfheal.core.backup.sheet import SFTP, Chest, Facts, location
from tfheal.model.backup import Backup

TRY: Final = "try"
WRONG_PASSWORD: Final = 12  # restic's exit status
_HEAD: Final = """\
HOW THE PROVIDER LOSES THE BACKUPS of the app {app}, for its owner {owner}

Do this where you followed the recovery sheet, in the same folder: the commands need the files with the passwords that it
made (and no provider is to have a login on that machine). The new passwords are made there, and nobody else sees them.
"""
_FIRST: Final = """\

    umask 077
    {sftp}
"""
_COPIES: Final = """\

The copies, on the second store {store}: do this where you followed their sheet, in its folder.

    umask 077
    {sftp}
"""
_CHEST: Final = """\

The data of {app} on {slice}: copied, read whole, and only then put in the place of the former repository.

    [ -s password-{slice} ] && head -c 32 /dev/urandom | base64 >new-password-{slice} &&
    restic -o "$store" -r {new} -p new-password-{slice} init --from-repo {old} --from-password-file password-{slice} --copy-chunker-params &&
    restic -o "$store" -r {new} -p new-password-{slice} copy --from-repo {old} --from-password-file password-{slice} &&
    restic -o "$store" -r {new} -p new-password-{slice} check --read-data &&
    ssh -p {port} -o HostKeyAlias=store -o UserKnownHostsFile="$PWD/known_hosts" -o StrictHostKeyChecking=yes {login} {swap}
"""
_TAIL: Final = """\

Then have the provider run `tfheal backup revoke-provider {app}` once more: it tries every password that it held, and
deletes them. Last, take its SSH keys from /root/.ssh/authorized_keys of your machines.

What the provider could have kept: the master key of the former repository, and with it whatever it copied of that before
you deleted it here. It never had a key to the new one. It reads what is live for as long as it has a login.

A copy has new ids and times. `restic snapshots --json` has the former id of each as `original`; by it you find here when
we heard of it, by our own clock, and what it was:

"""


def tries() -> tuple[Task, ...]:
    """Return the tasks that try whether a password opens a repository."""
    return (REACH, Task(TRY, "r cat config >/dev/null"))


def guide(stores: Sequence[Facts], known: Iterable[Backup]) -> str:
    """Given what the sheet of each store was about and the backups, return what the owner does; indented lines are commands."""
    words = {"app": stores[0].app, "owner": stores[0].owner}
    return "".join([_HEAD.format(**words), *map(_store, stores), _TAIL.format(**words), *_times(known)])


def _store(facts: Facts) -> str:
    head = (_COPIES if facts.copies else _FIRST).format(store=facts.store.name, sftp=SFTP)
    return "".join([head, *(_chest(facts, one) for one in facts.chests)])


def _chest(facts: Facts, chest: Chest) -> str:
    new = f"{chest.folder}.new"
    swap = f"{sh.join('rm', '-rf', chest.folder)} && {sh.join('mv', new, chest.folder)}"
    return _CHEST.format(
        app=facts.app,
        slice=chest.slice,
        old=sh.quote(location(facts.store, chest.folder)),
        new=sh.quote(location(facts.store, new)),
        port=facts.store.port or 22,
        login=sh.quote(f"root@{facts.store.address}"),
        swap=sh.quote(swap),
    )


def _times(known: Iterable[Backup]) -> Iterator[str]:
    for backup in known:
        for part in backup.parts:
            if part.snapshot and backup.received:
                yield f"{part.snapshot}  {rfc3339(backup.received)}  {part.state}  {part.name}\n"
