"""The files of a workspace as JSON Schema: editors complete by it, and errors and the manual take their words from it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel

from tfheal.model.app import AppSpec
from tfheal.model.inventory import Inventory
from tfheal.model.names import NAME_PATTERN
from tfheal.model.playbook import Playbook
from tfheal.model.workspace import Provider

Node = Mapping[str, Any]
FILES: Final[Mapping[str, type[BaseModel]]] = {
    "app": AppSpec,
    "playbook": Playbook,
    "inventory": Inventory,
    "workspace": Provider,
}
_TITLES: Final = {
    "app": "tfheal app spec (apps/NAME.yaml)",
    "playbook": "tfheal playbook (playbooks/NAME/playbook.yaml)",
    "inventory": "tfheal inventory (inventory.toml)",
    "workspace": "tfheal workspace (tfheal.toml)",
}
_NO_LIMIT: Final = 1_000_000  # what Strict allows any text; not worth saying
# What a pattern means, in words; editors show it as well.
_TYPES: Final = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}
_WITH_UNIT: Final = ("a duration", "a size")  # written with a unit, or as a plain number
PATTERNS: Final = {
    r"^[a-zA-Z0-9_]([a-zA-Z0-9_.-]{0,251}[a-zA-Z0-9_.])?$": "a name of DNS (letters, digits, dots, dashes and _)",
    NAME_PATTERN: "a name (a lower-case letter, then at most 30 lower-case letters, digits and dashes)",
    r"^[a-z][a-z0-9_]{0,30}$": "a key (a lower-case letter, then at most 30 lower-case letters, digits and _)",
    r"^\d+(ms|s|m|h|d|w)$": "a duration (500ms, 30s, 5m, 2h, 7d, 1w)",
    r"^\d+[KMGT]?$": "a size (512K, 512M, 4G, 1T)",
    "^[0-7]{4}$": 'a mode (four octal digits in quotes: "0640")',
    r"^(/|\{\{).*": "an absolute path on the slice",
    r"^[0-9A-Za-z][0-9A-Za-z.+~-]{0,40}$": "a version (letters, digits and . + ~ -, at most 41)",
    r"^[a-z0-9][a-z0-9+.-]*(\{\{[^{}]*\}\}[a-z0-9+.-]*)?(=[A-Za-z0-9.+:~-]+)?$": "a Debian package (name, or name=version)",
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$": "a Python package (letters, digits and . _ -)",
    r"^[a-z_][a-z0-9_-]{0,31}$": "a user name",
    r"^([0-9]{2}|[0-9]?\{\{[^{}]*\}\})/[a-z][a-z0-9_]{0,30}$": "a cluster of PostgreSQL (17/main)",
    r"^/[A-Za-z0-9._~/?&=,:@+-]*$": "a path of a URL (/health)",
    r"^[^\r\n]{0,1000}$": "a line of text",
    r"^[A-Za-z_][A-Za-z0-9_]*$": "an environment variable (letters, digits and _)",
    r"^(/|sftp:|rest:|s3:|b2:|azure:|gs:|swift:|rclone:)[!-~]+$": "an absolute path, or an address of restic (sftp:…, rest:…, s3:…)",
    r"^[a-z0-9@.-]+ [A-Za-z0-9+/=]+$": "a host key (ssh-ed25519 …)",
    r"^https?://[^\s]+$": "a URL (https://…)",
    r"^(age1[0-9a-z]{58}|ssh-ed25519 [A-Za-z0-9+/]{68}( .*)?)$": "a public key (age1… or ssh-ed25519 …)",
    r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$": "a host name in lower case",
    r"^([01][0-9]|2[0-3]):[0-5][0-9]$": 'a time of day in quotes: "02:00"',
    r"^[A-Za-z][A-Za-z0-9_+/-]{0,60}$": "a zone of IANA's (UTC, Europe/Brussels)",
}


def schema(file: str) -> dict[str, Any]:
    """Given `app`, `playbook`, `inventory` or `workspace`, return its JSON Schema (draft 2020-12)."""
    made = _tidied(FILES[file].model_json_schema())
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:tfheal:schema:{file}:1",
        "title": _TITLES[file],
    }
    return head | {key: value for key, value in made.items() if key not in head}


def _tidied(node: Any) -> Any:  # noqa: ANN401 (the shape of JSON)
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: _tidied_part(key, value) for key, value in node.items() if not _is_noise(key, value)}
    if isinstance(node.get("pattern"), str):
        made["patternErrorMessage"] = f"must be {PATTERNS[node['pattern']]}"
    if isinstance(node.get("patternProperties"), dict):
        made["additionalProperties"] = False
    return made


def _tidied_part(key: str, value: Any) -> Any:  # noqa: ANN401 (the shape of JSON)
    """Return a part of a node; below these keys stand names that users chose, not keywords."""
    if key in {"properties", "$defs", "patternProperties"}:
        return {name: _untitled(_tidied(inner)) for name, inner in value.items()}
    return value if key in {"default", "enum", "const", "required"} else _tidied(value)


def _untitled(node: dict[str, Any]) -> dict[str, Any]:
    """Return a property without its title, which only repeats its key."""
    return {key: value for key, value in node.items() if key != "title"}


def _is_noise(key: str, value: object) -> bool:
    return (key == "maxLength" and value == _NO_LIMIT) or (key == "propertyNames" and value == {"maxLength": _NO_LIMIT})


def resolved(root: Node, node: Node) -> Node:
    """Given a node that may be a reference, return what it refers to, with what is said beside the reference."""
    if "$ref" not in node:
        return node
    name = node["$ref"].rpartition("/")[2]
    return {**root["$defs"][name], **{key: value for key, value in node.items() if key != "$ref"}}


def branches(root: Node, node: Node) -> Iterator[Node]:
    """Given a node, return the alternatives that it allows, without null; most nodes have one, themselves."""
    node = resolved(root, node)
    for part in node.get("anyOf", node.get("oneOf", ())):
        yield from branches(root, part)
    if not ("anyOf" in node or "oneOf" in node or node.get("type") == "null"):
        yield node


def inner(root: Node, node: Node, part: str | int, data: object) -> Node:
    """Given a node and one step down in data of its shape, return the node of that step, an empty one if none is."""
    for branch in branches(root, node):
        if isinstance(part, int) and "items" in branch:
            return resolved(root, branch["items"])
        if part in branch.get("properties", {}) and _of_kind(branch, data):
            return resolved(root, branch["properties"][part])
        if isinstance(part, str) and (inside := values(branch)):
            return resolved(root, inside)
    kinds = [branch.get("properties", {}).get("kind", {}).get("const") for branch in branches(root, node)]
    return {"enum": kinds} if part == "kind" and all(kinds) else {}


def keys(root: Node, node: Node, data: object) -> list[str]:
    """Given a node and the data found there, return the keys that it allows."""
    return [key for branch in branches(root, node) if _of_kind(branch, data) for key in branch.get("properties", {})]


def _of_kind(branch: Node, data: object) -> bool:
    """Return whether data is of this branch: of kinds of resources, the one that it names."""
    kind = branch.get("properties", {}).get("kind", {}).get("const")
    return kind is None or (isinstance(data, dict) and data.get("kind") == kind)


def values(branch: Node) -> Node:
    """Return the node of the values of a table whose keys users choose, else an empty one."""
    for inside in branch.get("patternProperties", {}).values():
        return dict(inside)
    extra = branch.get("additionalProperties")
    return extra if isinstance(extra, dict) else {}


def types(root: Node, node: Node) -> set[str]:
    """Given a node, return the JSON types that it allows, null apart."""
    return {str(branch.get("type")) for branch in branches(root, node)}


def key_words(node: Node) -> str:
    """Given the node of a table whose keys users choose, return what a key must be, in words."""
    return next((PATTERNS[pattern] for pattern in node.get("patternProperties", ())), "text")


def words(root: Node, node: Node) -> str:
    """Given a node, return what it allows, in words."""
    found = [_branch_words(root, branch) for branch in branches(root, node)]
    if found and found[0].startswith(_WITH_UNIT):
        return found[0]
    return " or ".join(dict.fromkeys(found)) or "nothing"


def _branch_words(root: Node, node: Node) -> str:
    if "enum" in node:
        return "one of " + ", ".join(str(word) for word in node["enum"])
    if node.get("type") == "array":
        return f"a list, each {words(root, node.get('items', {}))}"
    if node.get("type") == "string":
        return str(node.get("const") or PATTERNS.get(node.get("pattern", ""), "text"))
    return _TYPES.get(str(node.get("type")), "a table") + _range(node)


def _range(node: Node) -> str:
    signs = {
        "minimum": "at least",
        "exclusiveMinimum": "more than",
        "maximum": "at most",
        "exclusiveMaximum": "less than",
    }
    said = [f"{words} {node[sign]}" for sign, words in signs.items() if sign in node]
    return f", {' and '.join(said)}" if said else ""
