"""The playbook of the gateway: what the routes of other apps render to, and what those know of it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tfheal.base.errors import ConfigError
from tfheal.core.gateway import blueprint
from tfheal.core.release import releases
from tfheal.edge.files import WorkspaceFiles
from tfheal.edge.templates import JinjaTemplates
from tfheal.model.release import Release
from tfheal.model.resources import File

_INVENTORY = "[owners.lab]\n" + "".join(
    f'[slices.s{number}]\nowner = "lab"\naddress = "{address}"\n'
    for number, address in enumerate(("fd00::1", "10.0.0.2", "s3.example"), start=1)
)
_EDGE = 'app: edge\nowner: lab\nplaybook: gateway\nversion: "debian"\nplace: {gateway: [s2]}\n'
_SITE = 'app: site\nowner: lab\nplaybook: website\nversion: "2.11.7"\nplace: {web: [s1, s3]}\n'
_FILES = 'app: files\nowner: lab\nplaybook: copyparty\nversion: "1.20.26"\nplace: {web: [s1]}\n'
_LED = "hostname: {name}.example\nroute: {{gateway: edge}}\n"
Made = Callable[[Mapping[str, str], str], Release]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Return what makes the first release of an app of a workspace with the given specs."""

    def make(specs: Mapping[str, str], app: str) -> Release:
        (tmp_path / "apps").mkdir(exist_ok=True)
        (tmp_path / "tfheal.toml").touch()
        (tmp_path / "inventory.toml").write_text(_INVENTORY)
        for name, text in specs.items():
            (tmp_path / "apps" / f"{name}.yaml").write_text(text)
        workspace = WorkspaceFiles(tmp_path).load()
        versions = dict.fromkeys(workspace.folder(app).playbook.secrets, 1)
        return releases(blueprint(workspace, app, versions, JinjaTemplates().render))[0]

    return make


def _file(release: Release, name: str) -> File:
    return next(each for each in release.resources if isinstance(each, File) and each.path.endswith(f"/{name}"))


def _lines(release: Release, name: str) -> list[str]:
    return [line.strip() for line in (_file(release, name).content or "").splitlines()]


def test_each_route_has_its_servers(made: Made) -> None:
    """Host names lead to all instances, at the port of the app's setting, IPv6 in brackets; an app without a route is not there."""
    specs = {"edge": _EDGE, "files": _FILES, "site": _SITE + _LED.format(name="site") + "settings: {port: 8099}\n"}
    config = _lines(made(specs, "edge"), "haproxy.cfg")
    assert "use_backend site if { var(txn.host) -m str site.example }" in config
    assert config[config.index("backend site") :] == [
        "backend site",
        "balance roundrobin",
        "http-check send meth GET uri /-/alive ver HTTP/1.1 hdr Host site.example",
        "server s1 [fd00::1]:8099",
        "server s3 s3.example:8099",
        "",
        "# What people read while all of site is stopped. Nothing is sent to its server: whether that is up is the switch.",
        "backend maintenance.site",
        'http-request return status 503 content-type "text/html; charset=utf-8" file /opt/tfheal/edge/gateway/config/unavailable.html hdr Retry-After 30 hdr Cache-Control no-store hdr X-Maintenance yes',
        "server switch 127.0.0.1:9 no-check disabled",
        "",
        "# the end",
    ]
    assert not [line for line in config if "files" in line]


def test_what_is_led_through_it_knows_the_gateway(made: Made) -> None:
    """Its URL is its name without a port, and copyparty believes the gateway's address; without a route nothing changes."""
    plain = made({"edge": _EDGE, "files": _FILES}, "files")
    led = made({"edge": _EDGE, "files": _FILES + _LED.format(name="files")}, "files")
    assert (plain.url, led.url) == ("http://[fd00::1]:3923/", "http://files.example/")
    more = [line for line in _lines(led, "copyparty.conf") if line not in _lines(plain, "copyparty.conf")]
    assert more == ["xff-src: 10.0.0.2", "rproxy: 1"]


def test_the_gateway_changes_with_its_routes_and_with_nothing_else(made: Made) -> None:
    """A route more is another release; another setting of an app that it leads to is none."""
    alone = made({"edge": _EDGE, "files": _FILES}, "edge")
    led = _FILES + _LED.format(name="files")
    one = made({"edge": _EDGE, "files": led}, "edge")
    titled = made({"edge": _EDGE, "files": f"{led}settings: {{title: Other}}\n"}, "edge")
    assert alone.id != one.id == titled.id


def test_it_is_tried_before_it_goes_live_and_reloaded(made: Made) -> None:
    """The file is tested by HAProxy itself, and a change of it is a reload."""
    config = _file(made({"edge": _EDGE}, "edge"), "haproxy.cfg")
    assert (config.test, config.on_change) == ('haproxy -c -f "$new"', "reload")


def test_only_who_is_trusted_speaks_for_others(made: Made) -> None:
    """Without `trusted` nobody's X-Forwarded headers pass; with it those of the named networks."""
    nobody = _lines(made({"edge": _EDGE}, "edge"), "haproxy.cfg")
    assert "http-request del-header X-Forwarded-Proto" in nobody
    assert not [line for line in nobody if "from_trusted" in line]
    some = _lines(made({"edge": f'{_EDGE}settings: {{trusted: "fd00::/8 10.0.0.9"}}\n'}, "edge"), "haproxy.cfg")
    assert "acl from_trusted src fd00::/8 10.0.0.9" in some
    assert "http-request del-header X-Forwarded-Proto unless from_trusted" in some
    with pytest.raises(ConfigError):
        made({"edge": f'{_EDGE}settings: {{trusted: "fd00::/8\\n    server x"}}\n'}, "edge")


def test_what_is_led_through_tls_is_reached_by_it(made: Made) -> None:
    """The URL of an app is that of the gateway's TLS, with its port where that is not the usual one."""
    led = _FILES + _LED.format(name="files")
    over = {"tls: internal": "https://files.example/", "tls: internal, tls_port: 8443": "https://files.example:8443/"}
    for words, url in over.items():
        assert made({"edge": f"{_EDGE}settings: {{{words}}}\n", "files": led}, "files").url == url


def test_several_gateways_answer_for_each_other(made: Made) -> None:
    """An authority that comes to the one that did not ask it is led to the others, and by them to nobody; alone it asks nobody."""
    acme = "settings: {tls: acme}\n"
    alone = _lines(made({"edge": _EDGE + acme}, "edge"), "haproxy.cfg")
    assert not [line for line in alone if "challenges." in line and "map" not in line]
    both = _EDGE.replace("[s2]", "[s2, s1]") + acme
    config = _lines(made({"edge": both}, "edge"), "haproxy.cfg")
    assert "server other1 [fd00::1]:80 no-check" in config
    assert not [line for line in config if "10.0.0.2:80" in line], "not itself"
    assert "http-request return status 404 if challenge { req.hdr(x-tfheal-asked) -m found }" in config


def test_a_limit_is_no_limit_for_what_hides_its_size(made: Made) -> None:
    """With `largest` a request has to say how large it is; without it none has to."""
    free, limited = (
        [line for line in _lines(made({"edge": f"{_EDGE}{more}"}, "edge"), "haproxy.cfg") if "status 411" in line]
        for more in ("", "settings: {largest: 1}\n")
    )
    assert (free, len(limited)) == ([], 2)
