"""How the program is put together: the only place that takes hold of edge and lab."""

import os
import secrets
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tfheal.cli.asking import consent
from tfheal.cli.output import Reports

if TYPE_CHECKING:
    from datetime import datetime

    from tfheal.edge.journal import SqliteJournal
    from tfheal.flows.count import Counted
    from tfheal.flows.fleet import Limits
    from tfheal.model.inventory import Inventory, Slice
    from tfheal.model.ports import (
        HostKeys,
        InventoryBook,
        Journal,
        NewFolder,
        Pinger,
        Ports,
        SlicePorts,
        Templates,
        Vault,
    )
    from tfheal.model.publication import Publisher
    from tfheal.model.schedule import Schedule, Scheduler
    from tfheal.model.slices import Login
    from tfheal.model.ssh import SshSettings
    from tfheal.model.workspace import SshPolicy, Workspace


def inventory(workspace: str | None) -> "tuple[Path, Inventory]":
    """Return the folder of the workspace and what its inventory says."""
    from tfheal.edge.files import WorkspaceFiles

    folder = find_workspace(workspace)
    return folder, WorkspaceFiles(folder).inventory()


def find_workspace(given: str | None) -> Path:
    """Return the folder of the workspace: the one given, else the nearest one upwards that has a tfheal.toml."""
    from tfheal.edge.files import find_workspace as found

    return found(Path.cwd(), given)


@dataclass(frozen=True, slots=True)
class WiredSlices:
    """What the commands on slices need: the workspace's folder, its inventory, and the hands."""

    root: Path
    inventory: "Inventory"
    ports: "SlicePorts"


@contextmanager
def slices(workspace: str | None, *, yes: bool = False) -> "Iterator[WiredSlices]":
    """Given the folder of a workspace or None, take hold of what its slices need; connections are closed at the end."""
    from tfheal.edge.ssh.transport import SshTransport
    from tfheal.model.ports import SlicePorts
    from tfheal.model.ssh import SshSettings

    root, listed = inventory(workspace)
    keys = host_keys(root)
    flags = "--fingerprint SHA256:… trusts the key that its owner told you; --yes trusts the one that it shows"
    with closing(SshTransport(SshSettings(), keys, root)) as transport:
        ports = SlicePorts(transport, transport, keys, book(root), consent(yes=yes, otherwise=flags))
        yield WiredSlices(root, listed, ports)


def book(root: Path) -> "InventoryBook":
    """Given the folder of a workspace, return its inventory as a file that is changed in place."""
    from tfheal.edge.inventory_file import InventoryFile

    return InventoryFile(root / "inventory.toml")


def host_keys(root: Path) -> "HostKeys":
    """Given the folder of a workspace, return its pinned host keys."""
    from tfheal.edge.known_hosts import KnownHosts

    return KnownHosts(root / "known_hosts")


def login(root: Path, target: "Slice") -> "Login":
    """Given a slice, return as whom, by which key and by which pins the OpenSSH client logs in there."""
    from tfheal.edge.ssh.route import Routes
    from tfheal.model.slices import Login

    found = Routes(root).of(target).target
    return Login(found.user, str(found.keys[0]) if target.key else None, str(root / "known_hosts"))


def become(command: Sequence[str]) -> NoReturn:
    """Given a command, let it take our place: terminal, signals and exit status are its own from here on."""
    from tfheal.edge import local

    local.replace(command)


@dataclass(frozen=True, slots=True)
class Wired:
    """What a command on apps needs: the valid workspace, the hands, the limits of a round, and the count of trips."""

    workspace: "Workspace"
    ports: "Ports"
    limits: "Limits"
    trips: "Counted"


