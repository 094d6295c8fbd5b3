"""An app between two versions, and one that is to go back: who may not go over it, and what brings it to its end."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from journals import NOW
from upgrading import SHELF, WEB, World, a_workspace, a_world, deployed, under_way

from tfheal.base.errors import Refused
from tfheal.flows import deploy, remove, status, upgrade_checks
from tfheal.flows.look import Look
from tfheal.flows.releases import expected
from tfheal.flows.remove import RemoveOptions
from tfheal.flows.versions import unfinished
from tfheal.model.playbook import WayBack
from tfheal.model.ports import Ports
from tfheal.model.upgrade import Upgrade, Upgraded, UpgradeState


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("running", "tfheal upgrade shelf --to 2.0 goes on, tfheal rollback shelf takes it back"),
        ("undecided", "tfheal upgrade shelf --to 2.0 --go-on goes on, tfheal rollback shelf takes it back"),
        ("taking-back", "tfheal upgrade shelf --to 2.0 goes on; --in-place"),
    ],
)
def test_a_deploy_does_not_go_over_an_upgrade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: UpgradeState, says: str
) -> None:
    """What it would do is mixed up with what the upgrade did: it names the commands that end that; without anything to do it is done."""
    with a_world(tmp_path, monkeypatch) as world:
        under_way(tmp_path, world, state)
        there, first = (
            cast("deploy._Trip", SimpleNamespace(app="shelf", ports=world.ports, known=known))
            for known in ({WEB: None}, {})
        )
        assert says in deploy._cut_off(there, [WEB])
        assert deploy._cut_off(there, []) == ""
        assert deploy._cut_off(first, [WEB]) == "", "of a first deploy there is nothing to mix up"


def test_status_advises_no_deploy_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever followed that would go over the upgrade; once it has come to its end a spec that asks for something else is told."""
    with a_world(tmp_path, monkeypatch) as world:
        course = under_way(tmp_path, world, there="2.0")
        seen = Look(expected(("shelf",), world.ports), {}, {})
        assert status._not_deployed(course.workspace, ("shelf",), seen, world.ports) == ()
        world.ports.upgrades.put(replace(course.upgrade, state="done"))
        (found,) = status._not_deployed(course.workspace, ("shelf",), seen, world.ports)
        assert found.cause == "not-deployed"


@pytest.mark.parametrize(("data", "ends"), [(True, True), (False, False)])
def test_an_upgrade_ends_with_its_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, data: bool, ends: bool
) -> None:
    """What is removed with its data has no upgrade any more that would wait for its end; data that stays may be of either version."""
    with a_world(tmp_path, monkeypatch) as world:
        under_way(tmp_path, world, "frozen")
        items = tuple(expected(("shelf",), world.ports))
        remove._forget_upgrade("shelf", items, RemoveOptions(data=data), world.ports)
        assert (unfinished("shelf", world.ports) is None) is ends


def due(root: Path, world: World, old: str, new: str, rule: WayBack) -> None:
    """Ask whether an upgrade may begin."""
    workspace = a_workspace(root, **{"apps/shelf.yaml": SHELF.replace("backup: {to: a2}\n", "")})
    deployed(workspace, world, old)
    specs = SimpleNamespace(takes_version=lambda _: True)
    ports = cast("Ports", SimpleNamespace(**vars(world.ports) | {"specs": specs}))
    upgrade_checks._is_due(workspace, Upgraded(Upgrade("u", "shelf", old, new, "planned", NOW), rule), ports)


def test_an_older_version_goes_over_no_newer_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the playbook does not call the way back safe it is refused, and says what goes back; up, and safely down, it is not."""
    with a_world(tmp_path, monkeypatch) as world:
        due(tmp_path / "up", world, "1.0", "2.0", "needs-restore")
        due(tmp_path / "safe", world, "2.0", "1.0", "safe")
        for rule, why in (("forbidden", "forbids to go back"), ("needs-restore", "needs a restore")):
            with pytest.raises(Refused, match=r"1\.0 is older") as told:
                due(tmp_path / rule, world, "2.0", "1.0", cast("WayBack", rule))
            assert why in told.value.why
            assert "tfheal rollback shelf" in told.value.hint
