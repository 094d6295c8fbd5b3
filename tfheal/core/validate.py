"""What no single file can tell: whether owners, slices, apps and playbooks fit together."""

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tfheal.base.errors import Mistake
from tfheal.core import provision, rehearse
from tfheal.core.mistakes import nearest
from tfheal.core.stores import holds_data
from tfheal.model import paths
from tfheal.model.app import AppSpec
from tfheal.model.backup import STORE, ServiceLevel
from tfheal.model.document import Document, Key, Written
from tfheal.model.inventory import Inventory, SliceEntry
from tfheal.model.playbook import Playbook
from tfheal.model.ports import Templates
from tfheal.model.publication import NamesWay
from tfheal.model.route import GATEWAY
from tfheal.model.workspace import PlaybookFolder


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a workspace, each valid by itself; None is one that is there and is not valid."""

    inventory: Written[Inventory] | None
    apps: tuple[Written[AppSpec], ...]
    playbooks: Mapping[str, Written[PlaybookFolder] | None]
    known_playbooks: tuple[str, ...]
    levels: Mapping[str, ServiceLevel] | None = None
    ways: Mapping[str, NamesWay] | None = None


@dataclass(frozen=True, slots=True)
class _Placed:
    """One use of a slice by an app, and where it is written; a spare has no component."""

    app: str
    component: str
    slice: str
    document: Document
    key: Key


def mistakes(parts: Parts, templates: Templates) -> list[Mistake]:
    """Given the parts of a workspace, return every mistake between them; a part that is not valid is left out."""
    found: list[Mistake] = []
    if parts.inventory is not None:
        found += _of_inventory(parts.inventory)
    for app in parts.apps:
        found += _of_app(app, parts)
    found += _of_hosts(parts.apps)
    found += _of_places(parts)
    for playbook in parts.playbooks.values():
        found += rehearse.mistakes(playbook, templates) if playbook is not None else []
    return found


def _of_inventory(written: Written[Inventory]) -> Iterator[Mistake]:
    for name, entry in written.value.slices.items():
        if entry.owner not in written.value.owners:
            what = f"is {entry.owner}, who is not in [owners]"
            hint = nearest(entry.owner, written.value.owners) or f"add [owners.{entry.owner}]"
            yield written.document.mistake(("slices", name, "owner"), what, hint)
        yield from _of_provisioner(written, name, entry)


def _of_provisioner(written: Written[Inventory], name: str, entry: SliceEntry) -> Iterator[Mistake]:
    """Yield what is wrong about how a slice is made anew: commands that cannot be, a key that nobody could vouch for."""
    if (made := entry.provisioner) is None:
        return
    key: Key = ("slices", name, "provisioner")
    for word, template in (("recreate", made.recreate), ("state", made.state)):
        try:
            provision.command(template or "true", name, entry)
        except ValueError as error:
            hint = ", ".join(["{slice}", "{owner}", "{address}", *(f"{{labels.{label}}}" for label in entry.labels)])
            yield written.document.mistake((*key, word), str(error), f"it may name {hint}")
    if made.host_key == "first-contact" and not provision.is_mycelium(entry.address):
        what = f"is first-contact, but {entry.address} is no Mycelium address (400::/7)"
        hint = 'only such an address is bound to a key; let `recreate` print the host key: host_key = "output"'
        yield written.document.mistake((*key, "host_key"), what, hint)


def _of_app(app: Written[AppSpec], parts: Parts) -> Iterator[Mistake]:
    spec, document = app.value, app.document
    stem = posixpath.basename(document.file).removesuffix(".yaml")
    if spec.app != stem:
        yield document.mistake(("app",), f"is {spec.app}, but the file is named {stem}.yaml", "name both alike")
    if parts.inventory is not None:
        yield from _of_slices(app, parts.inventory.value)
    if parts.levels is not None:
        yield from _of_level(app, parts.levels)
    if parts.ways is not None and spec.names is not None:
        yield from _of_names(app, spec.names, parts.ways)
    if spec.playbook not in parts.known_playbooks:
        what = f"is {spec.playbook}, but there is no such playbook"
        yield document.mistake(("playbook",), what, nearest(spec.playbook, parts.known_playbooks, "there are"))
    playbook = parts.playbooks.get(spec.playbook)
    if playbook is not None:
        yield from _of_version(app, playbook.value.playbook)
        yield from _of_components(app, playbook.value.playbook)
        yield from _of_settings(app, playbook.value.playbook)
        yield from _of_backup(app, playbook.value.playbook)
        yield from _of_route(app, playbook.value.playbook, parts)


def _of_level(app: Written[AppSpec], levels: Mapping[str, ServiceLevel]) -> Iterator[Mistake]:
    spec, document = app.value, app.document
    level = levels.get(spec.service_level)
    if level is None:
        what = f"is {spec.service_level}, which is not in [service_levels] of tfheal.toml"
        yield document.mistake(("service_level",), what, nearest(spec.service_level, levels, "there are"))
    elif spec.backup is not None and spec.backup.every > level.rpo:
        what = f"is longer than the rpo of {spec.service_level}, {level.rpo:g} s"
        yield document.mistake(("backup", "every"), what, "make one more often, or promise less")


def _of_names(app: Written[AppSpec], way: str, ways: Mapping[str, NamesWay]) -> Iterator[Mistake]:
    """Yield what is wrong with how an app's name is published."""
    if way not in ways:
        what = f"is {way}, which is not in [names] of tfheal.toml"
        yield app.document.mistake(("names",), what, nearest(way, ways, "there are"))
    if app.value.hostname is None:
        yield app.document.mistake(("names",), "publishes no name", "add `hostname:`")


