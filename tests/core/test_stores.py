"""An app that wants backups has a store: one more component, with a key and a folder for each slice with data."""

from pathlib import Path

import pytest
from workspaces import write_workspace

from tfheal.core.release import Blueprint, releases
from tfheal.core.stores import copy_public_name, guarded, keeper, public_name, sources, url
from tfheal.edge.files import WorkspaceFiles
from tfheal.edge.templates import JinjaTemplates
from tfheal.model.backup import AppBackup
from tfheal.model.release import Release
from tfheal.model.resources import Directory, File, Packages

SPEC = """\
app: shelf
owner: acme
playbook: copyparty
version: "1.20.26"
place: {web: [a1, a2]}
backup: {to: a3}
"""


def test_an_address_is_no_component(tmp_path: Path) -> None:
    """Nothing of ours is placed there, and what is said of such backups is said of where the data is."""
    root = write_workspace(tmp_path)
    (root / "apps" / "shelf.yaml").write_text(SPEC.replace("to: a3", "to: 's3:keeps.example/b', secrets: [aws_key]"))
    workspace = WorkspaceFiles(root).load()
    playbook = workspace.folder("shelf").playbook
    assert set(playbook.components) == set(workspace.apps["shelf"].place) == {"web"}
    assert "restic" in playbook.components["web"].packages
    assert "aws_key" in playbook.secrets
    assert str(keeper(workspace, "shelf")) == "shelf/store@a1"
    assert url("s3:keeps.example/b/", "shelf", "a1") == "s3:keeps.example/b/shelf/a1"


def test_no_slice_has_a_way_to_the_copies(tmp_path: Path) -> None:
    """The second store is a store like the first, which lets in other keys: those by which the first one copies."""
    root = write_workspace(tmp_path)
    (root / "apps" / "shelf.yaml").write_text(SPEC.replace("[a1, a2]", "[a1]").replace("to: a3", "to: a3, copy_to: a2"))
    workspace = WorkspaceFiles(root).load()
    spec, folder = workspace.apps["shelf"], workspace.folder("shelf")
    assert spec.place["store"] == ("a3", "a2")
    versions = dict.fromkeys(folder.playbook.secrets, 1)
    blueprint = Blueprint(spec, folder, workspace.inventory, versions, JinjaTemplates().render)
    found = {one.slice: one.secrets() for one in releases(blueprint) if one.component == "store"}
    assert found == {"a3": {(public_name("a1"), 1)}, "a2": {(copy_public_name("a1"), 1)}}


@pytest.fixture
def made(tmp_path: Path) -> dict[str, Release]:
    """Return the releases of such an app, by instance."""
    root = write_workspace(tmp_path)
    (root / "apps" / "shelf.yaml").write_text(SPEC)
    workspace = WorkspaceFiles(root).load()
    spec, folder = workspace.apps["shelf"], workspace.folder("shelf")
    assert sources(spec, folder.playbook) == ("a1", "a2")
    versions = dict.fromkeys(folder.playbook.secrets, 1)
    blueprint = Blueprint(spec, folder, workspace.inventory, versions, JinjaTemplates().render)
    return {str(release.instance): release for release in releases(blueprint)}


def test_the_store_is_a_component(made: dict[str, Release]) -> None:
    """It stands on its slice; each slice with data has a folder there that its user alone enters."""
    assert set(made) == {"shelf/web@a1", "shelf/web@a2", "shelf/store@a3"}
    store = made["shelf/store@a3"]
    folders = {one.path: one for one in store.resources if isinstance(one, Directory)}
    assert set(folders) == {f"/srv/tfheal/shelf/store{name}" for name in ("", "/a1", "/a2")}
    assert folders["/srv/tfheal/shelf/store/a1"].mode == "0700"
    assert all(one.data for one in folders.values())
    assert store.secrets() == {(public_name("a1"), 1), (public_name("a2"), 1)}


def test_a_key_opens_one_folder_and_nothing_else(made: dict[str, Release]) -> None:
    """Each line lets a key in for one command: append-only, on the folder of its slice."""
    keys = next(one for one in made["shelf/store@a3"].resources if isinstance(one, File))
    lines = (keys.content or "").splitlines()
    for line, name in zip(lines, ("a1", "a2"), strict=True):
        folder = f"/srv/tfheal/shelf/store/{name}"
        assert line.startswith(
            f'restrict,command="{guarded(folder)}/usr/bin/rclone serve restic --stdio --append-only '
        )
        assert f'{folder}" ' in line


def test_slices_with_data_get_what_backups_need(made: dict[str, Release]) -> None:
    """Restic comes with the deploy of the app, and not with its first backup."""
    packages = next(one for one in made["shelf/web@a1"].resources if isinstance(one, Packages))
    assert {"restic", "openssh-client"} <= set(packages.names)


def test_who_is_led_there_has_no_key(tmp_path: Path) -> None:
    """With `via: controller` nobody is let in, nothing that reaches a store is put on a slice, and no key is a secret of it."""
    root = write_workspace(tmp_path)
    (root / "apps" / "shelf.yaml").write_text(SPEC.replace("to: a3", "to: a3, via: controller"))
    workspace = WorkspaceFiles(root).load()
    spec, folder = workspace.apps["shelf"], workspace.folder("shelf")
    assert "openssh-client" not in folder.playbook.components["web"].packages
    blueprint = Blueprint(
        spec, folder, workspace.inventory, dict.fromkeys(folder.playbook.secrets, 1), JinjaTemplates().render
    )
    (store,) = (one for one in releases(blueprint) if one.component == "store")
    assert next(one for one in store.resources if isinstance(one, File)).content == ""
    assert next(one for one in store.resources if isinstance(one, Packages)).names[0] == "restic-rest-server"
    assert not store.secrets()


def test_only_a_slice_is_led_to() -> None:
    """What lies elsewhere is reached by the slices themselves."""
    with pytest.raises(ValueError, match="via is of a store that is a slice"):
        AppBackup.model_validate({"to": "/mnt/disk", "via": "controller"})
