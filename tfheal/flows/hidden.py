"""What must not be shown of a slice: it knows the secrets of every app that is or was there, and may say any of them anywhere."""

from collections.abc import Collection

from tfheal.base.errors import TfhealError
from tfheal.base.secret import masked
from tfheal.flows.releases import placed
from tfheal.model.ports import Journal, Vault
from tfheal.model.workspace import Workspace


def hidden(workspace: Workspace, journal: Journal, vault: Vault, slices: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Given names of slices, return for each the values, old ones too, of all secrets of the apps that are or were there.

    A colleague may have deployed what this journal never saw: so what the specs place counts as well.
    """
    there = journal.apps_by_slice()
    for instance in placed(workspace, workspace.apps):
        there.setdefault(instance.slice, set()).add(instance.app)
    apps = {app for name in slices for app in there.get(name, ())}
    values = {app: tuple(secret.reveal() for secret in vault.known_values(app)) for app in apps}
    return {name: tuple(value for app in sorted(there.get(name, ())) for value in values[app]) for name in slices}


def hushed(error: TfhealError, values: Collection[str]) -> TfhealError:
    """Given an error that may quote a slice, return it with these values masked."""
    error.why = masked(error.why, values)
    return error
