"""A playbook tried out before it is used: what it refers to is there, and an example of it renders into steps.

A name that a template uses and that does not exist is found without rendering, so also in a branch that the example
does not take.
"""

import json
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from tfheal.base.errors import ConfigError, Mistake, UsageError
from tfheal.core.gateway import blueprint
from tfheal.core.mistakes import checked, nearest
from tfheal.core.order import stages
from tfheal.core.release import Blueprint, releases, values
from tfheal.core.resources import steps
from tfheal.core.resources.service import unit_text
from tfheal.model.app import AppSpec
from tfheal.model.document import Document, Key, Written, written_key
from tfheal.model.inventory import Inventory, Owner, SliceEntry
from tfheal.model.playbook import Component, Playbook, Service, Setting, SettingSpec
from tfheal.model.ports import Templates
from tfheal.model.resources import Container, File, occupied, resource_id
from tfheal.model.workspace import PlaybookFolder, Workspace

_MARKS: Final = ("{{", "{%", "{#")
_METHODS: Final = frozenset({"items", "keys", "values", "get"})
_EXAMPLE: Final = "example"
_TYPES: Final = {"text": (str, "text"), "number": (int, "a whole number"), "boolean": (bool, "true or false")}


def mistakes(written: Written[PlaybookFolder], templates: Templates) -> list[Mistake]:
    """Given a playbook that is valid by itself and the template engine, return what is wrong with it as a whole."""
    found = [*_of_whole(written), *_of_settings(written), *_of_needs(written), *_of_names(written), *_of_files(written)]
    if found:
        return found
    return _Rehearsal(written, templates).mistakes()


def of_apps(workspace: Workspace, templates: Templates) -> list[Mistake]:
    """Given a valid workspace, return what goes wrong when the releases of its apps are made, secrets apart."""
    found: list[Mistake] = []
    for app in workspace.apps.values():
        folder = workspace.folder(app.app)
        secrets = {(name, 1): "x" * spec.length for name, spec in folder.playbook.secrets.items()}
        versions = dict.fromkeys(folder.playbook.secrets, 1)
        file = f"apps/{app.app}.yaml"
        try:
            for release in releases(blueprint(workspace, app.app, versions, templates.render)):
                steps(release, secrets)
        except ConfigError as error:
            found += [mistake if mistake.file == file else _told_of(file, mistake) for mistake in error.mistakes]
        except UsageError as error:
            found.append(Mistake(file, 1, 1, "", f"{error.what}: {error.why}" if error.why else error.what, error.hint))
    return found


def _told_of(file: str, mistake: Mistake) -> Mistake:
    """Return a mistake of a template as one of the app for which it was rendered."""
    return Mistake(file, 1, 1, "", f"{mistake.file}, line {mistake.line}: {mistake.what}", mistake.hint)


def unfit(spec: SettingSpec, value: Setting) -> str:
    """Given what a playbook says of a setting, and a value, return what is wrong with that; nothing if it fits."""
    kind, words = _TYPES[spec.type]
    if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
        return f"must be {words}"
    if spec.choices and value not in spec.choices:
        return f"must be one of {', '.join(str(choice) for choice in spec.choices)}"
    if isinstance(value, int) and spec.minimum is not None and value < spec.minimum:
        return f"must be at least {spec.minimum}"
    if isinstance(value, int) and spec.maximum is not None and value > spec.maximum:
        return f"must be at most {spec.maximum}"
    if isinstance(value, str) and spec.pattern and not re.fullmatch(spec.pattern, value):
        return f"must match the pattern {spec.pattern}"
    return ""


def shown(value: Setting) -> str:
    """Return a value as people write it."""
    return json.dumps(value, ensure_ascii=False)


def _of_whole(written: Written[PlaybookFolder]) -> Iterator[Mistake]:
    playbook, document = written.value.playbook, written.document
    folder = posixpath.basename(posixpath.dirname(document.file))
    if playbook.playbook != folder:
        yield document.mistake(
            ("playbook",), f'is "{playbook.playbook}", but its folder is {folder}', "name both alike"
        )


