"""Upgrades that `tfheal tick` makes by itself: which app is due for which version, and what waits for a window.

One app a tick, so that healing comes round in between, and so that the first app shows what a version is worth: what one
app had to take back is tried by itself on no app of that playbook and owner again, and what two owners' had to, on none. The
apps of a later ring wait until those of the earlier ones have come through.
"""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from tfheal.base.errors import ActionFailed, Refused, TfhealError
from tfheal.base.exits import Exit, winning
from tfheal.core.cadence import is_alike, is_newer, next_version, unlisted
from tfheal.core.waves import RINGS
from tfheal.core.windows import next_start
from tfheal.flows.fleet import Limits
from tfheal.flows.upgrade import upgrade
from tfheal.flows.upgrade_checks import Wish, takes_of
from tfheal.flows.versions import deployed_of, unfinished
from tfheal.model.findings import Finding
from tfheal.model.ports import Ports
from tfheal.model.upgrade import UNDER_WAY, Upgraded
from tfheal.model.window import Waiting
from tfheal.model.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Due:
    """An app that is due for a version, and till when that waits for its window; None: it may begin now.

    `after` is an app of an earlier ring that has to come through first.
    """

    app: str
    version: str
    until: datetime | None = None
    after: str = ""


def note(workspace: Workspace, ports: Ports) -> None:
    """Keep since when the playbooks of the apps list their versions, and what an index has beside them."""
    now = ports.clock.now()
    for name in dict.fromkeys(spec.playbook for spec in workspace.apps.values()):
        folder = workspace.playbooks[name]
        locks = {version: folder.files.get(path, b"") for version, path in folder.playbook.versions.items()}
        digests = {version: hashlib.sha256(lock).hexdigest() for version, lock in locks.items()}
        ports.upgrades.note_listed(name, digests, now)
    if ports.index is not None:
        used = (workspace.playbooks[spec.playbook].playbook.pypi for spec in workspace.apps.values())
        ports.index.ask([name for name in dict.fromkeys(used) if name], now)


def findings(workspace: Workspace, app: str, ports: Ports) -> Iterator[Finding]:
    """Yield what the index had when it was last asked, newer than what the playbook of an app lists: information, and no more."""
    playbook, items = workspace.folder(app).playbook, deployed_of(app, ports)
    if ports.index is None or not playbook.pypi or not items:
        return
    there, name = ports.index.versions(playbook.pypi), items[0].release.instance
    if newer := unlisted(items[0].deployed.version, playbook.versions, there):
        detail = f"the index of packages has {' and '.join(newer)}, which its playbook does not list"
        yield Finding("newer-version", "info", name.slice, detail, name)


def due(workspace: Workspace, ports: Ports) -> tuple[Due, ...]:
    """Return the apps that may go to another version now."""
    return tuple(one for one in _due(workspace, ports) if one.until is None)


def waiting(workspace: Workspace, ports: Ports) -> tuple[Waiting, ...]:
    """Return the upgrades that are due and wait for a window."""
    return tuple(Waiting(one.app, "upgrade", one.until) for one in _due(workspace, ports) if one.until)


def upgraded(
    workspace: Workspace, apps: tuple[Due, ...], ports: Ports, limits: Limits
) -> tuple[Upgraded | None, dict[str, str], Exit]:
    """Upgrade the first of these apps that nothing stands in the way of; return how that went, what stood in the way of others, the worst of it.

    What may not be now is nothing bad. An app whose slice is dead, or lies, or whose version is no longer listed, keeps no
    other from its own.
    """
    refused: dict[str, str] = {}
    worst = Exit.OK
    whole = replace(limits, until=None)  # what is begun goes on to its end, with every look that it needs
    for one in apps:
        if limits.over:
            break
        if one.after:
            refused[one.app] = f"to {one.version}: {one.after} is of an earlier ring, and comes first"
            continue
        try:
            return upgrade(workspace, one.app, Wish(one.version), ports, whole), refused, worst
        except TfhealError as error:
            refused[one.app] = f"to {one.version}: {error}"
            worst = worst if isinstance(error, Refused) else winning((worst, error.exit))
    return None, refused, worst


def _due(workspace: Workspace, ports: Ports) -> Iterator[Due]:
    now = ports.clock.now()
    for app, spec in workspace.apps.items():
        if spec.auto_upgrade.channel == "none":
            continue
        if (last := unfinished(app, ports)) is not None:
            # What was killed is gone on with, in the window or not; what is frozen or undecided waits for the human who was called.
            if last.state in UNDER_WAY and is_alike(last.new, last.old, spec.auto_upgrade):
                yield Due(app, last.new)
            continue
        items = deployed_of(app, ports)
        if not items or {item.deployed.version for item in items} != {workspace.written(app).version}:
            continue  # somebody meant another version: that is theirs to finish
        listed, bad = ports.upgrades.listed(spec.playbook), _bad(workspace, app, ports)
        still = {version: since for version, since in listed.items() if version in _versions(workspace, app)}
        version = next_version(still, items[0].deployed.version, spec.auto_upgrade, bad, now)
        if version:
            start = next_start(workspace.window(app), now, takes_of(workspace, app, version, ports))
            yield Due(app, version, start if start and start > now else None, _earlier(workspace, app, version, ports))


def _earlier(workspace: Workspace, app: str, version: str, ports: Ports) -> str:
    """Return an app of an earlier ring that goes to a version by itself too and has not come through yet, if there is one."""
    ours = workspace.apps[app]
    for name, spec in workspace.apps.items():
        if spec.playbook != ours.playbook or RINGS.index(spec.ring) >= RINGS.index(ours.ring):
            continue
        there = {item.deployed.version for item in deployed_of(name, ports)}
        last = unfinished(name, ports)
        if last is not None and is_alike(last.new, last.old, spec.auto_upgrade):
            return name
        if any(is_newer(version, one) and is_alike(version, one, spec.auto_upgrade) for one in there):
            return name
    return ""


def _versions(workspace: Workspace, app: str) -> set[str]:
    return set(workspace.folder(app).playbook.versions)


def _bad(workspace: Workspace, app: str, ports: Ports) -> set[str]:
    """Return the versions that apps of the same playbook had to take back, or hold: of its owner, or of two others.

    How an upgrade goes is in the hands of whose slice it is on: one owner keeps no other from a version.
    """
    ours = workspace.apps[app]
    found: dict[str, set[str]] = {}
    for name, spec in workspace.apps.items():
        last = ports.upgrades.last(name) if spec.playbook == ours.playbook else None
        if last is not None and last.state == "rolled-back":
            found.setdefault(last.new, set()).add(spec.owner)
    for standing in ports.journal.standings():
        with suppress(ActionFailed):  # kept by another version of tfheal
            release = ports.journal.release(standing.release) if standing.held else None
            if release is not None and release.playbook == ours.playbook:
                found.setdefault(release.version, set()).add(release.owner)
    return {version for version, owners in found.items() if ours.owner in owners or len(owners) > 1}
