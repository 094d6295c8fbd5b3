"""From what the provider wrote to what shall stand on a slice: each instance's release, rendered and without templates."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tfheal.base import sh
from tfheal.base.errors import ConfigError, Mistake
from tfheal.core.probe import checks
from tfheal.core.resources.reflex_loop import VERSION
from tfheal.core.resources.service import unit_text
from tfheal.model import paths
from tfheal.model.app import AppSpec
from tfheal.model.inventory import Inventory
from tfheal.model.playbook import Check, Component, DataSet, Dump, Migrate, Quiesce, Service
from tfheal.model.release import Reflex, Release, secret_token
from tfheal.model.resources import Container, Directory, File, Packages, Resource, Unit, User
from tfheal.model.route import Route
from tfheal.model.workspace import PlaybookFolder

Render = Callable[[str, Mapping[str, object], str], str]
_TEMPLATE_MARKS = ("{{", "{%", "{#")


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What releases are made from: an app, its playbook, the inventory, the version of each secret, a template engine.

    Of a gateway also the routes through it; of what is led through one, the addresses of that.
    """

    app: AppSpec
    folder: PlaybookFolder
    inventory: Inventory
    versions: Mapping[str, int]
    render: Render
    routes: tuple[Route, ...] = ()
    gateways: tuple[str, ...] = ()
    front: str = "http://{}/"  # what its host name is led by, where a gateway does


def releases(blueprint: Blueprint) -> tuple[Release, ...]:
    """Given a blueprint, return the release of each instance; raise ConfigError where a template does not render."""
    try:
        return tuple(
            _release(blueprint, component, slice_name)
            for component, slices in blueprint.app.place.items()
            for slice_name in slices
        )
    except ValidationError as error:
        raise ConfigError(tuple(_unfit(blueprint.app, details) for details in error.errors())) from error


def _unfit(app: AppSpec, details: ErrorDetails) -> Mistake:
    """Return the mistake of a template that gives what cannot stand where it stands, with this app's settings."""
    key = ".".join(str(part) for part in details["loc"])
    what = (
        f"gives the playbook {app.playbook} a value that cannot be used: {key} would be {json.dumps(details['input'])}"
    )
    return Mistake(f"apps/{app.app}.yaml", 1, 1, "", what, "look at its settings")


def settings(app: AppSpec, folder: PlaybookFolder) -> dict[str, object]:
    """Given an app and its playbook, return every setting: as the app sets it, else its default."""
    return {name: app.settings.get(name, spec.default) for name, spec in folder.playbook.settings.items()}


def values(blueprint: Blueprint, component: str, slice_name: str) -> dict[str, object]:
    """Return the names that templates of one instance see; a secret is its token."""
    app, folder, slices = blueprint.app, blueprint.folder, blueprint.inventory.slices
    name = app.app
    return {
        "app": name,
        "owner": app.owner,
        "version": app.version,
        "hostname": app.hostname or slices[slice_name].address,
        "component": component,
        "slice": slice_name,
        "address": slices[slice_name].address,
        "user": paths.user(name, component),
        "unit": paths.unit(name, component),
        "unit_stem": paths.unit(name, component).removesuffix(".service"),
        "home": paths.home(name, component),
        "current": paths.current(name, component),
        "config": paths.config(name, component),
        "data": paths.data(name, component),
        "lock": text_beside(folder, folder.playbook.versions[app.version]),
        "settings": settings(app, folder),
        "secrets": {secret: secret_token(secret, blueprint.versions[secret]) for secret in folder.playbook.secrets},
        "peers": {other: [slices[peer].address for peer in placed] for other, placed in app.place.items()},
        "routes": [asdict(route) for route in blueprint.routes],
        "gateways": list(blueprint.gateways),
    }


def bytes_beside(folder: PlaybookFolder, path: str) -> bytes:
    """Given a playbook's folder and a path in it, return what that file holds; raise ConfigError if there is none."""
    content = folder.files.get(path)
    if content is None:
        file = f"playbooks/{folder.playbook.playbook}/playbook.yaml"
        raise ConfigError((Mistake(file, 1, 1, path, f"there is no file {path} beside the playbook"),))
    return content


def text_beside(folder: PlaybookFolder, path: str) -> str:
    """Given a playbook's folder and a path in it, return the text of that file; raise ConfigError if it has none."""
    try:
        return bytes_beside(folder, path).decode()
    except UnicodeDecodeError as error:
        file = f"playbooks/{folder.playbook.playbook}/{path}"
        raise ConfigError((Mistake(file, 1, 1, "", "the file is not UTF-8 text"),)) from error