def _of_settings(written: Written[PlaybookFolder]) -> Iterator[Mistake]:
    for name, spec in written.value.playbook.settings.items():
        key: Key = ("settings", name)
        if spec.pattern is not None and not _is_pattern(spec.pattern):
            yield written.document.mistake((*key, "pattern"), "is not a regular expression")
            continue
        if spec.type != "number" and (spec.minimum is not None or spec.maximum is not None):
            yield written.document.mistake(key, "has a minimum or maximum, but is no number", "add `type: number`")
        for choice in spec.choices:
            if wrong := unfit(spec, choice):
                yield written.document.mistake((*key, "choices"), f"holds {shown(choice)}, but it {wrong}")
        if spec.default is not None and (wrong := unfit(spec, spec.default)):
            yield written.document.mistake((*key, "default"), f"is {shown(spec.default)}, but it {wrong}")


def _is_pattern(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def _of_needs(written: Written[PlaybookFolder]) -> Iterator[Mistake]:
    components = written.value.playbook.components
    for name, component in components.items():
        for index, need in enumerate(component.needs):
            if need not in components:
                place: Key = ("components", name, "needs", index)
                yield written.document.mistake(
                    place, f"is {need}, which is no component here", nearest(need, components)
                )
    try:
        stages({name: component.needs for name, component in components.items()})
    except ValueError as error:
        first = str(error).split(" ", maxsplit=1)[0]
        yield written.document.mistake(("components", first, "needs"), f"is a cycle: {error}", "take one of them out")


def _of_names(written: Written[PlaybookFolder]) -> Iterator[Mistake]:
    """Yield what is there twice within a component, where it can be there once."""
    for name, component in written.value.playbook.components.items():
        key: Key = ("components", name)
        lists: Mapping[str, list[str]] = {
            "resources": [resource_id(resource) for resource in component.resources],
            "checks": [check.name for check in component.checks],
            "data": [data.name for data in component.data],
            "dumps": [dump.name for dump in component.dumps],
            "ladder": list(component.ladder),
        }
        for part, words in lists.items():
            for index, word in enumerate(words):
                if word in words[:index]:
                    first = written.document.spot((*key, part, words.index(word))).line
                    what = f"is {word} a second time, first on line {first}"
                    yield written.document.mistake((*key, part, index), what, "keep one of them")
        yield from _of_one_place(written, name, component)


def _of_one_place(written: Written[PlaybookFolder], name: str, component: Component) -> Iterator[Mistake]:
    """Yield resources that would take each other's place away, though their names differ."""
    taken: dict[str, int] = {}
    for index, resource in enumerate(component.resources):
        first = taken.setdefault(occupied(resource), index)
        other = component.resources[first]
        if resource_id(other) != resource_id(resource):
            key: Key = ("components", name, "resources")
            line = written.document.spot((*key, first)).line
            what = f"is for {occupied(resource)}, which {other.kind} is for on line {line}"
            yield written.document.mistake((*key, index), what, "give one of them another")


def _of_files(written: Written[PlaybookFolder]) -> Iterator[Mistake]:
    """Yield each file that the playbook names and that is not beside it."""
    files = written.value.files
    for key, path in _named_files(written.value.playbook):
        if path.startswith("/") or ".." in path.split("/"):
            what = f"is {path}, which leaves the playbook's folder"
            yield written.document.mistake(key, what, "copy the file beside the playbook")
        elif path not in files:
            yield written.document.mistake(
                key, f"is {path}, but there is no such file", nearest(path, files, "there are")
            )
        elif key[-1] != "binary" and (wrong := _no_text(files[path])):
            yield Mistake(_beside(written, path), 1, 1, "", wrong)


def _named_files(playbook: Playbook) -> Iterator[tuple[Key, str]]:
    for version, lock in playbook.versions.items():
        yield ("versions", version), lock
    for name, component in playbook.components.items():
        for key, path in _templates_of(component):
            yield ("components", name, *key), path
        for index, resource in enumerate(component.resources):
            if isinstance(resource, (File, Container)) and resource.binary is not None:
                yield ("components", name, "resources", index, "binary"), resource.binary


def _templates_of(component: Component) -> Iterator[tuple[Key, str]]:
    for index, resource in enumerate(component.resources):
        if isinstance(resource, (File, Container)) and resource.template is not None:
            yield ("resources", index, "template"), resource.template
    for index, check in enumerate(component.checks):
        if check.template is not None:
            yield ("checks", index, "template"), check.template


def _no_text(data: bytes) -> str:
    try:
        return "" if data.decode().strip() else "is empty"
    except UnicodeDecodeError:
        return "is not UTF-8 text"


def _beside(written: Written[PlaybookFolder], path: str) -> str:
    return posixpath.join(posixpath.dirname(written.document.file), path)


@dataclass(frozen=True, slots=True)
class _Text:
    """A template, inline or in a file, with the place of its first line."""

    component: str
    key: Key
    source: str
    file: str
    line: int
    column: int


class _Rehearsal:
    """An example app of a playbook on an example slice, as far as it can be made without one."""

    def __init__(self, written: Written[PlaybookFolder], templates: Templates) -> None:
        self._written = written
        self._templates = templates
        playbook = written.value.playbook
        example = AppSpec(
            app=_EXAMPLE,
            owner=_EXAMPLE,
            playbook=playbook.playbook,
            version=list(playbook.versions)[-1],
            hostname="example.test",
            place=dict.fromkeys(playbook.components, (_EXAMPLE,)),
            settings={name: _example_of(spec) for name, spec in playbook.settings.items() if spec.default is None},
        )
        slices = {_EXAMPLE: SliceEntry(owner=_EXAMPLE, address="2001:db8::1")}
        inventory = Inventory(owners={_EXAMPLE: Owner()}, slices=slices)
        versions = dict.fromkeys(playbook.secrets, 1)
        self._blueprint = Blueprint(example, written.value, inventory, versions, templates.render)

    def mistakes(self) -> list[Mistake]:
        """Return what names, templates, the values that they give, and the steps made of them have wrong."""
        texts = list(self._texts())
        found = [mistake for text in texts for mistake in self._names(text)]
        rendered: dict[Key, str] = {}
        if not found:
            found = [mistake for text in texts for mistake in self._rendered(text, rendered)]
        return found or self._of_result(rendered)

    def _texts(self) -> Iterator[_Text]:
        document = self._written.document
        for key, source in _leaves(document.data, ()):
            if key[0] == "components" and any(mark in source for mark in _MARKS):
                spot = document.spot(key)
                yield _Text(str(key[1]), key, source, document.file, spot.text_line or spot.line, spot.column)
        for name, component in self._written.value.playbook.components.items():
            for key, path in _templates_of(component):
                source = self._written.value.files[path].decode()
                yield _Text(name, ("components", name, *key), source, _beside(self._written, path), 1, 1)

    def _values(self, component: str) -> dict[str, object]:
        return values(self._blueprint, component, _EXAMPLE)

    def _names(self, text: _Text) -> list[Mistake]:
        seen = self._values(text.component)
        try:
            used = self._templates.names(text.source, text.file)
        except ConfigError as error:
            return [_moved(text, mistake) for mistake in error.mistakes]
        known = [name for name, value in seen.items() if not isinstance(value, dict)]
        known += [f"{name}.{key}" for name, value in seen.items() if isinstance(value, dict) for key in value]
        return [
            _at_line(text, line, f"uses {name}, which is not defined", nearest(name, known))
            for name, line in used
            if not _is_known(name, seen)
        ]

    def _rendered(self, text: _Text, into: dict[Key, str]) -> list[Mistake]:
        try:
            into[text.key] = self._templates.render(text.source, self._values(text.component), text.file)
        except ConfigError as error:
            return [_moved(text, mistake) for mistake in error.mistakes]
        return []

    def _of_result(self, rendered: Mapping[Key, str]) -> list[Mistake]:
        """Return what is wrong with the playbook once its templates are filled in."""
        document = self._written.document
        inline = {key: text for key, text in rendered.items() if key[-1] != "template"}
        filled = Document(document.file, _filled(document.data, (), inline), document.spots)
        try:
            result = checked(Playbook, "playbook", filled)
        except ConfigError as error:
            hint = "this is what its template gives, with example values"
            return [replace(mistake, hint=mistake.hint or hint) for mistake in error.mistakes]
        twice = list(_of_names(Written(PlaybookFolder(result, {}), filled)))
        # A text setting without a default says too little about what an app will put there to judge what becomes of it.
        vague = any(spec.default is None and spec.type == "text" for spec in result.settings.values())
        return twice or ([] if vague else [*self._of_services(result)] or [*self._of_steps(result)])

    def _of_services(self, result: Playbook) -> Iterator[Mistake]:
        for name, component in result.components.items():
            if component.service is not None:
                service = self._with_defaults(component.service, name)
                yield from self._tried(
                    ("components", name, "service"), partial(unit_text, service, description=_EXAMPLE)
                )

    def _with_defaults(self, service: Service, component: str) -> Service:
        """Return a service whose defaults, which are templates too, are filled in."""
        data, seen = service.model_dump(), self._values(component)
        texts = {
            key: self._templates.render(text, seen, "")
            for key, text in _leaves(data, ())
            if any(mark in text for mark in _MARKS)
        }
        return Service.model_validate(_filled(data, (), texts))

    def _of_steps(self, result: Playbook) -> Iterator[Mistake]:
        secrets = {(name, 1): "x" * spec.length for name, spec in result.secrets.items()}
        for release in releases(self._blueprint):
            component = result.components[release.component]
            # What every component has comes first, then what is written, then the unit of its service.
            before = len(release.resources) - len(component.resources) - (component.service is not None)
            for index, resource in enumerate(release.resources):
                own = 0 <= index - before < len(component.resources)
                key: Key = ("resources", index - before) if own else ()
                one = release.model_copy(update={"resources": (resource,)})
                yield from self._tried(("components", release.component, *key), partial(steps, one, secrets))

    def _tried(self, key: Key, make: Callable[[], object]) -> Iterator[Mistake]:
        try:
            make()
        except UsageError as error:
            why = f"{error.what}: {error.why}" if error.why else error.what
            yield self._written.document.mistake(key, why, error.hint)


def _example_of(spec: SettingSpec) -> Setting:
    if spec.choices:
        return spec.choices[0]
    examples: Mapping[str, Setting] = {"number": spec.minimum or spec.maximum or 1, "boolean": True, "text": _EXAMPLE}
    return examples[spec.type]


def _is_known(name: str, seen: Mapping[str, object]) -> bool:
    first, _, key = name.partition(".")
    value = seen.get(first)
    return first in seen and (not key or not isinstance(value, dict) or key in value or key in _METHODS)


def _leaves(data: object, key: Key) -> Iterator[tuple[Key, str]]:
    """Yield every text in data with its key."""
    parts: Iterable[tuple[str | int, object]] = ()
    if isinstance(data, dict):
        parts = data.items()
    elif isinstance(data, list):
        parts = enumerate(data)
    elif isinstance(data, str):
        yield key, data
    for part, inner in parts:
        yield from _leaves(inner, (*key, part))


def _filled(data: Any, key: Key, texts: Mapping[Key, str]) -> Any:  # noqa: ANN401 (the shape of JSON)
    """Return data with the given texts in the places of their keys."""
    if isinstance(data, dict):
        return {part: _filled(inner, (*key, part), texts) for part, inner in data.items()}
    if isinstance(data, list):
        return [_filled(inner, (*key, index), texts) for index, inner in enumerate(data)]
    return texts.get(key, data)


def _at_line(text: _Text, line: int, what: str, hint: str = "") -> Mistake:
    """Return a mistake at a line of a template, as a place in the file that holds it."""
    column = text.column if line == 1 else 1
    inline = text.file.endswith("playbook.yaml")
    key = written_key(text.key) if inline else ""
    return Mistake(text.file, text.line + line - 1, column, key, what, hint)


def _moved(text: _Text, mistake: Mistake) -> Mistake:
    return _at_line(text, mistake.line, mistake.what, mistake.hint)
