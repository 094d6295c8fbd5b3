"""Releases: everything rendered, nothing secret in them, and the same content under the same address."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from workspaces import VALID, write_workspace

from tfheal.base.errors import ConfigError
from tfheal.core.release import Blueprint, bytes_beside, releases, settings, text_beside
from tfheal.edge.files import WorkspaceFiles
from tfheal.edge.templates import JinjaTemplates
from tfheal.model.app import AppHeal
from tfheal.model.playbook import Check
from tfheal.model.release import Release, filled, secret_token
from tfheal.model.resources import File, Unit, resource_id
from tfheal.model.workspace import PlaybookFolder

PLAYBOOK = "playbooks/demo/playbook.yaml"
LOGO = bytes(range(256))


@pytest.fixture(scope="module")
def blueprint(tmp_path_factory: pytest.TempPathFactory) -> Blueprint:
    """Return the blueprint of the valid workspace: a database on one slice, a web tier that needs it on two."""
    own = "      - {kind: file, path: '{{ config }}/logo.png', binary: logo.png}\n"
    playbook = VALID[PLAYBOOK].replace("      - {kind: venv}\n", f"      - {{kind: venv}}\n{own}")
    root = write_workspace(tmp_path_factory.mktemp("workspace"), {PLAYBOOK: playbook})
    (root / "playbooks/demo/logo.png").write_bytes(LOGO)
    workspace = WorkspaceFiles(root).load()
    app = workspace.apps["site"]
    return Blueprint(app, workspace.playbooks[app.playbook], workspace.inventory, {"admin": 1}, JinjaTemplates().render)


def changed(blueprint: Blueprint, **changes: object) -> Blueprint:
    """Return the blueprint with another word in the app's spec."""
    return replace(blueprint, app=blueprint.app.model_copy(update=changes))


def file_of(release: Release, name: str) -> File:
    """Return a file of a release."""
    return next(one for one in release.resources if isinstance(one, File) and one.path.endswith(f"/{name}"))


def test_every_instance_has_its_release(blueprint: Blueprint) -> None:
    """One for each place, in the order of the spec, with its own addresses and names."""
    made = releases(blueprint)
    assert [str(release.instance) for release in made] == ["site/db@a1", "site/web@a1", "site/web@a2"]
    assert made[1].needs == ("db",)
    assert made[0].unit == "tfheal-site-db.service"
    assert file_of(made[1], "web.conf").content == (
        f"title = Hello\npassword = {secret_token('admin', 1)}\n\ndb = 2001:db8::1\n\n"
    )
    assert made[1].checks[0].http is not None
    assert made[1].checks[0].http.url == "http://127.0.0.1:8080/"


def test_nothing_of_a_template_is_left(blueprint: Blueprint) -> None:
    """No text of a release has a mark of a template in it, and no resource names a file beside the playbook."""
    for release in releases(blueprint):
        assert not [mark for mark in ("{{", "{%", "{#") if mark in release.model_dump_json(exclude={"reflex"})]
        assert not [one for one in release.resources if isinstance(one, File) and (one.template or one.binary)]


def test_resources_come_in_an_order_that_works(blueprint: Blueprint) -> None:
    """Packages, the user and the folders first, then the playbook's own, and last the service that needs them all."""
    db, web, _ = releases(blueprint)
    assert [resource_id(one) for one in db.resources] == [
        "packages:curl",
        "user:tf-site-db",
        "directory:/opt/tfheal/site/db/config",
        "directory:/srv/tfheal/site/db",
        "unit:tfheal-site-db.service",
    ]
    assert [resource_id(one).partition(":")[0] for one in web.resources] == [
        *("user", "directory", "venv", "file", "file", "unit"),
    ]


def test_a_binary_file_comes_as_it_is(blueprint: Blueprint) -> None:
    """Every byte of it."""
    encoded = file_of(releases(blueprint)[1], "logo.png").base64
    assert encoded is not None
    assert base64.b64decode(encoded) == LOGO


def test_the_same_content_has_the_same_address(blueprint: Blueprint) -> None:
    """Made again, read back from JSON or from a spec in another order, it is the same release."""
    first = releases(blueprint)
    assert [release.id for release in releases(blueprint)] == [release.id for release in first]
    for release in first:
        again = Release.model_validate_json(release.model_dump_json())
        assert (again, again.id) == (release, release.id)
        assert len(release.id) == 16
        assert int(release.id, 16) >= 0
    turned = changed(blueprint, settings={"port": 8080, "title": "Hello"})
    assert [release.id for release in releases(turned)] == [release.id for release in first]


