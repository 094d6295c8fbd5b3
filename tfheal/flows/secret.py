"""The stories of `tfheal secret`: a value is given, shown or made anew; none takes effect before the next deploy."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Final

from tfheal.base.errors import UsageError
from tfheal.base.secret import Secret
from tfheal.model.playbook import SecretSpec
from tfheal.model.ports import Vault
from tfheal.model.publication import secret_of
from tfheal.model.workspace import PING_SECRET, Workspace

VALUE_CAP: Final = 65_536


def set_secret(workspace: Workspace, vault: Vault, app: str, name: str, value: Secret) -> int:
    """Keep a value as the newest version of a secret, and return its number; raise UsageError for one of no use."""
    declared(workspace, app, name)
    text = value.reveal()
    if not text:
        raise UsageError(f"the value of {name} is empty")
    if "\0" in text or len(text) > VALUE_CAP:
        raise UsageError(f"the value of {name} cannot be used", why=f"it is text of up to {VALUE_CAP} characters")
    return vault.put(app, name, value)


def rotate_secret(workspace: Workspace, vault: Vault, app: str, name: str) -> int:
    """Make a new version of a secret as its playbook says, and return its number."""
    if (app, name) in _ours(workspace):
        raise UsageError(f"{name} is given by others, who know it too", hint=f"tfheal secret set {app} {name}")
    spec = workspace.apps[app].backup if app in workspace.apps else None
    if spec and name in spec.secrets:
        raise UsageError(f"{name} is given by whoever runs {spec.to}", hint=f"tfheal secret set {app} {name}")
    return vault.make(app, name, declared(workspace, app, name).length)


def show_secret(workspace: Workspace, vault: Vault, app: str, name: str, version: int | None) -> tuple[int, Secret]:
    """Return the number and value of a version of a secret, the newest if none is asked for."""
    newest = vault.latest(app, name) if app in {*workspace.apps, PING_SECRET[0]} else 0
    if not newest:
        declared(workspace, app, name)
        raise UsageError(
            f"{app} has no {name} yet",
            why="it is made by the first deploy",
            hint=f"tfheal deploy {app}, or give it a value: tfheal secret set {app} {name}",
        )
    number = newest if version is None else version
    if not 1 <= number <= newest:
        raise UsageError(f"{name} of {app} has no version {number}", why=f"its versions are 1 to {newest}")
    return number, vault.get(app, name, number)


def declared(workspace: Workspace, app: str, name: str) -> SecretSpec:
    """Return what the playbook of an app says of a secret; raise UsageError, with the nearest words, if nothing.

    Some are the provider's own: the address of the dead-man switch, the keys of name servers.
    """
    if own := _ours(workspace).get((app, name)):
        return own
    if app not in workspace.apps:
        raise _unknown(f"there is no app {app}", app, workspace.apps, "the apps")
    specs = _specs(workspace, app)
    if name not in specs:
        raise _unknown(f"{app} has no secret {name}", name, specs, "its secrets")
    return specs[name]


def _ours(workspace: Workspace) -> Mapping[tuple[str, str], SecretSpec]:
    """Return the provider's own secrets."""
    ways = [name for name, way in workspace.provider.names.items() if way.via == "rfc2136"]
    keys = {secret_of(name): SecretSpec(description=f"the TSIG key of names.{name}") for name in ways}
    return {PING_SECRET: SecretSpec(description="the address that `tfheal tick` pings"), **keys}


def _specs(workspace: Workspace, app: str) -> Mapping[str, SecretSpec]:
    """Return the secrets of an app that people have to do with: those of its playbook, and what the address of its backups needs."""
    spec, every = workspace.apps[app], workspace.folder(app).playbook.secrets
    own = workspace.playbooks[spec.playbook].playbook.secrets
    given = spec.backup.secrets if spec.backup else ()
    return {name: every[name] for name in (*own, *given)}


def _unknown(what: str, word: str, words: Iterable[str], group: str) -> UsageError:
    known = sorted(words)
    near = difflib.get_close_matches(word, known, n=1)
    return UsageError(
        what,
        why=f"{group} are {', '.join(known)}" if known else "there are none",
        hint=f"did you mean {near[0]}?" if near else "",
    )
