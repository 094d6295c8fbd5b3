"""The stories of `tfheal slice`: a machine is looked at, trusted and listed; or trusted anew; or forgotten."""

import re
import secrets
from typing import Final

from tfheal.base.errors import ConfigError, HostKeyMismatch, Refused, UsageError
from tfheal.core.mistakes import checked, nearest
from tfheal.core.probe import platform as probe
from tfheal.core.probe.script import answers, composed
from tfheal.model.document import Document
from tfheal.model.inventory import Inventory, Slice
from tfheal.model.names import NAME_PATTERN
from tfheal.model.ports import Exec, HostKeys, HostKeyScan, InventoryBook, SlicePorts
from tfheal.model.slices import Added, Login, Platform, Trusted, Wanted
from tfheal.model.ssh import fingerprint
from tfheal.model.workspace import Workspace

_ANSWER_SECONDS: Final = 30.0
_ANSWER_CAP: Final = 65_536
_FINGERPRINT: Final = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


def add(wanted: Wanted, inventory: Inventory, ports: SlicePorts) -> Added:
    """Look at a machine, pin its host key once that is agreed, log in, and list it if it can be managed.

    Raise what the transport raises, HostKeyMismatch for another key than the told one, Refused with the reason if it
    cannot be managed; then nothing is kept.
    """
    target = _valid(wanted, inventory)
    key = _agreed_key(target, wanted.fingerprint, (), ports)
    before = ports.keys.pinned(target.name)
    ports.keys.pin(target.name, (key,))
    try:
        found = _manageable(target, ports)
        ports.book.put_owner(wanted.owner, wanted.contact)
        ports.book.put_slice(target.name, wanted.entry)
    except BaseException:
        ports.keys.pin(target.name, before)
        raise
    return Added(target, key, found, probe.reservations(found))


def trust(name: str, told: str | None, inventory: Inventory, ports: SlicePorts) -> Trusted:
    """Pin the host key that a slice shows now, once it is agreed; raise HostKeyMismatch if it is not the told one."""
    target = listed(name, inventory)
    before = ports.keys.pinned(name)
    key = _agreed_key(target, told, before, ports)
    if key not in before or told:
        ports.keys.pin(name, (key,))
    return Trusted(name, before, key)


def forget(name: str, workspace: Workspace, book: InventoryBook, keys: HostKeys) -> None:
    """Take a slice out of the inventory, and its host key out of known_hosts; raise Refused if an app is placed there."""
    listed(name, workspace.inventory)
    for app in (*workspace.apps.values(), *workspace.as_written.values()):
        parts = [component for component, places in app.place.items() if name in places]
        parts += ["a spare"] if name in app.spares else []
        if parts:
            hint = f"move it in apps/{app.app}.yaml, or `tfheal remove {app.app}` and delete the file"
            raise Refused("an app is placed there", where=name, why=f"{app.app}: {', '.join(parts)}", hint=hint)
    book.remove_slice(name)
    keys.forget(name)


def listed(name: str, inventory: Inventory) -> Slice:
    """Given a name, return the slice of the inventory; raise UsageError with the nearest name if there is none."""
    if name not in inventory.slices:
        hint = nearest(name, inventory.slices, "there are") or "`tfheal slice add` adds one"
        raise UsageError(f"there is no slice {name}", hint=hint)
    return inventory.slice(name)


def ssh_command(target: Slice, login: Login, words: tuple[str, ...], keys: HostKeys) -> tuple[str, ...]:
    """Given a slice and what to run there, return the command of OpenSSH that trusts the pinned key and nothing else."""
    if not keys.pinned(target.name):
        hint = f"compare its fingerprint with the owner's, then `tfheal slice trust {target.name}`"
        raise Refused("no host key is pinned", where=target.name, hint=hint)
    options = {
        "HostKeyAlias": target.name,
        "UserKnownHostsFile": f'"{login.known_hosts}"',
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",  # or it would pin further keys by itself
        "ForwardAgent": "no",
        "User": login.user,
    }
    if login.key:
        options["IdentitiesOnly"] = "yes"
    settings = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    port = ("-p", str(target.port)) if target.port else ()
    key = ("-i", login.key) if login.key else ()
    jump = ("-J", target.proxy_jump) if target.proxy_jump else ()
    return ("ssh", *settings, *port, *key, *jump, target.address, *(("--", *words) if words else ()))