def _of_backup(app: Written[AppSpec], playbook: Playbook) -> Iterator[Mistake]:
    """Yield what is wrong with where backups go: to where the data is, or in the way of another component."""
    spec, document = app.value, app.document
    if spec.backup is None:
        return
    if STORE in playbook.components:
        what = f"gives the app a component {STORE}, and {playbook.playbook} has one of that name"
        yield document.mistake(("backup",), what, "rename the one of the playbook")
    for key, store in zip(("to", "copy_to"), spec.backup.stores, strict=False):
        used = [name for name, slices in spec.place.items() if store in slices]
        if used:
            what = f"is {store}, on which {used[0]} runs"
            hint = "a backup that is lost with its data is none: name another slice"
            yield document.mistake(("backup", key), what, hint)
    for name in spec.backup.secrets:
        if name in playbook.secrets:
            what = f"names {name}, which is made for {playbook.playbook}"
            yield document.mistake(("backup", "secrets"), what, "name it otherwise: it is given, not made")
    if not any(holds_data(component) for component in playbook.components.values()):
        what = f"is of no use: {playbook.playbook} says of nothing that it is data"
        yield document.mistake(("backup",), what, "its playbook needs `data` or `dumps`")


def _of_route(app: Written[AppSpec], playbook: Playbook, parts: Parts) -> Iterator[Mistake]:
    """Yield what is wrong with how an app is reached: by no name, or by one that leads elsewhere already."""
    spec, document = app.value, app.document
    if spec.route is None:
        return
    key: Key = ("route", "gateway")
    others = {other.value.app: other.value for other in parts.apps}
    gateway = others.get(spec.route.gateway)
    if gateway is None:
        what = f"is {spec.route.gateway}, but there is no such app"
        yield document.mistake(key, what, nearest(spec.route.gateway, others, "there are"))
    elif gateway.playbook != GATEWAY or gateway.owner != spec.owner:
        what = f"is {gateway.app}, an app of {gateway.owner} with the playbook {gateway.playbook}"
        yield document.mistake(key, what, f"name one of {spec.owner} with the playbook {GATEWAY}")
    if playbook.routed is None:
        what = f"is of no use: no component of {playbook.playbook} has a `route`"
        yield document.mistake(("route",), what)
    if spec.hostname is None:
        yield document.mistake(("route",), "leads no name here", "write hostname: NAME")


def _of_hosts(apps: Iterable[Written[AppSpec]]) -> Iterator[Mistake]:
    """Yield which apps have the name of another: a gateway would lead to one of them, and each would publish its own addresses."""
    first: dict[str, str] = {}
    for app in apps:
        if app.value.hostname and (other := first.setdefault(app.value.hostname, app.value.app)) != app.value.app:
            what = f"is {app.value.hostname}, which is the name of {other}"
            yield app.document.mistake(("hostname",), what, "give each app a name of its own")


def _of_slices(app: Written[AppSpec], inventory: Inventory) -> Iterator[Mistake]:
    spec, document = app.value, app.document
    if spec.owner not in inventory.owners:
        what = f"is {spec.owner}, who is not in [owners] of inventory.toml"
        yield document.mistake(("owner",), what, nearest(spec.owner, inventory.owners))
    for use in _uses(app):
        entry = inventory.slices.get(use.slice)
        if entry is None:
            what = f"is {use.slice}, which is not in inventory.toml"
            yield document.mistake(use.key, what, nearest(use.slice, inventory.slices, "there are"))
        elif entry.owner != spec.owner:
            what = f"is {use.slice}, which belongs to {entry.owner} and not to {spec.owner}"
            mine = [name for name, other in inventory.slices.items() if other.owner == spec.owner]
            yield document.mistake(use.key, what, f"{spec.owner} has {', '.join(sorted(mine)[:12]) or 'none yet'}")


