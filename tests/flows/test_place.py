"""Where apps run: the spec's word and that of a move, in a real workspace with a real journal."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from journals import NOW, WEB, a_release, an_action
from upgrading import EDGE, FILES, World, a_workspace, a_world, deployed
from workspaces import write_workspace

from tfheal.edge.files import WorkspaceFiles
from tfheal.edge.journal import SqliteJournal
from tfheal.flows.fleet import Limits
from tfheal.flows.place import _anew, _at, _following, _phase, effective
from tfheal.flows.releases import wanted
from tfheal.flows.rungs import HealRun
from tfheal.model.playbook import DataSet
from tfheal.model.record import Deployed, Phase, Place, Placement

SPEC: Place = {"db": ("a1",), "web": ("a1", "a2")}
MOVED: Place = {"db": ("a1",), "web": ("a1", "a3")}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    """Return an open journal."""
    with closing(SqliteJournal(tmp_path / ".tfheal" / "journal.db")) as opened:
        yield opened


def placed(root: Path, journal: SqliteJournal) -> Place:
    """Return where the app of the workspace is to run, as every command has it."""
    return effective(WorkspaceFiles(root).load(), journal).apps["site"].place


def test_a_move_stands_until_the_spec_changes(tmp_path: Path, journal: SqliteJournal) -> None:
    """Also for later runs and read twice; a changed spec is right again, and so is one from before once it is back."""
    root = write_workspace(tmp_path / "w")
    assert placed(root, journal) == SPEC
    journal.move(Placement("site", MOVED, SPEC, frozenset({"web"}), NOW), ())
    workspace = effective(WorkspaceFiles(root).load(), journal)
    assert workspace.apps["site"].place == MOVED
    assert workspace.written("site").place == SPEC
    assert effective(workspace, journal) == workspace
    spec = root / "apps" / "site.yaml"
    before = spec.read_text()
    spec.write_text(before.replace("web: [a1, a2]", "web: [a2]"))
    assert placed(root, journal) == {"db": ("a1",), "web": ("a2",)}
    spec.write_text(before)
    assert placed(root, journal) == MOVED
    journal.drop_placement("site")
    assert placed(root, journal) == SPEC


def test_a_slice_that_left_the_inventory_is_no_place(tmp_path: Path, journal: SqliteJournal) -> None:
    """Then the spec is all there is."""
    root = write_workspace(tmp_path / "w")
    journal.move(Placement("site", {"db": ("a1",), "web": ("gone",)}, SPEC, frozenset(), NOW), ())
    assert placed(root, journal) == SPEC


def followers(root: Path, world: World, apps: tuple[str, ...], **files: str) -> list[tuple[str, str]]:
    """Have the gateway deployed as it is written, and what is written changed; return who follows when the app behind it moves, and from which release."""
    first = a_workspace(root)
    deployed(first, world, "1.0")
    (edge,) = wanted(first, "edge", world.ports)
    world.journal.save_release(edge, NOW)
    world.journal.set_deployed(Deployed(EDGE, edge.id, "debian", 1, "deployed", NOW))
    workspace = a_workspace(root / "then", **files)
    run = HealRun(workspace, apps, world.ports, Limits(), "r1")
    found = _following(run, _at(workspace, "shelf", {"web": ("a2",)}), "shelf")
    return [(str(one.instance), "as it was" if one.id == edge.id else "anew") for one, _ in found]


def test_a_gateway_follows_a_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If this run may act on it, and nothing else is asked of it: a move brings no settings along that nobody deployed."""
    others = FILES["apps/edge.yaml"] + "settings: {patience: 40}\n"
    with a_world(tmp_path, monkeypatch) as world:
        ours, theirs = ("shelf", "edge"), ("shelf",)
        with world.ports.leases.hold("edge", "heal", "r1"):
            assert followers(tmp_path / "a", world, ours) == [("edge/gateway@a3", "anew")]
            assert followers(tmp_path / "b", world, theirs) == []
            assert followers(tmp_path / "c", world, ours, **{"apps/edge.yaml": others}) == []
        assert followers(tmp_path / "d", world, ours) == [], "another may hold it"
    assert len([one for one in world.did if one.startswith("edge  does not follow shelf: ")]) == 3


@pytest.mark.parametrize(
    ("phase", "then"), [("deployed", "deploying"), ("remaking", "remaking"), ("restoring", "restoring")]
)
def test_what_waits_for_its_data_waits_also_with_another_release(phase: Phase, then: Phase) -> None:
    """It would start without it, and look well; so it is when another component of its app moves, too."""
    assert _anew(phase) == then
    release = a_release(data=(DataSet(name="data", path="/srv/tfheal/crm/web/data"),), resources=())
    assert _phase(release, {release.instance: phase}) == then
    assert _phase(release, {}) == "remaking", "what is new on its slice waits for what it had"


def test_a_move_is_written_whole(journal: SqliteJournal) -> None:
    """The placement and what every instance is meant to be are there together, and read back as they were written."""
    one = Placement("crm", MOVED, SPEC, frozenset({"web"}), NOW)
    left = Deployed(WEB, "f" * 16, "1", 3, "retired", NOW)
    journal.move(one, [left])
    assert journal.placement("crm") == one
    assert journal.deployed("crm") == [left]
    assert journal.placement("other") is None


def test_a_call_about_a_slice_is_of_no_app(journal: SqliteJournal) -> None:
    """It is in the history, and is taken for no app by anybody who asks which there are."""
    run = journal.begin_run("heal", NOW).id
    an_action(journal, run, verb="page", app="", instance=None)
    assert journal.apps() == []
    assert journal.apps_by_slice() == {}


def test_silence_counts_from_its_beginning(journal: SqliteJournal) -> None:
    """A slice is silent since the first time, until it is heard; what its owner said before is kept."""
    journal.note_health({WEB: "paused"}, NOW)
    journal.note_silence({"s1", "s2"}, {"s3"}, NOW)
    journal.note_health({WEB: "unknown"}, NOW)
    journal.note_silence({"s1"}, {"s2"}, NOW + timedelta(minutes=9))
    (silence,) = journal.silences().values()
    assert (silence.slice, silence.since, silence.paused) == ("s1", NOW, True)
    journal.note_silence((), {"s1"}, NOW)
    journal.note_silence({"s1"}, (), NOW + timedelta(hours=1))
    assert journal.silences()["s1"].since == NOW + timedelta(hours=1)
    assert not journal.silences()["s1"].paused
