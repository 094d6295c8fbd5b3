"""The store of an app that wants backups: one more component of it, so that everything treats it as any other.

On the store slice each slice with data of the app has a folder of its own, and a key, unless it is led there by us. The key opens no shell and no port:
it starts `rclone serve restic --append-only` on that folder and nothing else, so a slice that was broken into can add to
its own repository, and can neither delete from it nor see another. Whatever serves a folder holds a shared lock on it: who
takes the exclusive one shuts the key out for that time, and the kernel lets it in again however that ends. What is no slice
but an address of restic is nobody's component: its owner runs it, and each slice has a repository below it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from tfheal.base import sh
from tfheal.core.archiving import archived
from tfheal.core.reach import SHUT_OUT
from tfheal.model import paths
from tfheal.model.app import AppSpec
from tfheal.model.backup import STORE, AppBackup
from tfheal.model.playbook import Check, Component, Playbook, SecretSpec
from tfheal.model.release import InstanceName
from tfheal.model.resources import Command, Directory, File, Packages, Resource, User
from tfheal.model.workspace import PlaybookFolder, Workspace

_BY_KEY: Final = ("restic", "openssh-client")  # on a slice with data that reaches its store
_BY_US: Final = ("restic",)  # on one that is led there
_IS_NEW: Final = """\
case $(restic version 2>/dev/null) in "restic 0."[0-9].* | "restic 0.1"[0-7].*) exit 1 ;; "restic "*) ;; *) exit 1 ;; esac
"""
# Debian 13's packages, by their hashes (`apt-cache show restic:ARCHITECTURE` there): they need libc 2.34, which Debian 12 and
# Ubuntu 22.04 have.
_PUT_NEW: Final = """\
architecture=$(dpkg --print-architecture)
case $architecture in
  amd64) hash=4888fb20b272a28b84ac39171b7d7f0d9a58c2aeae51ec28e54684648d66e12c ;;
  arm64) hash=3877c6ef8efe052e80a6417b0ac0a672e644fd8bf5ef14e8b803ab6744e43be2 ;;
  *) echo "no restic that is new enough is known for $architecture: install one of 0.18 or newer by hand" >&2; exit 1 ;;
esac
package=pool/main/r/restic/restic_0.18.0-1+b4_$architecture.deb
folder=$(mktemp -d) || exit 1
for base in $(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sort -u) http://deb.debian.org/debian; do
  ! /usr/lib/apt/apt-helper download-file "${base%/}/$package" "$folder/restic.deb" "SHA256:$hash" >&2 || break
done
DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 --no-install-recommends install "$folder/restic.deb"
status=$?
rm -rf "$folder"
exit $status
"""
_OPENS: Final = "backup_password_"
_SERVES: Final = "/usr/bin/rclone serve restic --stdio --append-only --config= --cache-dir=/nonexistent"
_READY: Final = """\
said=$(SERVER 2>&1) || { printf '%s\\n' "$said" | tail -n 1; exit 1; }
[ -d {{ data }} ] || { echo 'the folder of the repositories is gone'; exit 1; }
"""
_LETS_IN: Final = "grep -q restrict,command= {{ home }}/.ssh/authorized_keys || { echo 'no key is let in'; exit 1; }\n"


def password_name(slice_name: str) -> str:
    """Return the secret of an app that opens the repository of one of its slices."""
    return f"{_OPENS}{_plain(slice_name)}"


def held(secrets: Iterable[str]) -> tuple[str, ...]:
    """Given the names of an app's secrets, return the slices whose repositories some open, those that the app left too."""
    ours = (name.removeprefix(_OPENS) for name in secrets if name.startswith(_OPENS))
    return tuple(name.replace("_", "-") for name in ours)  # no slice has a `_` in its name


def key_name(slice_name: str) -> str:
    """Return the secret of an app that is the private SSH key by which one of its slices reaches the store."""
    return f"backup_key_{_plain(slice_name)}"