def _release(blueprint: Blueprint, component_name: str, slice_name: str) -> Release:
    app, folder, render = blueprint.app, blueprint.folder, blueprint.render
    component = folder.playbook.components[component_name]
    seen = values(blueprint, component_name, slice_name)
    where = f"playbooks/{app.playbook}/playbook.yaml, component {component_name}"

    def rendered(value: Any) -> Any:  # noqa: ANN401 (the shape of JSON)
        if isinstance(value, str):
            return render(value, seen, where) if any(mark in value for mark in _TEMPLATE_MARKS) else value
        if isinstance(value, dict):
            return {key: rendered(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [rendered(item) for item in value]
        return value

    def beside(path: str) -> str:
        return render(text_beside(folder, path), seen, f"playbooks/{app.playbook}/{path}")

    data = tuple(DataSet.model_validate(rendered(data.model_dump())) for data in component.data)
    resources = [_resource(resource, folder, rendered, beside) for resource in component.resources]
    asked = tuple(_check(check, rendered, beside) for check in component.checks)
    container = next((resource for resource in resources if isinstance(resource, Container)), None)
    runs = component.service or container
    unit = paths.unit(app.app, component_name) if component.service else rendered(component.unit)
    if runs is container and container and not unit:
        unit = f"{container.name}.service"
    return Release(
        app=app.app,
        owner=app.owner,
        component=component_name,
        slice=slice_name,
        playbook=app.playbook,
        version=app.version,
        needs=component.needs,
        resources=(
            *_conventional(app, component_name, component, data, rendered),
            *resources,
            *_unit(app, component_name, component, rendered),
        ),
        unit=unit,
        start_timeout=runs.start_timeout if runs else 60.0,
        stop_timeout=runs.stop_timeout if runs else 30.0,
        checks=asked,
        reflex=_reflex(unit, asked, blueprint) if unit else None,
        data=data,
        quiesce=component.quiesce and Quiesce.model_validate(rendered(component.quiesce.model_dump())),
        dumps=tuple(Dump.model_validate(rendered(dump.model_dump())) for dump in component.dumps),
        migrate=component.migrate and Migrate.model_validate(rendered(component.migrate.model_dump())),
        ladder=component.ladder,
        url=blueprint.front.format(app.hostname) if app.route and component.route else rendered(component.url),
    )


def _resource(
    resource: Resource, folder: PlaybookFolder, rendered: Callable[[Any], Any], beside: Callable[[str], str]
) -> Resource:
    fields = resource.model_dump()
    if isinstance(resource, (File, Container)) and resource.template is not None:
        fields |= {"template": None}
        return type(resource).model_validate(
            rendered(fields | {"content": ""}) | {"content": beside(resource.template)}
        )
    if isinstance(resource, (File, Container)) and resource.binary is not None:
        encoded = base64.b64encode(bytes_beside(folder, resource.binary)).decode()
        return type(resource).model_validate(rendered(fields | {"binary": None}) | {"base64": encoded})
    return type(resource).model_validate(rendered(fields))


def _conventional(
    app: AppSpec, name: str, component: Component, data: tuple[DataSet, ...], rendered: Callable[[Any], Any]
) -> list[Resource]:
    """Return what every component has: its packages, its user, its folders."""
    user = paths.user(app.app, name)
    made: list[Resource] = []
    if component.packages:
        made.append(Packages(kind="packages", names=tuple(rendered(component.packages))))
    if component.service:
        made.append(User(kind="user", name=user))
    if component.service or any(isinstance(resource, Container) for resource in component.resources):
        group = user if component.service else "root"
        made.append(Directory(kind="directory", path=paths.config(app.app, name), mode="0750", group=group))
    group = user if component.service else "root"
    made += [
        Directory(kind="directory", path=item.path, mode="0750", owner=group, group=group, data=True) for item in data
    ]
    return made


def _unit(app: AppSpec, name: str, component: Component, rendered: Callable[[Any], Any]) -> list[Resource]:
    if component.service is None:
        return []
    service = Service.model_validate(rendered(component.service.model_dump()))
    description = f"{app.app}/{name} ({app.playbook} {app.version}), kept by tfheal"
    text = unit_text(service, description=description, reflex=app.heal.reflex == "on")
    return [Unit(kind="unit", name=paths.unit(app.app, name), content=text)]


def _check(check: Check, rendered: Callable[[Any], Any], beside: Callable[[str], str]) -> Check:
    if check.template is not None:
        return check.model_copy(update={"template": None, "command": beside(check.template)})
    return Check.model_validate(rendered(check.model_dump()))


def _reflex(unit: str, asked: tuple[Check, ...], blueprint: Blueprint) -> Reflex:
    """Return what the slice itself asks: the `alive` checks, or without any whether the unit failed; secrets stay tokens."""
    if blueprint.app.heal.reflex == "off":
        return Reflex(loop=VERSION)
    alive = [check for check in asked if check.kind == "alive"]
    tokens = {(name, version): secret_token(name, version) for name, version in blueprint.versions.items()}
    # The name comes first, so that it is known also of a check that never came to its end.
    texts = [
        f"echo {check.name}\n( {checks.script(check, tokens)}\n) >/dev/null 2>&1\n"
        "case $? in 0) ;; 125 | 126 | 127) exit 2 ;; *) exit 1 ;; esac"
        for check in alive
    ]
    unless_failed = f"! systemctl is-failed --quiet -- {sh.quote(unit)}"
    return Reflex(
        loop=VERSION,
        asks="\n".join(texts) or unless_failed,
        patience=sum(check.timeout for check in alive) + 2,
    )