@contextmanager
def wired(folder: str | None, *, quiet: bool = False) -> "Iterator[Wired]":
    """Given the folder of a workspace or None, read all of it and take hold of the hands; they are let go at the end."""
    from tfheal.edge.clock import SystemClock
    from tfheal.edge.journal import SqliteJournal
    from tfheal.edge.key_pair import new_key_pair
    from tfheal.edge.ssh.transport import SshTransport
    from tfheal.edge.templates import JinjaTemplates
    from tfheal.edge.vault import AgeVault
    from tfheal.flows.count import Counted
    from tfheal.flows.fleet import Limits
    from tfheal.flows.hidden import hidden
    from tfheal.flows.lead import AppLeases
    from tfheal.flows.place import effective
    from tfheal.model.ports import Ports

    root = find_workspace(folder)
    workspace = load(root)
    policy = workspace.provider.ssh
    keys = host_keys(root)
    ssh = SshTransport(ssh_settings(policy), keys, root)
    transport = Counted(ssh)
    journal = SqliteJournal(root / ".tfheal" / "journal.db")
    workspace = effective(workspace, journal)
    vault = AgeVault(root)
    progress = Reports(quiet=quiet)
    ports = Ports(
        transport=transport,
        **_kept_in(journal, root),
        vault=vault,
        templates=JinjaTemplates(),
        clock=SystemClock(),
        **_around(workspace, root),
        names=lambda way: _publisher(workspace, way, ports),
        scan=ssh,
        keys=keys,
        reporter=progress,
        hidden=partial(hidden, workspace, journal, vault),
        marker=lambda: secrets.token_hex(16),
        key_pair=new_key_pair,
        exploited=partial(_exploited, workspace, progress),
        writer=f"{workspace.provider.name or 'provider'} on {socket.gethostname()}",
    )
    try:
        ports = replace(bare := _mortal(ports), leases=AppLeases(bare.leases, workspace.inventory, bare))
        yield Wired(workspace, ports, Limits(policy.connections, policy.round_timeout), transport)
    finally:
        progress.close()
        transport.close()
        journal.close()


def _around(workspace: "Workspace", root: Path) -> dict[str, Any]:
    """Return the hands that reach what is no slice, by the names that `Ports` has for them."""
    from tfheal.edge.index import PipIndex
    from tfheal.edge.notify import OwnerNotices, PageNotifier
    from tfheal.edge.provisioner import LocalProvisioners
    from tfheal.edge.uplink import TcpUplink
    from tfheal.edge.visitor import HttpVisitor

    notifier = PageNotifier(workspace.provider.page, root)
    route = workspace.provider.notices
    notices = OwnerNotices(route, root) if route else None
    index = PipIndex(root / ".tfheal" / "index.json") if workspace.provider.ask_index else None
    outside = {"uplink": TcpUplink(), "visitor": HttpVisitor(), "index": index}
    return {"notifier": notifier, "notices": notices, **outside, "provisioners": LocalProvisioners(root)}


def _exploited(workspace: "Workspace", progress: "Reports") -> frozenset[str] | None:
    """Return what the catalogue of tfheal.toml lists; one that cannot be read is told, and stops nothing."""
    from tfheal.base.errors import TfhealError
    from tfheal.edge.kev import known_exploited

    named = workspace.provider.patch.kev
    try:
        return known_exploited(Path(workspace.root) / named) if named else None
    except TfhealError as error:
        progress.say(f"`kev` of [patch] is not used: {error}")
        return None


def with_catalogue(hands: Wired, kev: str | None) -> Wired:
    """Given the path of a catalogue of known exploited vulnerabilities, or None, have the hands use it; raise UsageError if it is none."""
    from tfheal.edge.kev import known_exploited

    if kev is None:
        return hands
    known = known_exploited(Path(kev).expanduser().resolve())
    return replace(hands, ports=replace(hands.ports, exploited=lambda: known))


def _publisher(workspace: "Workspace", name: str, ports: "Ports") -> "Publisher":
    """Given the name of a way of publishing names, return who does it; raise Refused if there is none of that name."""
    from tfheal.base.errors import Refused
    from tfheal.edge.names import DnsNames
    from tfheal.flows.publishers import CommandNames, HostsNames, NoNames

    way = workspace.provider.names.get(name)
    if way is None:
        hint = f'put it back, or write [names.{name}] with via = "none" to leave what is published to others'
        raise Refused(f"there is no way [names.{name}] any more", where="tfheal.toml", hint=hint)
    match way.via:
        case "rfc2136":
            return DnsNames(name, way, ports.vault)
        case "hosts":
            return HostsNames(way, workspace.inventory, ports)
        case "command":
            return CommandNames(way, ports.provisioners)
        case "none":
            return NoNames()


def _kept_in(journal: "SqliteJournal", root: Path) -> dict[str, Any]:
    """Return the hands that keep what they know in the workspace, by the names that `Ports` has for them."""
    from tfheal.edge.catalogue import JournalCatalogue
    from tfheal.edge.lease import JournalLeases
    from tfheal.edge.pauses import JournalPauses
    from tfheal.edge.publications import JournalPublications
    from tfheal.edge.upgrades import JournalUpgrades, SpecFiles

    kept = {
        "leases": JournalLeases(journal),
        "pauses": JournalPauses(journal),
        "publications": JournalPublications(journal),
        "upgrades": JournalUpgrades(journal),
    }
    return {"journal": journal, "catalogue": JournalCatalogue(journal), "specs": SpecFiles(root), **kept}


