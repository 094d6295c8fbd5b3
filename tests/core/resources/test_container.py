"""A container as text: its unit line by line, the name of its image, and what is refused."""

import base64

import pytest
from releases import a_release, the_step

from tfheal.base.errors import UsageError
from tfheal.core.remedies import discard
from tfheal.core.resources import steps
from tfheal.core.resources.software import software
from tfheal.model.playbook import Component
from tfheal.model.release import Release, secret_token

PINNED = f"registry.example/serve@sha256:{'0' * 64}"
EXPECTED = """\
[Unit]
Description=notes/web (notes 1), kept by tfheal
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=120
StartLimitBurst=4

[Container]
ContainerName=tfheal-notes-web
Image=localhost/tfheal-notes-web:TAG
Pull=never
Network=host
Exec=/serve --port 80
Environment="HOME=/tmp"
Environment="SHARE=100%%"
Volume=/srv/tfheal/notes/web:/pages:ro
User=1000
ReadOnly=true
NoNewPrivileges=true
DropCapability=all
AddCapability=CAP_NET_BIND_SERVICE
StopTimeout=10

[Service]
Restart=always
RestartSec=1
RestartSteps=3
RestartMaxDelaySec=8
TimeoutStartSec=60
TimeoutStopSec=25
MemoryMax=67108864
TasksMax=20

[Install]
WantedBy=multi-user.target
"""


def a_container(**fields: object) -> dict[str, object]:
    """Return a container of an image by its digest."""
    lean = {"kind": "container", "name": "tfheal-notes-web", "context": "/opt/tfheal/notes/web/current"}
    source = {} if fields.keys() & {"content", "base64"} else {"image": PINNED}
    return lean | source | fields


def tag_of(release: Release) -> str:
    """Return the tag of the image of a release's one container."""
    return software(release)[-1]


def test_the_whole_unit() -> None:
    """What a container becomes, line by line."""
    whole = a_container(
        exec="/serve --port 80",
        environment={"HOME": "/tmp", "SHARE": "100%"},
        volumes={"/pages:ro": "/srv/tfheal/notes/web"},
        user="1000",
        ports_below_1024=True,
        memory="64M",
        tasks=20,
    )
    path, text = the_step(whole).diff or ("", "")
    assert path == "/etc/containers/systemd/tfheal-notes-web.container"
    assert text == EXPECTED.replace("TAG", tag_of(a_release(whole)))


def test_a_component_runs_a_service_or_a_container() -> None:
    """Both would have the same unit; beside a service, a container has a name of its own."""
    beside = {"kind": "container", "image": PINNED}
    fields = {"service": {"exec": "/bin/serve"}, "resources": [beside | {"name": "{{ unit_stem }}-side"}]}
    assert Component.model_validate(fields).resources
    with pytest.raises(ValueError, match="another name"):
        Component.model_validate(fields | {"resources": [beside]})


def test_without_the_reflex_systemd_does_not_restart_it() -> None:
    """The owner or provider can leave healing to tfheal alone."""
    step = steps(a_release(a_container(), reflex={"loop": 1}), {})[0]
    assert "\nRestart=no\nTimeoutStartSec" in (step.diff or ("", ""))[1]


def test_an_image_is_named_after_what_it_is_made_of() -> None:
    """Another digest, another file, another Containerfile or other software for it: another name; else the same."""
    venv = {"kind": "venv", "home": "/opt/tfheal/notes/web", "lock": "six==1.17.0"}
    built = a_container(content="FROM scratch\n")
    releases = [
        a_release(a_container()),
        a_release(a_container(image=PINNED.replace("0", "1"))),
        a_release(a_container(base64=base64.b64encode(b"one").decode())),
        a_release(a_container(base64=base64.b64encode(b"two").decode())),
        a_release(built),
        a_release(a_container(content="FROM scratch\nCOPY bin /bin\n")),
        a_release(venv, built),
        a_release(venv | {"lock": "six==1.16.0"}, built),
    ]
    assert len({tag_of(release) for release in releases}) == len(releases)
    assert tag_of(a_release(built, version="2")) == tag_of(a_release(built))


def test_a_rebuild_throws_the_container_and_its_software_away() -> None:
    """Of both kinds of software there is a step that disowns it."""
    venv = {"kind": "venv", "home": "/opt/tfheal/notes/web", "lock": "six==1.17.0"}
    made = discard(a_release(venv, a_container()))
    assert [step.id for step in made] == ["discard:/opt/tfheal/notes/web", "discard:tfheal-notes-web"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"image": "serve:latest"}, "by its digest"),
        ({"image": f"$(id)@sha256:{'0' * 64}"}, "by its digest"),
        ({"name": "-rf"}, "name of a container"),
        ({"name": "a/b"}, "name of a container"),
        ({"exec": "/serve\nPodmanArgs=--privileged"}, "Exec= cannot hold"),
        ({"exec": "/serve \\"}, "Exec= cannot hold"),
        ({"user": "0:0"}, "not a user"),
        ({"volumes": {"/a:rw,z": "/srv"}}, "not a volume"),
        ({"volumes": {"/a": "/srv:/etc"}}, "not a volume"),
        ({"volumes": {"/a": "/srv/../etc"}}, "not a path"),
        ({"environment": {"A B": "c"}}, "environment variable"),
        ({"environment": {"PASSWORD": secret_token("admin", 1)}}, "secret"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_a_unit_cannot_hold_is_refused(fields: dict[str, object], says: str) -> None:
    """Nothing of a playbook or an app can begin a line of its own, name what can move, or show a secret."""
    with pytest.raises(UsageError, match=says):
        the_step(a_container(**fields))
