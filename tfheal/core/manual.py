"""The manual, from the same source as the validation: what the models say of themselves, and a few topics in words."""

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from tfheal.base.errors import UsageError
from tfheal.base.exits import PRECEDENCE
from tfheal.core import schema, topics
from tfheal.core.mistakes import nearest

_WIDTH: Final = 100
_FILE_TOPICS: Final = {
    "app": "apps/NAME.yaml: one app",
    "playbook": "playbooks/NAME/playbook.yaml: how an application is run",
    "inventory": "inventory.toml: owners and slices",
    "workspace": "tfheal.toml: the provider's own settings",
}
# Parts of these files that are worth a page of their own: the file, the model, and what it is.
_PARTS: Final = {
    "component": ("playbook", "Component", "a part of a playbook"),
    "service": ("playbook", "Service", "the process of a component"),
    "check": ("playbook", "Check", "a question about health"),
    "setting": ("playbook", "SettingSpec", "what an app spec may set"),
    "secret": ("playbook", "SecretSpec", "a secret as a playbook names it"),
    "upgrade": ("playbook", "UpgradeRules", "when a release is trusted, and the ways back"),
    "heal": ("workspace", "HealPolicy", "when healing acts, and how often"),
    "page": ("workspace", "PageRoute", "how a human is called"),
    "notices": ("workspace", "NoticeRoute", "how owners are told of planned work"),
    "ping": ("workspace", "PingRoute", "the dead-man switch of `tfheal tick`"),
    "ssh": ("workspace", "SshPolicy", "how slices are connected to"),
    "window": ("app", "Window", "when planned work may be done, here or in tfheal.toml"),
    "names": ("workspace", "NamesWay", "how host names of apps are published"),
    "patch": ("workspace", "PatchPolicy", "when a patch is taken back, and what is done by itself"),
    "uplink": ("workspace", "UplinkPolicy", "whom to ask when much of the fleet looks down"),
    "provisioner": ("inventory", "Provisioner", "how a slice is made anew"),
    "slice": ("inventory", "SliceEntry", "a slice as the inventory lists it"),
}
_IN_WORDS: Final[Mapping[str, str]] = {
    "health": topics.HEALTH,
    "selectors": topics.SELECTORS,
    "slices": topics.SLICES,
    "secrets": topics.SECRETS,
    "journal": topics.JOURNAL,
    "placement": topics.PLACEMENT,
    "templates": topics.TEMPLATES,
    "exit-codes": topics.EXIT_CODES_HEAD
    + "".join(f"  {code.value:>3}  {topics.EXIT_CODES[code.value]}\n" for code in PRECEDENCE),
}


def explained(topic: str | None) -> str:
    """Given a topic or None, return its page of the manual, or the list of topics; raise UsageError for no topic."""
    if topic is None:
        return "\n".join(_contents())
    word = topic.lower().replace("_", "-")
    if word in _IN_WORDS:
        return _IN_WORDS[word].rstrip("\n")
    if word in _FILE_TOPICS:
        root = schema.schema(word)
        return _page(_opening(_FILE_TOPICS[word], root), _keys(root, root, 0))
    if word in _PARTS:
        file, model, title = _PARTS[word]
        root = schema.schema(file)
        node = root["$defs"][model]
        return _page(_opening(f"{word}: {title}", node), [*_keys(root, node, 0), *_also(word)])
    if word in _kinds():
        root = schema.schema("playbook")
        node = _kinds()[word]
        return _page(_opening(f"{word}: a kind of resource in a playbook", node), _keys(root, node, 0))
    raise UsageError(f"there is no topic {topic}", hint=nearest(word, topics_known(), "topics:"))


def _page(opening: list[str], keys: Iterable[str]) -> str:
    page = [*opening, *keys]
    return "\n".join([*page, *_legend(page)])


def topics_known() -> tuple[str, ...]:
    """Return every topic."""
    return (*_FILE_TOPICS, *_PARTS, *_kinds(), *_IN_WORDS)


def _contents() -> Iterator[str]:
    yield "tfheal explain TOPIC prints a page of the manual. Topics:"
    yield ""
    yield from (f"  {name:<12} {title}" for name, title in _FILE_TOPICS.items())
    yield ""
    yield from (f"  {name:<12} {part[2]}" for name, part in _PARTS.items())
    yield ""
    yield from (f"  {name:<12} resource: {_sentence(node)}" for name, node in _kinds().items())
    yield ""
    yield from (f"  {name:<12} {text.splitlines()[0]}" for name, text in _IN_WORDS.items())


def _sentence(node: schema.Node) -> str:
    words = str(node.get("description", "")).splitlines()[0].rstrip(".")
    return words[:1].lower() + words[1:]


def _kinds() -> dict[str, schema.Node]:
    """Return the kinds of resources with the schema of each."""
    root = schema.schema("playbook")
    items = root["$defs"]["Component"]["properties"]["resources"]["items"]
    return {node["properties"]["kind"]["const"]: node for node in schema.branches(root, items)}


def _opening(title: str, node: schema.Node) -> list[str]:
    said = str(node.get("description", ""))
    paragraphs = [textwrap.fill(" ".join(part.split()), _WIDTH) for part in said.split("\n\n") if part]
    return [title, "", *paragraphs, ""] if paragraphs else [title, ""]