def public_name(slice_name: str) -> str:
    """Return the secret of an app that is the public half of that key."""
    return f"backup_public_{_plain(slice_name)}"


def copy_key_name(slice_name: str) -> str:
    """Return the secret of an app that is the private SSH key by which the store copies what it has of a slice."""
    return f"backup_copy_key_{_plain(slice_name)}"


def copy_public_name(slice_name: str) -> str:
    """Return the secret of an app that is the public half of that key."""
    return f"backup_copy_public_{_plain(slice_name)}"


def repository(app: str, slice_name: str) -> str:
    """Return the folder on the store that is the repository of an app on one of its slices."""
    return f"{paths.data(app, STORE)}/{slice_name}"


def url(address: str, app: str, slice_name: str) -> str:
    """Return the repository of an app on one of its slices, below an address that is no slice."""
    return f"{address.rstrip('/')}/{app}/{slice_name}"


def keeper(workspace: Workspace, app: str) -> InstanceName:
    """Return the instance that what is said of the backups of an app is said of: its store, else where its data is."""
    spec = workspace.apps[app]
    elsewhere = spec.backup is None or spec.backup.address
    place = sources(spec, workspace.folder(app).playbook) if elsewhere else spec.place[STORE]
    return InstanceName(app, STORE, place[0])


def locked(folder: str) -> str:
    """Given a repository's folder, return how the command begins that serves it, and that can be shut out."""
    return f"/usr/bin/flock --shared --nonblock --no-fork --conflict-exit-code {SHUT_OUT} {folder} "


def guarded(folder: str) -> str:
    """Given a repository's folder, return how its command begins where its key can be shut out."""
    return f"exec {locked(folder)}"


def holds_data(component: Component) -> bool:
    """Return whether there is anything in a component that a backup would take."""
    folders = (one for one in component.resources if isinstance(one, Directory) and one.data)
    return bool(component.data) or bool(component.dumps) or any(folders)


def sources(spec: AppSpec, playbook: Playbook) -> tuple[str, ...]:
    """Given an app and its playbook, return the slices on which it has data, each once."""
    of_data = (name for name, part in playbook.components.items() if name != STORE and holds_data(part))
    return tuple(dict.fromkeys(slice_name for name in of_data for slice_name in spec.place.get(name, ())))


def with_stores(workspace: Workspace) -> Workspace:
    """Given a valid workspace, return it with the store of each app that wants backups as a component of that app."""
    apps, joined = dict(workspace.apps), {}
    for name, spec in workspace.apps.items():
        if spec.backup is not None:
            joined[name] = _joined(spec, spec.backup, workspace.playbooks[spec.playbook])
            if spec.backup.stores:
                apps[name] = spec.model_copy(update={"place": {**spec.place, STORE: spec.backup.stores}})
    return replace(workspace, apps=apps, joined=joined)


def moved(workspace: Workspace, spec: AppSpec) -> PlaybookFolder | None:
    """Given an app where it was moved to, return its playbook with a store for where its data is now, and for where it was.

    What is in the repository of a slice that was given up has to come back where the app is now. None: it has no backups.
    """
    if spec.backup is None:
        return None
    folder = workspace.playbooks[spec.playbook]
    return _joined(spec, spec.backup, folder, sources(workspace.written(spec.app), folder.playbook))


