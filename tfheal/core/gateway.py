"""What is led through a gateway: the routes of all apps whose specs name it, and what an app is made from with them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tfheal.base.errors import ConfigError, Mistake
from tfheal.core.passage import url
from tfheal.core.release import Blueprint, Render, settings, values
from tfheal.model.app import AppSpec
from tfheal.model.playbook import ComponentRoute
from tfheal.model.route import Route, Server
from tfheal.model.workspace import Workspace

_LAST_PORT = 65_535
_HTTP, _HTTPS = 80, 443


def blueprint(workspace: Workspace, app: str, versions: Mapping[str, int], render: Render) -> Blueprint:
    """Given a valid workspace, an app, the version of each of its secrets and a template engine, return what its releases are made from; raise ConfigError where a route leads nowhere."""
    spec, slices = workspace.apps[app], workspace.inventory.slices
    made = Blueprint(spec, workspace.folder(app), workspace.inventory, versions, render)
    led_by = workspace.apps[spec.route.gateway].place if spec.route else {}
    return replace(
        made,
        routes=tuple(routes(workspace, app, render)),
        gateways=tuple(slices[name].address for placed in led_by.values() for name in placed),
        front=_front(workspace, spec) if spec.route else made.front,
    )


def routes(workspace: Workspace, gateway: str, render: Render) -> Iterator[Route]:
    """Given a valid workspace, an app and a template engine, yield the routes through it in the order of the apps' names: the same apps give the same configuration."""
    for _, spec in sorted(workspace.apps.items()):
        if spec.route is None or spec.route.gateway != gateway:
            continue
        for component, part in workspace.folder(spec.app).playbook.components.items():
            if part.route is not None:
                yield _route(workspace, spec, component, part.route, render)


def led(workspace: Workspace, gateway: str) -> dict[str, AppSpec]:
    """Given a valid workspace and a gateway, return the apps that are led through it, by their host names: all of its own owner."""
    return {
        spec.hostname: spec
        for spec in workspace.apps.values()
        if spec.hostname and spec.route and spec.route.gateway == gateway
    }


def way_in(workspace: Workspace, gateway: str, address: str) -> str:
    """Given a gateway and the address of a slice that it runs on, return the URL, without a path, where people come in there: by TLS where it has that."""
    over = settings(workspace.apps[gateway], workspace.folder(gateway))
    if over.get("tls", "none") == "none":
        return url(address, int(str(over.get("port", _HTTP))))
    return url(address, int(str(over.get("tls_port", _HTTPS))), "https")


def _front(workspace: Workspace, spec: AppSpec) -> str:
    """Return the URL by which people reach what is led through a gateway, with {} for its host name."""
    over = settings(workspace.apps[spec.route.gateway], workspace.folder(spec.route.gateway)) if spec.route else {}
    if over.get("tls", "none") == "none":
        return "http://{}/"
    port = over.get("tls_port")
    return "https://{}/" if port == _HTTPS else f"https://{{}}:{port}/"


def _route(workspace: Workspace, spec: AppSpec, component: str, way: ComponentRoute, render: Render) -> Route:
    folder, slices = workspace.folder(spec.app), workspace.inventory.slices
    placed = spec.place[component]
    plain = Blueprint(spec, folder, workspace.inventory, dict.fromkeys(folder.playbook.secrets, 1), render)
    where = f"playbooks/{spec.playbook}/playbook.yaml, component {component}"
    port = render(str(way.port), values(plain, component, placed[0]), where)
    if not port.isdecimal() or not 0 < int(port) <= _LAST_PORT:
        raise ConfigError(
            (Mistake(f"apps/{spec.app}.yaml", 1, 1, "route", f"leads to the port {port!r}, which is none"),)
        )
    servers = tuple(Server(name, slices[name].address) for name in placed)
    return Route(spec.app, spec.hostname or "", int(port), way.health, servers)