def _also(word: str) -> list[str]:
    """Return what belongs to a topic but stands in another file."""
    if word != "heal":
        return []
    root = schema.schema("app")
    return [
        "",
        "In an app spec, `heal` says what healing may do with this app:",
        "",
        *_keys(root, root["$defs"]["AppHeal"], 0),
    ]


def _keys(root: schema.Node, node: schema.Node, depth: int) -> Iterator[str]:
    """Yield each key that a node allows, with type and default, what it is for, and what is below it."""
    for name, part in node.get("properties", {}).items():
        yield from _key(root, name, schema.resolved(root, part), depth, required=name in node.get("required", ()))


def _key(root: schema.Node, name: str, node: schema.Node, depth: int, *, required: bool) -> Iterator[str]:
    below = list(_below(root, node))
    state = "required" if required else _default(node) if not below else ""
    heads = [f"{name}:", _type(root, node), f"({state})" if state else ""]
    yield from _wrapped(" ".join(part for part in heads if part), depth, 2)
    if said := str(node.get("description", "")):
        yield from _wrapped(f"# {said.splitlines()[0]}", depth + 1, 1)
    for label, inner in below:
        if label:
            yield f"{'  ' * (depth + 1)}{label}"
        yield from _keys(root, inner, depth + (2 if label else 1))


def _below(root: schema.Node, node: schema.Node) -> Iterator[tuple[str, schema.Node]]:
    """Yield the tables inside a key, each with the sign of a list or of a name that users choose."""
    for branch in schema.branches(root, node):
        items = list(schema.branches(root, branch.get("items", {})))
        inside = schema.resolved(root, schema.values(branch))
        if "properties" in branch:
            yield "", branch
        elif branch.get("type") == "array" and len(items) == 1 and "properties" in items[0]:
            yield "-", items[0]
        elif "properties" in inside:
            yield "NAME:", inside


def _type(root: schema.Node, node: schema.Node) -> str:
    first = next(schema.branches(root, node), {})
    items = list(schema.branches(root, first.get("items", {})))
    inside = schema.resolved(root, schema.values(first))
    if "const" in first:
        return str(first["const"])
    if items and "properties" in items[0]:
        kinds = f", each of a kind: {', '.join(_kinds())}" if len(items) > 1 else ""
        return f"a list of tables{kinds}"
    if inside and "properties" not in inside:
        return f"a table, each value {_brief(schema.words(root, inside))}"
    return _brief(schema.words(root, node))


def _brief(words: str) -> str:
    """Return words without what is explained in brackets; the legend of the page says that once."""
    for long in schema.PATTERNS.values():
        words = words.replace(long, long.partition(" (")[0])
    return words


def _legend(page: list[str]) -> list[str]:
    """Return what the short words of a page mean."""
    text = "\n".join(page)
    lines = []
    for long in schema.PATTERNS.values():
        short, _, meaning = long.removesuffix(")").partition(" (")
        if meaning and re.search(rf"(: |each |value ){short}\b", text):
            lines += _wrapped(f"{short}: {meaning}", 0, 2)
    return ["", *lines] if lines else []


def _default(node: schema.Node) -> str:
    """Return the default as it would be written; nothing where there is none to speak of."""
    value = node.get("default")
    if value is None:
        return "optional"
    if isinstance(value, bool):
        return f"default {str(value).lower()}"
    if isinstance(value, list):
        return f"default [{', '.join(str(item) for item in value)}]"
    if isinstance(value, dict):
        return "optional"
    if isinstance(value, float) and schema.words({}, node).startswith("a duration"):
        return f"default {_duration(value)}"
    return f'default "{value}"' if value == "" or (isinstance(value, str) and "{" in value) else f"default {value}"


def _duration(seconds: float) -> str:
    for unit, size in (("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def _wrapped(text: str, depth: int, hanging: int) -> list[str]:
    first = "  " * depth
    return textwrap.wrap(text, _WIDTH, initial_indent=first, subsequent_indent=first + "  " * hanging)


def commented(file: str) -> str:
    """Given the topic of a TOML file, return one in which every key stands as a comment, with its default."""
    root = schema.schema(file)
    lines = [
        f"# {_FILE_TOPICS[file]}. Every key is shown with its default, or with an example if it has none;",
        f"# take the `# ` in front away to change it. `tfheal explain {file}` says more.",
    ]
    tables: list[str] = []
    for name, written in root["properties"].items():
        node = schema.resolved(root, written)
        table = next((branch for branch in schema.branches(root, node) if "properties" in branch), None)
        if table is None:
            lines += ["", *_commented_key(name, node)]
        else:
            tables += ["", f"# {_sentence(node)}", f"# [{name}]"]
            tables += [line for key, part in table["properties"].items() for line in _commented_key(key, part)]
    return "\n".join([*lines, *tables, ""])


def _commented_key(name: str, node: schema.Node) -> list[str]:
    value = node["examples"][0] if "examples" in node else node.get("default")
    written = _duration(value) if isinstance(value, float) and value >= 1 else value
    return [f"# {name} = {json.dumps(written)}  # {node['description']}"]