def _valid(wanted: Wanted, inventory: Inventory) -> Slice:
    """Return the slice that is wanted; raise UsageError with everything that is wrong about it."""
    for word, name in (("a slice", wanted.name), ("an owner", wanted.owner)):
        if not re.fullmatch(NAME_PATTERN, name):
            raise UsageError(
                f"{name!r} cannot be the name of {word}", why="a to z, 0 to 9 and -, up to 31, a letter first"
            )
    if wanted.name in inventory.slices:
        hint = "`tfheal slice trust` pins a new host key, `tfheal slice forget` takes it out"
        raise UsageError(f"{wanted.name} is in the inventory already", hint=hint)
    data = {"owners": {wanted.owner: {"contact": wanted.contact}}, "slices": {wanted.name: dict(wanted.entry)}}
    try:
        return checked(Inventory, "inventory", Document("", data)).slice(wanted.name)
    except ConfigError as error:
        prefix = f"slices.{wanted.name}."
        said = "; ".join(f"{one.key.removeprefix(prefix)} {one.what} {one.hint}".strip() for one in error.mistakes)
        raise UsageError("this cannot be a slice", where=wanted.name, why=said) from error


def _agreed_key(target: Slice, told: str | None, before: tuple[str, ...], ports: SlicePorts) -> str:
    """Return the host key that a slice shows: the one whose fingerprint was told, else the one that is agreed to."""
    if told is not None:
        return _told_key(target, told, ports.scan)
    shown = ports.scan.offered(target)[0]
    if shown in before:
        return shown
    lines = [f"{target.name} ({target.address}) shows the host key", f"  {_named(shown)}"]
    if before:
        lines += ["pinned until now:", *(f"  {_named(key)}" for key in before)]
    if not ports.agree("\n".join([*lines, "is that the key that its owner told you?"])):
        raise Refused("the host key was not trusted", where=target.name, hint="nothing was kept")
    return shown


def _told_key(target: Slice, told: str, scan: HostKeyScan) -> str:
    if not _FINGERPRINT.fullmatch(told):
        hint = "on the slice: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"
        raise UsageError("a fingerprint is written SHA256:…, 43 characters after the colon", why=told[:80], hint=hint)
    shown: tuple[str, ...] = ()
    for every in (False, True):  # the told one may be of another kind than the one shown first
        shown = scan.offered(target, every=every)
        for key in shown:
            if fingerprint(key) == told:
                return key
    why = f"told {told}, shown {', '.join(_named(key) for key in shown)}"
    hint = "nothing was kept; ask the owner whether the machine was rebuilt, and whether this is the right address"
    raise HostKeyMismatch("it does not show the host key that was told", where=target.name, why=why, hint=hint)


def _named(key: str) -> str:
    return f"{fingerprint(key)} ({key.split(' ', 1)[0]})"


def _manageable(target: Slice, ports: SlicePorts) -> Platform:
    """Log in and return what the machine is; raise Refused with the reason if it cannot be managed."""
    marker = secrets.token_hex(16)
    script = composed((probe.QUESTION,), marker, probe.QUESTION.timeout)
    reply = ports.transport.run(target, Exec(script, timeout=_ANSWER_SECONDS, cap=_ANSWER_CAP))
    found = probe.platform(answers(reply.stdout, (probe.QUESTION,), marker)[probe.QUESTION.key])
    if obstacle := probe.obstacle(found):
        why, hint = obstacle
        raise Refused("it cannot be managed", where=target.name, why=why, hint=hint)
    return found
