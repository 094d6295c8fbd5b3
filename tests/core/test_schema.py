"""The JSON Schemas say what the models say, in the keywords of draft 2020-12, and in words where a pattern speaks."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from workspaces import VALID, case

from tfheal.core.schema import FILES, schema
from tfheal.edge.files import shipped
from tfheal.edge.toml_text import parse_toml
from tfheal.edge.yaml_text import parse_yaml

KEYWORDS = {
    "$schema", "$id", "$defs", "$ref", "title", "description", "default", "examples", "type", "enum", "const",
    "properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties",
    "items", "minItems", "anyOf", "oneOf", "discriminator", "pattern", "patternErrorMessage", "minLength", "maxLength",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
}  # fmt: skip
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def fits(root: dict[str, Any], node: dict[str, Any], data: Any) -> bool:  # noqa: ANN401, C901, PLR0911
    """Return whether data is valid by a schema: as much of a validator as our schemas need, and no more."""
    if "$ref" in node:
        node = root["$defs"][node["$ref"].removeprefix("#/$defs/")]
    if "anyOf" in node:
        return any(fits(root, part, data) for part in node["anyOf"])
    if "oneOf" in node:
        return sum(fits(root, part, data) for part in node["oneOf"]) == 1
    if "enum" in node and data not in node["enum"]:
        return False
    if "const" in node and data != node["const"]:
        return False
    number = isinstance(data, (int, float)) and not isinstance(data, bool)
    match node.get("type"):
        case "integer" | "number":
            whole = node["type"] == "number" or isinstance(data, int)
            return number and whole and node.get("minimum", data) <= data <= node.get("maximum", data)
        case None:
            return True
        case name if not isinstance(data, TYPES[name]):
            return False
        case "string":
            long_enough = node.get("minLength", 0) <= len(data) <= node.get("maxLength", len(data))
            return long_enough and re.search(node.get("pattern", ""), data) is not None
        case "array" if isinstance(data, list):
            return len(data) >= node.get("minItems", 0) and all(fits(root, node["items"], item) for item in data)
        case "object":
            return _fits_object(root, node, data)
    return True


def _fits_object(root: dict[str, Any], node: dict[str, Any], data: dict[str, Any]) -> bool:
    if not set(node.get("required", ())) <= set(data) or len(data) < node.get("minProperties", 0):
        return False
    for key, value in data.items():
        patterns = [part for pattern, part in node.get("patternProperties", {}).items() if re.search(pattern, key)]
        parts = [part for part in (node.get("properties", {}).get(key), *patterns) if part is not None]
        extra = node.get("additionalProperties", True)
        if not parts and extra is False:
            return False
        if not parts and isinstance(extra, dict):
            parts = [extra]
        if not all(fits(root, part, value) for part in parts):
            return False
    return True


def _nodes(node: Any, *, named: bool = False) -> list[dict[str, Any]]:  # noqa: ANN401
    """Return every schema within a schema; below some keywords stand names that people chose."""
    if isinstance(node, list):
        return [found for item in node for found in _nodes(item)]
    if not isinstance(node, dict):
        return []
    inner = [
        found
        for key, value in node.items()
        if named or key not in {"default", "enum", "const", "required", "examples", "discriminator"}
        for found in _nodes(value, named=not named and key in {"properties", "$defs", "patternProperties"})
    ]
    return inner if named else [node, *inner]


@pytest.mark.parametrize("file", FILES)
def test_a_schema_is_one_of_draft_2020_12(file: str) -> None:
    """Identity and title, known keywords only, references that lead somewhere, patterns that compile and have words."""
    made = schema(file)
    assert made == json.loads(json.dumps(made))
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert made["$id"] == f"urn:tfheal:schema:{file}:1"
    assert made["title"]
    assert made["description"]
    for node in _nodes(made):
        assert set(node) <= KEYWORDS
        assert node.get("$ref", "#/$defs/").startswith("#/$defs/")
        assert "$ref" not in node or node["$ref"].removeprefix("#/$defs/") in made["$defs"]
        if "pattern" in node:
            re.compile(node["pattern"])
            assert node["patternErrorMessage"]
        for part in node.get("properties", {}).values():
            assert "description" in part or "$ref" in part or "const" in part, part
        if "default" in node and "$ref" not in node:
            assert fits(made, {key: value for key, value in node.items() if key != "default"}, node["default"])


def _shipped_documents() -> list[tuple[str, Path]]:
    found = [("playbook", path) for path in sorted(shipped("playbooks").glob("*/playbook.yaml"))]
    for example in sorted(shipped("examples").iterdir()):
        found += [("app", path) for path in sorted(example.glob("apps/*.yaml"))]
        found += [("playbook", path) for path in sorted(example.glob("playbooks/*/playbook.yaml"))]
    return found


@pytest.mark.parametrize(("file", "path"), _shipped_documents(), ids=lambda value: getattr(value, "stem", value))
def test_what_is_shipped_fits_its_schema(file: str, path: Path) -> None:
    """An editor that checks by our schema finds nothing wrong with our own playbooks and examples."""
    made = schema(file)
    assert fits(made, made, parse_yaml("x", path.read_text()).data)


KINDS = {
    "tfheal.toml": "workspace",
    "inventory.toml": "inventory",
    "apps/site.yaml": "app",
    "playbooks/demo/playbook.yaml": "playbook",
}


@pytest.mark.parametrize("name", KINDS)
def test_the_valid_files_fit_and_the_spoilt_ones_do_not(name: str) -> None:
    """What validation refuses in a single file, the schema refuses as well, so an editor shows it while one types."""
    made = schema(KINDS[name])
    parse = parse_toml if name.endswith(".toml") else parse_yaml
    assert fits(made, made, parse(name, VALID[name]).data)
    for spoilt in ("unknown-key", "wrong-type", "wrong-word", "no-names", "missing-keys", "nulls"):
        files, expected = case(Path(__file__).parent.parent / "tables" / "workspace" / f"{spoilt}.case")
        if name in files and any(line.startswith(f"{name}:") for line in expected):
            assert not fits(made, made, parse(name, files[name]).data), spoilt