def now() -> "datetime":
    """Return the time now, aware, in UTC."""
    from tfheal.edge.clock import SystemClock

    return SystemClock().now()


def operator() -> str:
    """Return who works here, as the others will read it: `user@host`."""
    from tfheal.edge.process import this_process

    me = this_process()
    return f"{me.user}@{me.host}"


def _mortal(ports: "Ports") -> "Ports":
    """Return the hands of a run, which die at a chosen moment if a test wants it so by the environment."""
    at = os.environ.get("TFHEAL_FAILPOINT")
    if not at:
        return ports
    from tfheal.edge.failpoint import mortal

    return mortal(ports, at)


def ssh_settings(policy: "SshPolicy") -> "SshSettings":
    """Given what the provider says of connections, return the numbers of the transport."""
    from tfheal.model.ssh import SshSettings

    return SshSettings(
        connect_timeout=policy.connect_timeout,
        banner_timeout=policy.banner_timeout,
        auth_timeout=policy.login_timeout,
        patience=policy.patience,
        silence=policy.silence,
        connections=policy.connections,
        starts=policy.starts,
    )


def pinger(hands: Wired) -> "Pinger":
    """Return the dead-man switch of a workspace."""
    from tfheal.edge.ping import DeadManPing

    return DeadManPing(hands.workspace.provider.ping, hands.ports.vault)


def schedule(workspace: str | None, every: float, deadline: float) -> "Schedule":
    """Return the schedule of a workspace: this very program, with absolute paths, and the key that it uses now."""
    from tfheal.core.schedule import name_of
    from tfheal.edge.schedule import user_of
    from tfheal.edge.vault import KEY_VARIABLE
    from tfheal.model.schedule import Schedule

    root = find_workspace(workspace).resolve()
    key = os.environ.get(KEY_VARIABLE)
    environment = {KEY_VARIABLE: str(Path(key).expanduser().absolute())} if key else {}
    program = (sys.executable, "-m", "tfheal")
    return Schedule(name_of(str(root)), str(root), program, every, deadline, user_of(root), environment)


def scheduler(*, crontab: bool) -> "Scheduler":
    """Return what runs schedules on this machine: systemd, or cron."""
    from tfheal.edge.schedule import CronScheduler, Here, systemd_here

    return CronScheduler(Here()) if crontab else systemd_here()


def load(root: Path) -> "Workspace":
    """Given the folder of a workspace, return all of it, valid."""
    from tfheal.edge.files import WorkspaceFiles

    return WorkspaceFiles(root).load()


def new_folder(folder: Path) -> "NewFolder":
    """Given a folder that need not exist yet, return what makes files in it."""
    from tfheal.edge.disk import Folder

    return Folder(folder)


def age_key() -> Path:
    """Return the file of the key that secrets are encrypted to; it is made if there is none."""
    from tfheal.edge.vault import default_key_file, make_key

    path = default_key_file()
    make_key(path)
    return path


def templates() -> "Templates":
    """Return the template engine."""
    from tfheal.edge.templates import JinjaTemplates

    return JinjaTemplates()


def vault(root: Path) -> "Vault":
    """Given the folder of a workspace, return its secrets."""
    from tfheal.edge.vault import AgeVault

    return AgeVault(root)


def known_secrets(folder: str | None) -> tuple[str, ...] | None:
    """Given the folder of a workspace or None, return every value that a report must not hold; None if they cannot be read."""
    from tfheal.base.errors import UsageError

    try:
        try:
            root = find_workspace(folder)
        except UsageError:  # no workspace, so there are none
            return ()
        return tuple(secret.reveal() for secret in vault(root).every_value())
    except Exception:  # noqa: BLE001 (on the way to tell one mistake no other may hide it)
        return None


@contextmanager
def journal(root: Path) -> "Iterator[Journal]":
    """Given the folder of a workspace, open its journal while the context lasts."""
    from tfheal.edge.journal import SqliteJournal

    with closing(SqliteJournal(root / ".tfheal" / "journal.db")) as opened:
        yield opened