@pytest.mark.parametrize(
    ("changes", "components"),
    [
        ({"settings": {"title": "Other"}}, {"web"}),
        ({"place": {"db": ("a1", "a3"), "web": ("a1", "a2")}}, {"web"}),
        ({"version": "1.0"}, {"db", "web"}),
        ({"hostname": "site.example"}, set()),
        ({"heal": AppHeal(reflex="off")}, {"db", "web"}),
        ({"heal": AppHeal(allow=("restart",))}, set()),
        ({"spares": ("a3",)}, set()),
    ],
)
def test_another_content_has_another_address(
    blueprint: Blueprint, changes: dict[str, object], components: set[str]
) -> None:
    """Only what is really different on a slice is another release there."""
    before = {release.instance: release.id for release in releases(blueprint)}
    after = {release.instance: release.id for release in releases(changed(blueprint, **changes))}
    assert {name.component for name in before if before[name] != after[name]} == components


def test_a_secret_is_named_and_not_held(blueprint: Blueprint) -> None:
    """A release says name and version; another version is another release, and the value comes in at the very end."""
    web = releases(blueprint)[1]
    assert web.secrets() == {("admin", 1)}
    assert releases(blueprint)[0].secrets() == frozenset()
    rotated = releases(replace(blueprint, versions={"admin": 2}))[1]
    assert rotated.id != web.id
    assert rotated.secrets() == {("admin", 2)}
    assert "hush" not in web.model_dump_json()
    content = file_of(web, "web.conf").content or ""
    assert "password = hush \\1\n" in filled(content, {("admin", 1): "hush \\1"})


def test_what_a_setting_holds_is_not_a_template(blueprint: Blueprint) -> None:
    """Text that looks like one is text: it is rendered once, and by nobody again."""
    hostile = changed(blueprint, settings={"title": "{{ secrets.admin }}{% for %}"})
    content = file_of(releases(hostile)[1], "web.conf").content or ""
    assert content.startswith("title = {{ secrets.admin }}{% for %}\n")


def test_settings_have_their_defaults(blueprint: Blueprint) -> None:
    """What the spec does not say, the playbook does."""
    assert settings(blueprint.app, blueprint.folder) == {"title": "Hello", "port": 8080}


def test_the_reflex_can_be_switched_off(blueprint: Blueprint) -> None:
    """Then systemd restarts nothing by itself, and the slice asks nothing."""
    for word, line in (("on", "Restart=always\n"), ("off", "Restart=no\n")):
        release = releases(changed(blueprint, heal=AppHeal(reflex=word)))[0]  # type: ignore[arg-type]
        assert line in next(one.content for one in release.resources if isinstance(one, Unit))
        assert release.reflex is not None
        assert bool(release.reflex.asks) == (word == "on")


def test_the_slice_itself_asks_whether_it_is_alive(blueprint: Blueprint) -> None:
    """The `alive` checks and no others, their secrets still tokens; without any, whether the unit failed."""
    web = releases(blueprint)[1]
    assert web.reflex is not None
    assert web.reflex.asks.startswith("echo up\n(")
    assert "http://127.0.0.1:8080/" in web.reflex.asks
    assert web.reflex.patience == 7
    login = Check(name="login", kind="alive", command="login '{{ secrets.admin }}'")
    ready = Check(name="serves", kind="ready", command="echo ready")
    told = _asked_by(blueprint, login, ready)
    assert f"login '{secret_token('admin', 1)}'" in told
    assert "echo ready" not in told
    assert _asked_by(blueprint, ready) == "! systemctl is-failed --quiet -- tfheal-site-web.service"


def _asked_by(blueprint: Blueprint, *checks: Check) -> str:
    """Return what the slice of a web server asks itself, if these are the checks of its playbook."""
    playbook = blueprint.folder.playbook
    web = playbook.components["web"].model_copy(update={"checks": checks})
    folder = replace(
        blueprint.folder, playbook=playbook.model_copy(update={"components": playbook.components | {"web": web}})
    )
    reflex = releases(replace(blueprint, folder=folder))[1].reflex
    assert reflex is not None
    return reflex.asks


def test_a_value_that_cannot_stand_there_is_a_mistake_of_the_app(blueprint: Blueprint) -> None:
    """It names the file of the app, what came of the template, and where to look."""
    folder = blueprint.folder
    document = json.loads(folder.playbook.model_dump_json())
    document["components"]["web"]["resources"][1]["path"] = "{{ settings.title }}"
    broken = PlaybookFolder(type(folder.playbook).model_validate(document), folder.files)
    with pytest.raises(ConfigError) as caught:
        releases(replace(blueprint, folder=broken))
    (mistake,) = caught.value.mistakes
    assert (mistake.file, mistake.hint) == ("apps/site.yaml", "look at its settings")
    assert '"Hello"' in mistake.what


def test_files_beside_a_playbook_that_are_not_there_or_no_text(blueprint: Blueprint) -> None:
    """Both are mistakes that name the file."""
    with pytest.raises(ConfigError) as missing:
        bytes_beside(blueprint.folder, "nowhere.j2")
    assert missing.value.mistakes[0].what == "there is no file nowhere.j2 beside the playbook"
    with pytest.raises(ConfigError) as garbled:
        text_beside(blueprint.folder, "logo.png")
    assert garbled.value.mistakes[0].what == "the file is not UTF-8 text"
    assert Path(garbled.value.mistakes[0].file).name == "logo.png"
