"""What becomes of an upgrade of a closed app by what its gateway says: nobody's writes are lost, and nothing stays closed in silence.

Slices are stand-ins: what is done there is written down, and how healthy they are a case says. The gateway is one that keeps whether it is closed.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from journals import NOW, a_release, an_action
from workspaces import write_workspace

from tfheal.base.errors import ConnectFailed, Refused
from tfheal.core import upgrade as core
from tfheal.edge.files import WorkspaceFiles
from tfheal.edge.journal import SqliteJournal
from tfheal.edge.lease import JournalLeases
from tfheal.edge.pauses import JournalPauses
from tfheal.edge.templates import JinjaTemplates
from tfheal.edge.upgrades import JournalUpgrades
from tfheal.flows import restore, upgrade_back, upgrade_closed, upgrade_still, upgrade_watch, versions
from tfheal.flows import upgrade as flow
from tfheal.flows.act import Done, Work
from tfheal.flows.fleet import Limits
from tfheal.flows.repository import lease_of
from tfheal.flows.upgrade_back import Course
from tfheal.flows.upgrade_checks import Wish, findings
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


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Return a world in which 1.0 is deployed behind a gateway."""
    with closing(SqliteJournal(tmp_path / "journal.db")) as journal:
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


def test_data_comes_back_where_it_was_closed_all_the_time(tmp_path: Path, world: World) -> None:
    """It fails, and the backup that was made at rest comes back; people are let in to the old version."""
    world.health = ill
    assert ended(under_way(tmp_path, world))[0] == "rolled-back"
    assert "the data comes back" in world.did
    assert (world.closed, world.pages, any("is back after" in one for one in world.did)) == (False, [], True)


def test_no_data_comes_back_over_what_was_written_while_it_was_open(tmp_path: Path, world: World) -> None:
    """The gateway starts anew while the version soaks, people write, then a check fails: a human is called, and it is not closed on them."""

    def starts_anew(what: str) -> None:
        world.closed = world.closed and what != "sleeps"

    world.health, world.meanwhile = ill, starts_anew
    course = under_way(tmp_path, world)
    assert ended(course) == ("frozen", True)
    assert "the data comes back" not in world.did
    assert (len(world.pages), "it was open meanwhile" in world.pages[0], world.closed) == (1, True, False)


def test_no_data_comes_back_where_it_was_open_until_it_was_at_rest(tmp_path: Path, world: World) -> None:
    """The gateway starts anew after it was closed for the way back, while the new version runs still."""

    def starts_anew(what: str) -> None:
        world.closed = world.closed and what != "rollback 1.0"

    world.health, world.meanwhile = ill, starts_anew
    assert ended(under_way(tmp_path, world)) == ("frozen", True)
    assert ("the data comes back" in world.did, len(world.pages)) == (False, 1)


@pytest.mark.parametrize("state", ["migrating", "returning"])
def test_what_is_found_open_is_written_down_before_it_is_closed(
    tmp_path: Path, world: World, state: UpgradeState
) -> None:
    """So a kill right after it was closed anew takes nothing from what is known."""
    served: list[bool] = []

    def looks(what: str) -> None:
        if what == "closes":
            served.append(bool((last := world.ports.upgrades.last("shelf")) and last.served))

    world.health, world.meanwhile = ill, looks
    assert ended(under_way(tmp_path, world, state, there="2.0")) == ("frozen", True)
    assert served in ([], [True])
    assert "the data comes back" not in world.did


def test_a_gateway_that_is_away_at_the_way_back_calls_a_human(tmp_path: Path, world: World) -> None:
    """Once; nothing is put back, and the next run goes on with the way back as soon as it answers."""

    def goes(what: str) -> None:
        world.away = world.away or what == "sleeps"

    world.health, world.meanwhile = ill, goes
    course = under_way(tmp_path, world)
    assert ended(course) == ("returning", False)
    assert int(Upgraded(course.upgrade).exit) == 7
    assert (len(world.pages), "is not sure" in world.pages[0]) == (1, True)
    world.meanwhile = lambda _: None
    assert ended(course) == ("returning", False)
    assert len(world.pages) == 1
    world.away = False
    assert ended(course)[0] == "rolled-back"
    assert "the data comes back" in world.did


def test_a_way_back_that_is_known_to_be_at_rest_goes_on_without_a_gateway(tmp_path: Path, world: World) -> None:
    """Killed, with nothing started since, it ends as if it had not been."""
    started = [False]

    def starts(what: str) -> None:
        started[0] = started[0] or (what == "rollback 1.0" and "the data comes back" in world.did)

    world.health, world.meanwhile = lambda *_: "healthy" if started[0] else "down", starts
    assert ended(under_way(tmp_path, world, "returning", gateway=False, there="2.0"))[0] == "rolled-back"
    assert "the data comes back" in world.did


@pytest.mark.parametrize("by", ["healing", "health"])
def test_a_way_back_without_a_gateway_brings_nothing_back_over_what_ran_meanwhile(
    tmp_path: Path, world: World, by: str
) -> None:
    """Healing acted on it since, whatever runs now, or it is well: people may have written."""
    course = under_way(tmp_path, world, "returning", gateway=False, there="2.0")
    world.health = lambda *_: "down" if by == "healing" else "healthy"
    if by == "healing":
        run = world.journal.begin_run("heal", NOW).id
        an_action(world.journal, run, app="shelf", verb="redeploy", incident="i1", started=NOW)
    assert ended(course) == ("frozen", True)
    assert ("the data comes back" in world.did, len(world.pages)) == (False, 1)


