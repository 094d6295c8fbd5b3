"""What must not be shown of a slice: every value of every secret of an app that is or ever was there."""

from dataclasses import replace
from pathlib import Path

import pytest
from journals import NOW, WEB, an_action
from workspaces import write_workspace

from tfheal.base.errors import LoginFailed
from tfheal.edge.files import WorkspaceFiles
from tfheal.edge.journal import SqliteJournal
from tfheal.edge.vault import AgeVault
from tfheal.flows.hidden import hidden, hushed
from tfheal.model.record import Deployed


@pytest.fixture
def vault(tmp_path: Path) -> AgeVault:
    """Return a vault in which each of some apps has a secret that is called after it, in two versions."""
    (tmp_path / "secret").mkdir()
    return AgeVault(tmp_path / "secret", tmp_path / "age.key")


def test_a_slice_knows_what_is_what_was_and_what_colleagues_put_there(tmp_path: Path, vault: AgeVault) -> None:
    """Deployed now, removed long ago, or only placed by a spec: it counts; what was never there does not."""
    workspace = WorkspaceFiles(write_workspace(tmp_path / "workspace")).load()
    journal = SqliteJournal(tmp_path / "journal.db")
    now = {app: vault.known_values(app) for app in ("site", "crm", "past", "other") if vault.make(app, "admin", 12)}
    run = journal.begin_run("deploy", NOW).id
    an_action(journal, run, app="past", slice="a2")
    journal.set_deployed(Deployed(replace(WEB, slice="a2"), "0" * 16, "1", 1, "deployed", NOW))
    journal.set_deployed(Deployed(replace(WEB, app="other", slice="b1"), "0" * 16, "1", 1, "deployed", NOW))
    vault.make("past", "admin", 12)
    try:
        found = hidden(workspace, journal, vault, ["a1", "a2", "a3"])
    finally:
        journal.close()
    there = {"a1": ["site"], "a2": ["crm", "past", "site"], "a3": []}
    assert found == {
        name: tuple(one.reveal() for app in apps for one in vault.known_values(app)) for name, apps in there.items()
    }
    assert now["past"][0].reveal() in found["a2"], "an old value is one too"
    assert len(found["a2"]) == 4


def test_an_error_that_quotes_a_slice_shows_nothing() -> None:
    """Its sudo, its shell or its login may say what they like; what stays says as much as it may."""
    error = hushed(LoginFailed("admin cannot become root", where="s1", why="sudo: hush hush!"), ["hush hush"])
    assert str(error) == "s1: admin cannot become root: sudo: ***!"
