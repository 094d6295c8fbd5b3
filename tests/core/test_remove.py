"""What a removal takes away: what is ours, nobody else's and no data, in the reverse order, its own memory last."""

from pathlib import Path

import pytest
from releases import a_release
from shells import ran

from tfheal.core.remove import removal
from tfheal.core.resources import steps
from tfheal.core.resources.step import Step
from tfheal.model import paths

RESOURCES: tuple[dict[str, object], ...] = (
    {"kind": "packages", "names": ["curl", "jq=1.7"]},
    {"kind": "directory", "path": "/etc/notes"},
    {"kind": "directory", "path": "/srv/notes", "data": True},
    {"kind": "file", "path": "/etc/notes/main.conf", "content": "a = 1\n"},
    {"kind": "command", "name": "init", "run": ":", "done": "true"},
    {"kind": "command", "name": "mark", "run": ":", "done": "true", "undo": "rm -f /mark"},
)
RELEASE = a_release(*RESOURCES, unit=None)


def removed(claimed: set[str] | None = None, *, data: bool = False, packages: bool = False) -> tuple[Step, ...]:
    """Return the steps of a removal."""
    return removal(RELEASE, steps(RELEASE, {}), claimed or set(), data=data, packages=packages)


def names(made: tuple[Step, ...]) -> list[str]:
    """Return what each step takes away."""
    return [step.id.removeprefix("remove ") for step in made]


def test_what_is_ours_goes_in_reverse_order() -> None:
    """What was made last goes first; packages, data, and what cannot be undone stay; the memory of it goes last."""
    assert names(removed()) == ["command:mark", "file:/etc/notes/main.conf", "directory:/etc/notes", "state"]


def test_data_goes_only_when_it_is_said() -> None:
    """And then in its place in the order."""
    assert names(removed(data=True))[-3:] == ["directory:/srv/notes", "directory:/etc/notes", "state"]


def test_packages_go_only_when_it_is_said_and_before_the_memory() -> None:
    """By their names, without the pinned versions, and never purged."""
    made = removed(packages=True)
    assert names(made)[-2:] == ["packages:curl,jq", "state"]
    assert "jq=" not in made[-2].apply
    assert "remove" in made[-2].apply
    assert "--purge" not in made[-2].apply


def test_a_package_that_another_needs_stays() -> None:
    """Whatever else the other one asks for beside it."""
    assert names(removed({"packages:curl,python3-venv"}, packages=True))[-2:] == ["packages:jq", "state"]
    assert "packages" not in " ".join(names(removed({"packages:jq", "packages:curl"}, packages=True)))


@pytest.mark.parametrize("claimed", ["file:/etc/notes/main.conf", "directory:/etc/notes", "command:mark"])
def test_what_another_claims_stays(claimed: str) -> None:
    """A resource that another instance on the slice has too is not taken from it."""
    assert names(removed({claimed})) == [name for name in names(removed()) if name != claimed]


def test_a_removal_asks_nothing_and_changes_no_service() -> None:
    """It has no guard and no check afterwards, so that it can be run again wherever it was interrupted."""
    for step in removed(data=True, packages=True):
        assert (step.check, step.effect, step.diff) == ("", "nothing", None)


def test_the_memory_of_one_instance_goes_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folders go, those around them only when they are empty, and a second time there is nothing to do."""
    monkeypatch.setattr(paths, "STATE", str(tmp_path / "var"))
    monkeypatch.setattr(paths, "home", lambda app, component: f"{tmp_path}/opt/{app}/{component}")
    for place in ("var/notes/web", "opt/notes/web/config", "var/notes/db", "opt/other/web"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "var/notes/web/state").touch()
    for _ in range(2):
        assert ran(removed()[-1].apply).returncode == 0
        left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
        assert left == ["opt", "opt/other", "opt/other/web", "var", "var/notes", "var/notes/db"]