def _joined(spec: AppSpec, backup: AppBackup, folder: PlaybookFolder, former: tuple[str, ...] = ()) -> PlaybookFolder:
    playbook = folder.playbook
    clients = tuple(dict.fromkeys((*sources(spec, playbook), *former)))
    needed = _BY_US if backup.via else _BY_KEY
    needed = (*needed, "rclone") if backup.to.startswith("rclone:") else needed
    components = {
        name: _able(component, needed, alone=not (backup.address or backup.via)) if holds_data(component) else component
        for name, component in playbook.components.items()
    }
    secrets = {
        public_name(client): SecretSpec(length=12, description=f"the public SSH key of {client} for backups")
        for client in clients
        if not backup.via
    }
    if backup.copy_to:
        described = "the public SSH key by which copies of {} are made"
        secrets |= {copy_public_name(one): SecretSpec(length=12, description=described.format(one)) for one in clients}
    if backup.address:
        secrets = {name: SecretSpec(length=12, description=f"what {backup.to} needs") for name in backup.secrets}
    else:
        components[STORE] = _store(clients, backup)
    update = {"components": components, "secrets": {**playbook.secrets, **secrets}}
    return replace(folder, playbook=playbook.model_copy(update=update))


def _able(component: Component, needed: tuple[str, ...], *, alone: bool) -> Component:
    """Return a component with data and what its backups need."""
    needed = (*needed, "sqlite3") if any(dump.sqlite for dump in component.dumps) else needed
    missing = tuple(name for name in needed if name not in component.packages)
    resources = (_newer(), *component.resources)
    able = component.model_copy(update={"packages": (*component.packages, *missing), "resources": resources})
    return archived(able, alone=alone)


def _store(clients: tuple[str, ...], backup: AppBackup) -> Component:
    return Component(
        resources=tuple(_resources(clients, backup)),
        checks=(Check(name="serves", kind="ready", command=_of_each(backup, *_ready(backup))),),
        ladder=("free-disk", "redeploy", "page"),
    )


def _resources(clients: tuple[str, ...], backup: AppBackup) -> Iterator[Resource]:
    servers = () if backup.via and not backup.copy_to else ("rclone",)
    servers = (*servers, "restic-rest-server") if backup.via else servers
    yield Packages(kind="packages", names=(*servers, "restic", "openssh-server"))
    yield _newer()
    yield User(kind="user", name="{{ user }}", home="{{ home }}", login_shell="/bin/sh")
    yield Directory(kind="directory", path="{{ data }}", mode="0711", data=True)
    for client in clients:
        folder = f"{{{{ data }}}}/{client}"
        yield Directory(kind="directory", path=folder, mode="0700", owner="{{ user }}", group="{{ user }}", data=True)
    lines = "" if backup.via else "".join(f"{_line(client, public_name(client))}\n" for client in clients)
    # No slice has a way to the copies: what broke into one could forge them too.
    copies = "".join(f"{_line(client, copy_public_name(client))}\n" for client in clients)
    lines = _of_each(backup, lines, copies)
    keys = "{{ home }}/.ssh/authorized_keys"
    yield File(kind="file", path=keys, content=lines, mode="0640", group="{{ user }}", on_change="nothing")


def _ready(backup: AppBackup) -> tuple[str, str]:
    """Return the question whether a store is ready: of the one that slices write to, and of that of the copies."""
    by_key = _READY.replace("SERVER", "rclone version") + _LETS_IN
    return _READY.replace("SERVER", "restic-rest-server --version") if backup.via else by_key, by_key


def _of_each(backup: AppBackup, first: str, copies: str) -> str:
    """Return a template of what is one thing on the store that slices write to, and another on that of the copies."""
    return f"{{% if slice == '{backup.to}' %}}{first}{{% else %}}{copies}{{% endif %}}" if backup.copy_to else first


def _line(client: str, public: str) -> str:
    """Return the line that lets the key of a slice in, for one command on one folder."""
    folder = f"{{{{ data }}}}/{sh.quote(client)}"
    return f'restrict,command="{guarded(folder)}{_SERVES} {folder}" {{{{ secrets.{public} }}}}'


def _newer() -> Command:
    """Return what has a slice have a restic that does: Debian 13's own, or where the slice's release has an older one that package."""
    return Command(kind="command", name="restic 0.18 or newer", done=_IS_NEW, run=_PUT_NEW)


def _plain(slice_name: str) -> str:
    return slice_name.replace("-", "_")
