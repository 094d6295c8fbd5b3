"""Upgrades with stand-ins: what is done on a slice is written down, how healthy it is a case says, and a gateway keeps whether it is closed."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from journals import NOW, a_release
from workspaces import write_workspace

from tfheal.base.errors import ConnectFailed
from tfheal.edge.files import WorkspaceFiles
from tfheal.edge.journal import SqliteJournal
from tfheal.edge.lease import JournalLeases
from tfheal.edge.pauses import JournalPauses
from tfheal.edge.templates import JinjaTemplates
from tfheal.edge.upgrades import JournalUpgrades
from tfheal.flows import restore, upgrade_back, upgrade_closed, upgrade_still, versions
from tfheal.flows import upgrade as flow
from tfheal.flows.act import Done, Work
from tfheal.flows.fleet import Limits
from tfheal.flows.upgrade_back import Course
from tfheal.flows.upgrade_checks import Wish
from tfheal.flows.versions import at_version, releases_of
from tfheal.model.findings import Health
from tfheal.model.inventory import Slice
from tfheal.model.ports import Exec, Ports, Reply
from tfheal.model.record import Deployed
from tfheal.model.release import InstanceName
from tfheal.model.upgrade import Upgrade, Upgraded, UpgradeState
from tfheal.model.workspace import Workspace

M = "0123456789abcdef0123456789abcdef"
EDGE = InstanceName("edge", "gateway", "a3")
WEB = InstanceName("shelf", "web", "a1")
SHELF = """\
app: shelf
owner: acme
playbook: shelf
version: "1.0"
place: {web: [a1]}
backup: {to: a2}
"""
FILES = {
    "apps/shelf.yaml": f"{SHELF}hostname: shelf.example\nroute: {{gateway: edge}}\n",
    "apps/edge.yaml": 'app: edge\nowner: acme\nplaybook: gateway\nversion: "debian"\nplace: {gateway: [a3]}\n',
    "playbooks/shelf/playbook.yaml": """\
playbook: shelf
title: A shelf
versions: {"1.0": lock.txt, "2.0": lock.txt}
components:
  web:
    service: {exec: "/bin/shelf {{ version }}"}
    route: {port: 80}
    checks: [{name: up, kind: alive, tcp: 80}]
    data: [{name: data}]