def _uses(app: Written[AppSpec]) -> Iterator[_Placed]:
    """Yield each slice that an app names."""
    for component, slices in app.value.place.items():
        for index, name in enumerate(slices):
            yield _Placed(app.value.app, component, name, app.document, ("place", component, index))
    for index, name in enumerate(app.value.spares):
        yield _Placed(app.value.app, "", name, app.document, ("spares", index))
    if app.value.backup is not None and app.value.backup.drill_on:
        yield _Placed(app.value.app, "", app.value.backup.drill_on, app.document, ("backup", "drill_on"))
    if app.value.backup is not None:
        for key, store in zip(("to", "copy_to"), app.value.backup.stores, strict=False):
            yield _Placed(app.value.app, STORE, store, app.document, ("backup", key))


def _of_version(app: Written[AppSpec], playbook: Playbook) -> Iterator[Mistake]:
    if app.value.version not in playbook.versions:
        what = f"is {app.value.version}, which {playbook.playbook} does not list"
        yield app.document.mistake(("version",), what, nearest(app.value.version, playbook.versions, "it lists"))


def _of_components(app: Written[AppSpec], playbook: Playbook) -> Iterator[Mistake]:
    place = app.value.place
    for component in place:
        if component not in playbook.components:
            what = f"is no component of {playbook.playbook}"
            hint = nearest(component, playbook.components, "its components:")
            yield app.document.mistake(("place", component), what, hint)
    for component in playbook.components:
        if not place.get(component):
            key: Key = ("place", component) if component in place else ("place",)
            hint = f"write {component}: [SLICE]"
            yield app.document.mistake(key, f"gives the component {component} no slice", hint)


def _of_settings(app: Written[AppSpec], playbook: Playbook) -> Iterator[Mistake]:
    spec, document = app.value, app.document
    for name, value in spec.settings.items():
        key: Key = ("settings", name)
        known = playbook.settings.get(name)
        if known is None:
            hint = nearest(name, playbook.settings, "its settings:")
            yield document.mistake(key, f"is no setting of {playbook.playbook}", hint)
        elif wrong := rehearse.unfit(known, value):
            yield document.mistake(key, f"is {rehearse.shown(value)}, but {wrong}", known.description)
    for name, wanted in playbook.settings.items():
        if wanted.default is None and name not in spec.settings:
            what = f"lacks {name}, which {playbook.playbook} has no default for"
            yield document.mistake(("settings",), what, wanted.description)


def _of_places(parts: Parts) -> Iterator[Mistake]:
    """Yield the uses of slices that exclude each other, within an app and between apps."""
    uses = [use for app in parts.apps for use in _uses(app)]
    yield from _twice_in_component(uses)
    yield from _spares_in_use(uses)
    yield from _same_units([use for use in uses if use.component])


def _twice_in_component(uses: Iterable[_Placed]) -> Iterator[Mistake]:
    seen: set[tuple[str, str, str]] = set()
    for use in uses:
        place = (use.document.file, use.component, use.slice)
        if place in seen:
            yield use.document.mistake(use.key, f"is {use.slice} a second time", "name each slice once")
        seen.add(place)


def _spares_in_use(uses: Iterable[_Placed]) -> Iterator[Mistake]:
    """Yield each spare that is something else as well: part of an app, or a spare of another one."""
    taken = {use.slice: use for use in uses if use.component}
    spares: dict[str, _Placed] = {}
    for use in uses:
        if use.component:
            continue
        if (user := taken.get(use.slice)) is not None:
            what = f"is {use.slice}, on which {user.app}/{user.component} runs"
            yield use.document.mistake(use.key, what, "a spare is a slice that nothing runs on")
        other = spares.setdefault(use.slice, use)
        if other.app != use.app:
            yield use.document.mistake(use.key, f"is {use.slice}, which is a spare of {other.app} already")


def _same_units(uses: Iterable[_Placed]) -> Iterator[Mistake]:
    """Yield instances whose names run together: app `a-b` with `c`, and app `a` with `b-c`, on one slice."""
    units: dict[tuple[str, str], _Placed] = {}
    for use in uses:
        unit = paths.unit(use.app, use.component)
        other = units.setdefault((use.slice, unit), use)
        if (other.app, other.component) != (use.app, use.component):
            what = f"would have the same unit, {unit}, as {other.app}/{other.component} on {use.slice}"
            yield use.document.mistake(use.key, what, "rename the app, or place it on another slice")
