"""What becomes of an upgrade by what its gateway and its slices say: nobody's writes are lost, and nothing stays closed in silence."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from journals import NOW, an_action
from upgrading import FILES, World, a_workspace, a_world, deployed, ended, ill, under_way

from tfheal.base.errors import Refused
from tfheal.core import upgrade as core
from tfheal.edge.lease import JournalLeases
from tfheal.flows import upgrade as flow
from tfheal.flows import upgrade_watch
from tfheal.flows.fleet import Limits
from tfheal.flows.repository import lease_of
from tfheal.flows.upgrade_checks import findings
from tfheal.model.upgrade import Upgrade, Upgraded, UpgradeState


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Return a world in which 1.0 is deployed behind a gateway."""
    with a_world(tmp_path, monkeypatch) as world:
        yield world


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


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("frozen", "is frozen (it broke): tfheal upgrade shelf --to 2.0 goes on, tfheal rollback shelf takes it back"),
        ("undecided", "is undecided (it broke): tfheal upgrade shelf --to 2.0 --go-on goes on, tfheal rollback"),
        ("running", "is under way, or was cut off: then tfheal upgrade shelf --to 2.0 goes on, tfheal rollback"),
    ],
)
def test_what_waits_for_a_human_is_told_by_status(tmp_path: Path, world: World, state: UpgradeState, told: str) -> None:
    """Not only what was cut off: whoever was called, or was not, finds there what to do."""
    deployed(a_workspace(tmp_path), world, "2.0")
    world.ports.upgrades.put(Upgrade("u", "shelf", "1.0", "2.0", state, NOW, detail="it broke; its last lines:\nx"))
    (found,) = findings("shelf", world.ports)
    assert told in found.detail


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