""",
    "playbooks/shelf/lock.txt": "# none\n",
}


@dataclass
class World:
    """One slice with a version on it, its gateway, its backups, and a clock that only sleeping moves."""

    journal: SqliteJournal
    closed: bool = False
    away: bool = False
    passed: float = 0.0
    health: Callable[[str, float], Health] = lambda *_: "healthy"  # of a version, at a time
    meanwhile: Callable[[str], None] = lambda _: None  # what else happens, at each thing that is done
    did: list[str] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)

    def run(self, target: Slice, order: Exec) -> Reply:
        """Answer as the gateway: closed by what closes, open by what opens, and what it was before."""
        assert target.name == EDGE.slice
        if self.away:
            raise ConnectFailed("no route to host", where=target.name)
        was = "already" if self.closed else "anew"
        said = f"closed {was}"
        if "switch/switch state ready" in order.script:
            self.done("closes")
            self.closed = True
        elif 'rm -f "$note"\nnever' in order.script:
            self.done("opens")
            self.closed, said = False, "open 1"
        return Reply(f"{M} {said}\n".encode(), b"", 0, 0.1)

    def done(self, what: str) -> None:
        """Keep what is done."""
        self.did.append(what)
        self.meanwhile(what)

    def act(self, work: Work, *_: object) -> Done:
        """Do all that is asked for."""
        self.done(f"{work.verb} {work.release.version}")
        return Done("", "done", "", 0.0)

    def monotonic(self) -> float:
        """Return the seconds that were slept."""
        return self.passed

    def now(self) -> Any:  # noqa: ANN401 (as the port says)
        """Return the time of all cases."""
        return NOW

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.passed += seconds
        self.meanwhile("sleeps")

    def page(self, message: dict[str, Any]) -> None:
        """Keep who was called."""
        self.pages.append(str(message["detail"]))

    def judged(self, *_: object) -> Any:  # noqa: ANN401
        """Judge the slice by what the case says of the version that is there."""
        (deployed,) = self.journal.deployed("shelf")
        health = self.health(deployed.version, self.passed)
        return SimpleNamespace(instances={WEB: health}, findings=())

    @property
    def ports(self) -> Ports:
        """Return what the flows see."""
        quiet = SimpleNamespace(say=self.done, step=lambda *_: None)
        hands = {
            "journal": self.journal,
            "leases": JournalLeases(self.journal),
            "pauses": JournalPauses(self.journal),
            "upgrades": JournalUpgrades(self.journal),
            "templates": JinjaTemplates(),
            "vault": SimpleNamespace(latest=lambda *_: None),
            "specs": SimpleNamespace(put_version=lambda _, version: self.done(f"spec {version}")),
            "transport": self,
            "clock": self,
            "reporter": quiet,
            "notifier": self,
            "notices": None,
            "marker": lambda: M,
        }
        return cast("Ports", SimpleNamespace(**hands))


@contextmanager
def a_world(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Return a world in which 1.0 is deployed behind a gateway."""
    with closing(SqliteJournal(folder / "journal.db")) as journal:
        world = World(journal)
        edge = a_release(app="edge", component="gateway", slice="a3", playbook="gateway", resources=())
        journal.save_release(edge, NOW)
        journal.set_deployed(Deployed(EDGE, edge.id, "debian", 1, "deployed", NOW))
        for module in (versions, upgrade_back):
            monkeypatch.setattr(module, "act", world.act)
            monkeypatch.setattr(module, "secret_values", lambda *_, **__: {})
        monkeypatch.setattr(upgrade_closed, "look", lambda *_: SimpleNamespace(seen={}))
        monkeypatch.setattr(upgrade_closed, "judged", world.judged)
        monkeypatch.setattr(upgrade_back, "stores_follow", lambda *_: "")
        monkeypatch.setattr(flow, "make_secrets", lambda *_: None)
        good = SimpleNamespace(state="good", id="B2")
        monkeypatch.setattr(upgrade_still, "backup", lambda *_: (SimpleNamespace(backup=good),))
        came_back = SimpleNamespace(outcomes={})
        monkeypatch.setattr(restore, "planned", lambda *_: None)
        monkeypatch.setattr(restore, "in_place", lambda *_: (world.done("the data comes back"), came_back)[1])
        yield world


def a_workspace(root: Path, **files: str) -> Workspace:
    """Return a workspace with the app, its gateway and its playbook."""
    return WorkspaceFiles(write_workspace(root / "w", FILES | files)).load()


def deployed(workspace: Workspace, world: World, version: str) -> None:
    """Have a version of the app deployed."""
    (release,) = releases_of(at_version(workspace, "shelf", version), "shelf", world.ports)
    world.journal.save_release(release, NOW)
    world.journal.set_deployed(Deployed(WEB, release.id, version, 1, "deployed", NOW))


def under_way(root: Path, world: World, state: UpgradeState = "running", **changes: object) -> Course:
    """Return an upgrade from 1.0 to 2.0, as far as a state says, that a run goes on with."""
    workspace = a_workspace(root) if changes.pop("gateway", True) else a_workspace(root, **{"apps/shelf.yaml": SHELF})
    deployed(workspace, world, str(changes.pop("there", "1.0")))
    record = replace(Upgrade("u", "shelf", "1.0", "2.0", state, NOW, backup="B1"), **changes)  # type: ignore[arg-type]
    world.ports.upgrades.put(record)
    return flow._course(workspace, record, 60.0, "r1", world.ports, Limits())


def ended(course: Course) -> tuple[str, bool]:
    """Go on with it; return how the journal says that it ended, and whether anybody may have used the new version."""
    flow._ended(course, Upgraded(course.upgrade, closes=True), course.upgrade, Wish("2.0"))
    last = course.ports.upgrades.last("shelf")
    assert last is not None
    return last.state, last.served


def ill(version: str, _: float) -> Health:
    """Have 2.0 not work."""
    return "healthy" if version == "1.0" else "degraded"
