"""A store that is gone, with all backups on it: that is said loudly, and when another is named it is left behind.

It counts as gone as a slice does: silent for long enough, or there and without what was on it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

from tfheal.base.moments import rfc3339
from tfheal.flows.releases import in_use
from tfheal.model.backup import STORE
from tfheal.model.findings import Finding
from tfheal.model.ports import Ports
from tfheal.model.record import Deployed
from tfheal.model.release import InstanceName
from tfheal.model.workspace import Workspace


def findings(workspace: Workspace, app: str, seen: Iterable[Finding], ports: Ports) -> Iterator[Finding]:
    """Given an app and what was found, yield that its store is gone, if it is: no backup can be made, and none restored."""
    spec = workspace.apps[app].backup
    deployed = [item.instance for item in in_use(ports.journal.deployed(app)) if item.instance.component == STORE]
    if spec is None or InstanceName(app, STORE, spec.to) not in deployed:
        return
    lost = {"slice-wiped", "data-missing", "host-key-changed"}
    empty = [one.cause for one in seen if one.slice == spec.to and one.cause in lost]
    why = _silent(workspace, spec.to, ports) or (f"it is lost ({empty[0]})" if empty else "")
    if why:
        lost_too, hint = "and with it all its backups", "a fresh backup is due there at once"
        if spec.copy_to:
            lost_too, hint = f"and {spec.copy_to} has the copies", "tfheal backup rescan finds the copies"
        detail = (
            f"the store of {app} is gone, {lost_too}: {why}; name another one in apps/{app}.yaml and deploy: {hint}"
        )
        yield Finding("store-gone", "critical", spec.to, detail, InstanceName(app, STORE, spec.to))


def given_up(workspace: Workspace, app: str, ports: Ports) -> tuple[Deployed, ...]:
    """Given an app, return its deployed stores that are gone while its spec names another one."""
    spec = workspace.apps[app].backup
    return tuple(
        item
        for item in in_use(ports.journal.deployed(app))
        if spec is not None
        and item.instance.component == STORE
        and item.instance.slice not in spec.stores
        and _silent(workspace, item.instance.slice, ports)
    )


def leave_behind(workspace: Workspace, app: str, ports: Ports) -> None:
    """Given an app whose spec names another store than one that is gone, retire that one, and say so."""
    for item in given_up(workspace, app, ports):
        ports.reporter.say(f"{app}: its store {item.instance.slice} is gone, and is left behind with all backups there")
        ports.journal.set_deployed(replace(item, phase="retired", at=ports.clock.now()))


def _silent(workspace: Workspace, name: str, ports: Ports) -> str:
    silence = ports.journal.silences().get(name)
    patience = timedelta(seconds=workspace.provider.heal.gone_after)
    if silence is None or ports.clock.now() - silence.since < patience:
        return ""
    return f"silent since {rfc3339(silence.since)}"
