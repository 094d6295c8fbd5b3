"""The playbook of websites: what it renders to, and that each version is one program by its hash."""

import re
from pathlib import Path

import pytest

from tfheal.core.release import Blueprint, releases
from tfheal.core.resources import steps
from tfheal.edge.files import WorkspaceFiles
from tfheal.edge.templates import JinjaTemplates
from tfheal.model.release import Release
from tfheal.model.resources import Container, File, resource_id

_PROJECT = Path(__file__).parents[2]
_LOCK = re.compile(r"--only-binary :all:\ncaddy-bin==(\S+) \\\n    --hash=sha256:[0-9a-f]{64}\n")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Return the release of the example, on the slice that `lab up` would have added."""
    root = tmp_path_factory.mktemp("site")
    (root / "apps").mkdir()
    for name in ("tfheal.toml", "apps/site.yaml"):
        (root / name).write_bytes((_PROJECT / "examples/website" / name).read_bytes())
    (root / "inventory.toml").write_text('[owners.lab]\n[slices.s1]\nowner = "lab"\naddress = "fd00::1"\n')
    workspace = WorkspaceFiles(root).load()
    app = workspace.apps["site"]
    parts = (app, workspace.playbooks["website"], workspace.inventory)
    return releases(Blueprint(*parts, {}, JinjaTemplates().render))[0]


def test_its_service_is_the_container(release: Release) -> None:
    """The component has no service: its container's unit is what is watched, restarted and asked by the reflex."""
    assert release.unit == "tfheal-site-web.service"
    assert release.reflex is not None
    assert "/-/alive" in release.reflex.asks
    names = [resource_id(resource) for resource in release.resources]
    assert "directory:/opt/tfheal/site/web/config" in names
    assert names[-1] == "container:tfheal-site-web"
    assert not [name for name in names if name.startswith(("user:", "unit:"))]


def test_it_reads_its_pages_and_its_configuration_and_writes_nothing(release: Release) -> None:
    """Both are volumes that are only read; what answers is on the port of the setting."""
    (container,) = (one for one in release.resources if isinstance(one, Container))
    assert container.volumes == {
        "/etc/caddy:ro": "/opt/tfheal/site/web/config",
        "/pages:ro": "/srv/tfheal/site/web/pages",
    }
    assert container.context == "/opt/tfheal/site/web/current"
    (settings,) = (one for one in release.resources if isinstance(one, File))
    assert ":8080 {" in (settings.content or "")
    assert len(steps(release, {})) == len(release.resources) + 1


@pytest.mark.parametrize("lock", sorted((_PROJECT / "playbooks/website/locks").iterdir()), ids=lambda path: path.stem)
def test_a_version_is_one_program_by_its_hash(lock: Path) -> None:
    """Nothing else comes with it, and nothing is compiled on the slice."""
    match = _LOCK.fullmatch(lock.read_text())
    assert match
    assert match[1] == lock.stem
