"""Every kind of mistake in a workspace, from a table of cases: what is written, and what is told."""

from pathlib import Path
from typing import Final

import pytest
from workspaces import VALID, case, mistakes_of, write_workspace

CASES: Final = sorted((Path(__file__).parent.parent / "tables" / "workspace").glob("*.case"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_mistakes_are_told_as_the_case_says(path: Path, tmp_path: Path) -> None:
    """All mistakes of all files at once, in the order of files and lines, in these words."""
    files, expected = case(path)
    assert mistakes_of(write_workspace(tmp_path, files)) == expected
    assert expected, "a case shows a mistake"


def test_the_valid_workspace_is_valid(tmp_path: Path) -> None:
    """What the cases spoil is without a mistake before."""
    assert mistakes_of(write_workspace(tmp_path)) == []


def test_an_app_is_not_blamed_for_an_inventory_that_cannot_be_read(tmp_path: Path) -> None:
    """One mistake is told once: what follows from it is left out."""
    broken = {"inventory.toml": VALID["inventory.toml"] + "[slices.x]\nowner = 5\n"}
    found = mistakes_of(write_workspace(tmp_path, broken))
    assert len(found) == 2
    assert all(line.startswith("inventory.toml:") for line in found)


def test_a_playbook_that_is_wrong_does_not_spoil_its_apps(tmp_path: Path) -> None:
    """An app of a playbook with mistakes is checked against what can be read only."""
    broken = {"playbooks/demo/playbook.yaml": VALID["playbooks/demo/playbook.yaml"].replace("title: A", "titel: A")}
    found = mistakes_of(write_workspace(tmp_path, broken))
    assert all(line.startswith("playbooks/demo/playbook.yaml:") for line in found)
