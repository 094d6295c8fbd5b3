"""Which releases there are: the ones a workspace asks for now, and the ones that were deployed."""

from collections.abc import Iterable, Mapping

from tfheal.base.secret import Secret
from tfheal.core.gateway import blueprint
from tfheal.core.release import releases
from tfheal.core.stores import copy_key_name, copy_public_name, key_name, password_name, public_name, sources
from tfheal.model.ports import Ports
from tfheal.model.record import Deployed, Expected
from tfheal.model.release import InstanceName, Release
from tfheal.model.workspace import Workspace

FIRST = 1
_PASSWORD_LENGTH = 40  # 238 bits: nobody guesses it, and restic's scrypt need not help


def wanted(workspace: Workspace, app: str, ports: Ports) -> tuple[Release, ...]:
    """Given the name of an app, return the releases that its spec asks for now; secrets not yet made count as version 1."""
    versions = {name: ports.vault.latest(app, name) or FIRST for name in workspace.folder(app).playbook.secrets}
    return releases(blueprint(workspace, app, versions, ports.templates.render))


def make_secrets(workspace: Workspace, app: str, ports: Ports) -> None:
    """Given the name of an app, make those of its secrets that do not exist yet."""
    make_backup_keys(workspace, app, ports)
    spec = workspace.apps[app].backup
    given = spec.secrets if spec else ()
    for name, secret in workspace.folder(app).playbook.secrets.items():
        if name not in given and not ports.vault.latest(app, name):
            ports.vault.make(app, name, secret.length)


def make_backup_keys(workspace: Workspace, app: str, ports: Ports) -> None:
    """Given the name of an app, make the key and the password of each of its repositories that has none yet."""
    spec = workspace.apps[app]
    if spec.backup is None:
        return
    for name in sources(spec, workspace.folder(app).playbook):
        if not ports.vault.latest(app, password_name(name)):
            ports.vault.make(app, password_name(name), _PASSWORD_LENGTH)
        if not spec.backup.via:
            _make_pair(app, key_name(name), public_name(name), ports)
        if spec.backup.copy_to:
            _make_pair(app, copy_key_name(name), copy_public_name(name), ports)


def _make_pair(app: str, private: str, public: str, ports: Ports) -> None:
    if not all(ports.vault.latest(app, half) for half in (private, public)):
        pair = ports.key_pair()
        ports.vault.put(app, private, Secret(pair.private))
        ports.vault.put(app, public, Secret(pair.public))


def secret_values(release: Release, ports: Ports, *, planning: bool = False) -> dict[tuple[str, int], str]:
    """Given a release, return the value of each secret it names; while planning, one not yet made is a blank."""
    return {
        (name, version): ""
        if planning and not ports.vault.latest(release.app, name)
        else ports.vault.get(release.app, name, version).reveal()
        for name, version in release.secrets()
    }


def expected(apps: Iterable[str], ports: Ports) -> tuple[Expected, ...]:
    """Given names of apps, return what each of their instances was deployed as, from the journal."""
    found = []
    for app in apps:
        for deployed in in_use(ports.journal.deployed(app)):
            release = ports.journal.release(deployed.release)
            if release is not None:
                found.append(Expected(deployed, release, reached(deployed, ports)))
    return tuple(found)


def in_use(deployed: Iterable[Deployed]) -> tuple[Deployed, ...]:
    """Given what is deployed, return it without what was left behind on slices that were given up."""
    return tuple(item for item in deployed if item.phase != "retired")


def retired(ports: Ports) -> tuple[Deployed, ...]:
    """Return what was left behind on slices that were given up: it is stopped there as soon as they answer."""
    return tuple(item for item in ports.journal.deployed() if item.phase == "retired")


def everywhere(ports: Ports) -> tuple[Expected, ...]:
    """Return what every instance of every app was deployed as, from the journal."""
    return expected(dict.fromkeys(item.instance.app for item in ports.journal.deployed()), ports)


def reached(deployed: Deployed, ports: Ports) -> bool:
    """Return whether anything ever came to its end on the slice of an instance since it was deployed first."""
    if deployed.phase not in {"deploying", "remaking"}:
        return True
    done = [
        action.verb
        for action in ports.journal.actions(deployed.instance.app)
        if action.instance == deployed.instance
        and action.verb != "page"
        and (action.outcome == "done" or action.verb == "recreate")  # begun, it may have left an empty machine
    ]
    return bool(done) and done[-1] not in {"remove", "recreate"}


def placed(workspace: Workspace, apps: Iterable[str]) -> tuple[InstanceName, ...]:
    """Given names of apps, return the instances that their specs place."""
    return tuple(
        InstanceName(app, component, slice_name)
        for app in apps
        for component, slices in workspace.apps[app].place.items()
        for slice_name in slices
    )


def by_slice(releases: Iterable[Release]) -> Mapping[str, tuple[Release, ...]]:
    """Given releases, return them by the slice that they are for."""
    grouped: dict[str, tuple[Release, ...]] = {}
    for release in releases:
        grouped[release.slice] = (*grouped.get(release.slice, ()), release)
    return grouped