def test_what_was_killed_before_it_let_people_in_lets_them_in_first(tmp_path: Path, world: World) -> None:
    """It is proven: the next run opens it before anything else, and does not wait for another soak."""
    course = under_way(tmp_path, world, "opened", there="2.0", served=True)
    world.closed = True
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(flow, "_gone", lambda course: (world.done("goes on"), course.upgrade)[1])
        ended(course)
    assert world.did.index("opens") < world.did.index("goes on")
    assert not world.closed


def test_the_way_back_waits_for_who_works_on_the_backups(tmp_path: Path, world: World) -> None:
    """A drill that a tick makes meanwhile is no reason to leave an app closed: it ends, and the data comes back."""
    course = under_way(tmp_path, world, "returning", there="2.0")
    world.closed, world.health = True, ill
    leases = JournalLeases(world.journal)
    drill = leases.hold(lease_of("shelf"), "backup drill", "r2")
    held = ExitStack()
    held.enter_context(drill)
    world.meanwhile = lambda what: held.close() if what == "sleeps" and world.passed > 3 else None
    assert ended(course)[0] == "rolled-back"
    assert "the data comes back" in world.did


@pytest.mark.parametrize(("silent", "state"), [(40.0, "done"), (1e6, "rolled-back")])
def test_a_slice_that_cannot_be_asked_proves_nothing_against_a_version(
    tmp_path: Path, world: World, silent: float, state: str
) -> None:
    """It may be silent for a while in its soak; for too long it is taken back, and the version is not held for that."""
    world.health = lambda version, now: "unknown" if version == "2.0" and 30 < now < 30 + silent else "healthy"
    assert ended(under_way(tmp_path, world))[0] == state
    assert [one for one in world.journal.standings() if one.held] == []
    assert (world.passed > core.SILENT_FOR) is (state == "rolled-back")


def test_a_version_that_the_playbook_lists_no_more_is_refused_with_what_to_do(tmp_path: Path, world: World) -> None:
    """Also where it is the one before, of an upgrade that was begun."""
    playbook = FILES["playbooks/shelf/playbook.yaml"].replace('"1.0": lock.txt', '"1.1": lock.txt')
    spec = FILES["apps/shelf.yaml"].replace("1.0", "2.0")
    deployed(a_workspace(tmp_path), world, "2.0")
    workspace = a_workspace(tmp_path / "later", **{"playbooks/shelf/playbook.yaml": playbook, "apps/shelf.yaml": spec})
    for state in ("migrating", "done"):
        world.ports.upgrades.put(Upgrade("u", "shelf", "1.0", "2.0", state, NOW, backup="B1"))  # type: ignore[arg-type]
        with pytest.raises(Refused, match=r"lists version 1\.0 no more"):
            flow.rollback(workspace, "shelf", world.ports, Limits())


def test_an_instance_that_the_spec_places_no_more_is_refused(tmp_path: Path, world: World) -> None:
    """Of one that was begun its place has to stay until it is over."""
    workspace = a_workspace(tmp_path)
    deployed(workspace, world, "1.0")
    elsewhere = a_workspace(tmp_path / "later", **{"apps/shelf.yaml": FILES["apps/shelf.yaml"].replace("[a1]", "[a3]")})
    world.ports.upgrades.put(Upgrade("u", "shelf", "1.0", "2.0", "migrating", NOW, backup="B1"))
    with pytest.raises(Refused, match="places it there no more"):
        flow.rollback(elsewhere, "shelf", world.ports, Limits())


def test_a_rollback_that_is_killed_is_gone_on_with(tmp_path: Path, world: World) -> None:
    """That it is being taken back is written down before anything is; the same upgrade ends it, and status says so."""

    def dies(what: str) -> None:
        if what == "rollback 1.0":
            raise KeyboardInterrupt

    safe = FILES["playbooks/shelf/playbook.yaml"] + "upgrade: {rollback: safe}\n"
    workspace = a_workspace(tmp_path, **{"playbooks/shelf/playbook.yaml": safe})
    deployed(workspace, world, "2.0")
    world.ports.upgrades.put(Upgrade("u", "shelf", "1.0", "2.0", "done", NOW))
    assert list(findings("shelf", world.ports)) == []
    world.meanwhile = dies
    with pytest.raises(KeyboardInterrupt):
        flow.rollback(workspace, "shelf", world.ports, Limits())
    last = world.ports.upgrades.last("shelf")
    assert last is not None
    assert last.state == "taking-back"
    (told,) = findings("shelf", world.ports)
    assert (told.cause, "tfheal upgrade shelf --to 2.0 goes on" in told.detail) == ("upgrade-unfinished", True)
    world.meanwhile, world.did = lambda _: None, []
    course = flow._course(workspace, last, 60.0, "r1", world.ports, Limits())
    assert ended(course)[0] == "rolled-back"
    assert "deploy 2.0" not in world.did
    assert list(findings("shelf", world.ports)) == []


@pytest.mark.parametrize(("silent", "well", "blamed"), [(40.0, True, True), (1e6, False, False)])
def test_an_instance_that_is_rolled_may_be_silent_too(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch, silent: float, *, well: bool, blamed: bool
) -> None:
    """It is waited for in the same way, in its soak and in the traffic; who is silent for too long failed, by no fault of the version."""
    monkeypatch.setattr(upgrade_watch, "look", lambda *_: SimpleNamespace(seen={}))
    monkeypatch.setattr(upgrade_watch, "judged", world.judged)
    monkeypatch.setattr(upgrade_watch, "counted", lambda *_: ())
    for looks in (
        lambda course: upgrade_watch.watched(course, course.after[0]),
        lambda course: upgrade_watch.tried(course, course.after[0], 60.0).why,
    ):
        course, begun = under_way(tmp_path, world, there="2.0"), world.passed + 12
        world.health = lambda _, now, begun=begun: "unknown" if begun < now < begun + silent else "healthy"
        assert (looks(course) == "", course.blamed) == (well, blamed)
